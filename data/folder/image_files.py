"""Image files that are in no data set, for prediction with a trained model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from data.errors import DataError
from data.files import cores
from data.folder.decode import UnreadableImageError, decode
from data.folder.listing import LeftOut, images_below
from data.values import MAX_PIXELS


def read_images(paths: Sequence[Path], input_shape: tuple[int, int, int], *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Read image files as a folder of images is read; see `data.folder.decode.decode`.

    For a model of grey images, colours are converted to luma (ITU-R 601, as Pillow's `L`). Images are not inverted: a
    model trained on light digits on black, as in MNIST, needs such images.

    Args:
        paths: Files in any format that Pillow reads; at least one.
        input_shape: (C, H, W) of the result, with H = W, and C 1 or 3.
        max_pixels: The largest image that is decoded, height times width.

    Returns:
        (len(paths), C, H, W) uint8.

    Raises:
        DataError: Some files cannot be read (one line for each), or the model needs other images.
    """
    images = decode_files(paths, input_shape, max_pixels=max_pixels)
    failed = [(path, image) for path, image in zip(paths, images, strict=True) if isinstance(image, str)]
    if failed:
        raise unreadable(failed)
    return torch.from_numpy(np.stack([image for image in images if not isinstance(image, str)]))


def decode_files(
    paths: Sequence[Path], input_shape: tuple[int, int, int], *, max_pixels: int = MAX_PIXELS
) -> list[NDArray[np.uint8] | str]:
    """Read image files as `read_images` does, on all cores: the pixels of each, (C, H, W), or why it cannot be read.

    Raises:
        DataError: The model needs other images.
    """
    channels, height, width = input_shape
    if channels not in (1, 3) or height != width:
        raise DataError(f"image files are read as squares with 1 or 3 channels; this model needs {input_shape}")

    def read(path: Path) -> NDArray[np.uint8] | str:
        try:
            image = decode(path, height, max_pixels=max_pixels)
        except UnreadableImageError as error:
            return str(error)
        return _grey(image) if channels == 1 else image

    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(read, paths))


def unreadable(failed: Iterable[tuple[Path, str]]) -> DataError:
    """The error for files that cannot be read, with a line for each."""
    return DataError(*(f"cannot read the image {path}: {reason}" for path, reason in failed))


def images_in(folder: Path) -> tuple[list[Path], str]:
    """All image files in a folder, at any depth and sorted, and in words what else lies there; that may be empty.

    Raises:
        DataError: There are none, or the folder cannot be listed.
    """
    left = LeftOut()
    found = [folder / path for path in images_below(str(folder), ".", left)]
    if not found:
        raise DataError(f"there are no images in {folder}" + (f" (left out: {left.text()})" if left.text() else ""))
    return found, left.text()


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert (3, H, W) to luma, (1, H, W)."""
    return np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))[None]
