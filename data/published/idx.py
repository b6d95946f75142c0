"""MNIST and similar data sets: four IDX files, compressed (.gz) or not.

torchvision's ``MNIST`` class provides names, URLs and checksums, but does not read the files here: it prefers an old
``processed/training.pt`` if there is one, cannot read compressed files, and does not verify the others.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import DamagedDataError
from data.files import appearing
from data.published.layouts import Fault, check_md5, obtain
from data.values import Part, Say
from data.words import counted

# torchvision has the md5 of compressed files only. This maps each of them to the md5 of the uncompressed file.
_UNPACKED_MD5 = {
    # MNIST: train images, train labels, test images, test labels.
    "f68b3c2dcbeaaa9fbdd348bbdeb94873": "6bbc9ace898e44ae57da46a324031adb",
    "d53e105ee54ea40749a09fcbcd1e9432": "a25bea736e30d166cdddb491f175f624",
    "9fb629c4189551a2d022fa330f9573f3": "2646ac647ad5339dbf082846283269ea",
    "ec29112dd5afa0611ce80d1b7f02629c": "27ae3e4e09519cfbb04c329615203637",
    # Fashion-MNIST, in the same order.
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "25c81989df183df01b3e8a0aad5dffbe": "9018921c3c673c538a1fc5bad174d6f9",
    "bef4ecab320f06d8554ea6380940ec79": "8181f5470baa50b63fa0f6fddb340f0a",
    "bb300cfdad3c16e7a12a480ee83cd310": "15d484375f8d13e6eb1aabb0c3f46965",
}
_UNSIGNED_BYTES = 8
_PREFIX = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class IdxLayout:
    """``<root>/<class name>/raw/*-ubyte[.gz]``, where each file may be compressed, uncompressed or both.

    Attributes:
        dataset: ``torchvision.datasets.MNIST`` or a subclass.
    """

    dataset: Any

    def present(self, root: Path) -> list[Path]:
        """See ``Layout.present``."""
        return sorted(path for packed, _ in self._packed(root) for path in _forms(packed) if path.is_file())

    def faults(self, root: Path) -> list[Fault]:
        """See ``Layout.faults``. One intact form of a file, compressed or not, is enough."""
        found: list[Fault] = []
        for packed, md5 in self._packed(root):
            plain = _forms(packed)[1]
            here = [
                fault
                for path, fault in ((packed, check_md5(packed, md5)), (plain, _check_plain(plain, md5)))
                if path.is_file() and fault
            ]
            missing = [] if packed.is_file() or plain.is_file() else [Fault(packed)]
            found += here or missing
        return found

    def complete(self, root: Path, *, online: bool, say: Say) -> None:
        """See ``Layout.complete``. Keeps both forms, so that torchvision can read the folder too."""
        for packed, md5 in self._packed(root):
            plain = _forms(packed)[1]
            if _check_plain(plain, md5) is None and not packed.is_file():
                continue
            obtain([f"{mirror}{packed.name}" for mirror in self.dataset.mirrors], packed, md5, online=online, say=say)
            if _check_plain(plain, md5) is not None:
                content = _unpack(packed)
                with appearing(plain) as partial:
                    partial.write_bytes(content)

    def read(self, root: Path, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """See ``Layout.read``."""
        raw = self._raw(root)
        paths = [raw / f"{_PREFIX[part]}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        images, labels = (_parse(path, _unpack(path)) for path in map(_sounder, paths))
        if len(images) != len(labels):
            raise DamagedDataError(
                f"{paths[0]} has {counted(len(images), 'image')}, but {paths[1]} has {counted(len(labels), 'label')}"
            )
        return images[:, None], labels.astype(np.int64)

    def _raw(self, root: Path) -> Path:
        return root / str(self.dataset.__name__) / "raw"

    def _packed(self, root: Path) -> list[tuple[Path, str]]:
        return [(self._raw(root) / name, md5) for name, md5 in self.dataset.resources]


def _forms(packed: Path) -> tuple[Path, Path]:
    return packed, packed.with_suffix("")


def _sounder(packed: Path) -> Path:
    """The form to read: preferably the compressed one, whose md5 is published."""
    return packed if packed.is_file() else _forms(packed)[1]


def _unpack(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedDataError(f"cannot unpack {path} ({error}); delete it to download it again") from error


def _check_plain(path: Path, packed_md5: str) -> Fault | None:
    """The fault of an uncompressed file, by its checksum if it is known, else by its header and length."""
    if packed_md5 in _UNPACKED_MD5 or not path.is_file():
        return check_md5(path, _UNPACKED_MD5.get(packed_md5, ""))
    with path.open("rb") as file:
        shape = _shape(file.read(16))
    if shape is None:
        return Fault(path, "it is not an IDX file of bytes")
    expected, found = 4 + 4 * len(shape) + math.prod(shape), path.stat().st_size
    return None if found == expected else Fault(path, f"it has {counted(found, 'byte')} instead of {expected:,}")


def _shape(head: bytes) -> tuple[int, ...] | None:
    """The shape in an IDX header: 0, 0, type, number of dimensions, then each length as big-endian int32; else None."""
    if len(head) < 8 or head[:3] != bytes((0, 0, _UNSIGNED_BYTES)) or head[3] not in (1, 3):
        return None
    dimensions = head[3]
    if len(head) < 4 + 4 * dimensions:
        return None
    return tuple(int(length) for length in np.frombuffer(head, ">u4", dimensions, offset=4))


def _parse(path: Path, content: bytes) -> np.ndarray:
    shape = _shape(content[:16])
    if shape is None or len(content) != 4 + 4 * len(shape) + math.prod(shape):
        raise DamagedDataError(f"{path} is not a complete IDX file of bytes; delete it to download it again")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
