"""The images on a node of a cluster: whether they are there, and how they are sent where they are not."""

from __future__ import annotations

import platform
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import data
from tune.errors import first_line
from tune.spec.data_spec import DataSpec


def why_missing(spec: DataSpec, root: str, digest: str, *, download: bool) -> str:
    """Why trials cannot use the search's images on this node, in one line; empty if they can.

    Args:
        spec: Which images.
        root: The data directory.
        digest: Of the identity of the search's images.
        download: Whether what is missing may be downloaded.
    """
    try:
        _, identity = data.load_train_with_identity(spec.source, Path(root), download=download)
    except (data.DataError, OSError) as error:
        return first_line(error)
    return "" if identity.digest == digest else other_images(spec, root)


def other_images(spec: DataSpec, root: str) -> str:
    """Says that a folder on this node has other images than those of the search."""
    where = spec.path or f"{spec.name} below {root}"
    return (
        f"the images on this node are not those of the search: {where} on {platform.node()} has other content; "
        "copy the search's images there"
    )


@dataclass(frozen=True, eq=False)
class SentImages:
    """A training set as Ray's object store keeps it: NumPy arrays, which the processes of a node share.

    Attributes:
        images: (N, C, H, W) uint8.
        labels: (N,) int64.
        classes: Class names.
        identity: Of the data set.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    identity: data.DataIdentity

    @classmethod
    def read(cls, spec: DataSpec, root: Path) -> SentImages:
        """The images on this machine.

        Raises:
            data.DataError: They are not available.
        """
        found, identity = data.load_train_with_identity(spec.source, root)
        return cls(found.images.numpy(), found.labels.numpy(), found.classes, identity)

    @property
    def size(self) -> int:
        """Bytes of the arrays."""
        return self.images.nbytes + self.labels.nbytes

    def opened(self) -> tuple[data.ImageSet, data.DataIdentity]:
        """As `data.load_train_with_identity` returns them; nothing is copied."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the arrays are read-only; nobody writes to images
            images, labels = torch.from_numpy(self.images), torch.from_numpy(self.labels)
        return data.ImageSet(images, labels, self.classes), self.identity
