"""CIFAR-10 and CIFAR-100: pickled batches in an archive, read by torchvision's classes."""

from __future__ import annotations

import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import DamagedDataError
from data.files import appearing
from data.published.layouts import Fault, check_md5, obtain
from data.values import Part, Say


@dataclass(frozen=True)
class CifarLayout:
    """Batches in ``<root>/<base folder>/``; ``<root>/<archive>`` is only used if they are incomplete.

    Attributes:
        dataset: ``torchvision.datasets.CIFAR10`` or a subclass.
    """

    dataset: Any

    def present(self, root: Path) -> list[Path]:
        """See ``Layout.present``."""
        return sorted(path for path, _ in self._files(root) if path.is_file())

    def faults(self, root: Path) -> list[Fault]:
        """See ``Layout.faults``."""
        found = [fault for path, md5 in self._files(root) if (fault := check_md5(path, md5))]
        archive = check_md5(self._archive(root), self.dataset.tgz_md5)
        # A damaged archive only matters if the batches are incomplete.
        return [*found, archive] if found and archive and archive.damage else found

    def complete(self, root: Path, *, online: bool, say: Say) -> None:
        """See ``Layout.complete``. If the archive has to be downloaded, it is deleted afterwards."""
        archive, md5 = self._archive(root), self.dataset.tgz_md5
        given = check_md5(archive, md5) is None
        obtain([self.dataset.url], archive, md5, online=online, say=say)
        try:
            self._extract(archive, root)
        finally:
            if not given:
                archive.unlink(missing_ok=True)

    def read(self, root: Path, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """See ``Layout.read``. torchvision checks the md5 of all batches again before it unpickles them."""
        dataset = self.dataset(str(root), train=part == "train")
        images = np.ascontiguousarray(dataset.data.transpose(0, 3, 1, 2))
        return images, np.asarray(dataset.targets, np.int64)

    def _extract(self, archive: Path, root: Path) -> None:
        """Unpack the batches, and nothing else from the archive."""
        try:
            with tarfile.open(archive) as tar:
                for path, _ in self._files(root):
                    member = tar.extractfile(f"{self.dataset.base_folder}/{path.name}")
                    if member is None:
                        raise KeyError(f"{path.name} is not a file")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with appearing(path) as partial:
                        partial.write_bytes(member.read())
        except (tarfile.TarError, EOFError, zlib.error, KeyError) as error:
            raise DamagedDataError(f"cannot unpack {archive} ({error}); delete it to download it again") from error

    def _archive(self, root: Path) -> Path:
        return root / str(self.dataset.filename)

    def _files(self, root: Path) -> list[tuple[Path, str]]:
        data = self.dataset
        listed = [*data.train_list, *data.test_list, (data.meta["filename"], data.meta["md5"])]
        return [(root / str(data.base_folder) / name, md5) for name, md5 in listed]
