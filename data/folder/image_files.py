"""Image files that are in no data set, for prediction with a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from data.decode import UnreadableImageError, decode
from data.errors import DataError
from data.values import MAX_PIXELS


def read_images(paths: Sequence[Path], input_shape: tuple[int, int, int], *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Read image files as a folder of images is read; see `data.decode.decode`.

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
    channels, height, width = input_shape
    if channels not in (1, 3) or height != width:
        raise DataError(f"image files are read as squares with 1 or 3 channels; this model needs {input_shape}")
    images, unreadable = [], []
    for path in paths:
        try:
            image = decode(path, height, max_pixels=max_pixels)
            images.append(_grey(image) if channels == 1 else image)
        except UnreadableImageError as error:
            unreadable.append(f"cannot read the image {path}: {error}")
    if unreadable:
        raise DataError("\n".join(unreadable))
    return torch.from_numpy(np.stack(images))


def _grey(image: np.ndarray) -> np.ndarray:
    """Convert (3, H, W) to luma, (1, H, W)."""
    return np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))[None]
