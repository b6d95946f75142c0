"""Single image files of the user's, for a model that was trained on others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from data.decode import UnreadableImageError, decode
from data.errors import DataError


def read_images(paths: Sequence[Path], input_shape: tuple[int, int, int]) -> Tensor:
    """Read image files as `data.folder` reads them: upright, transparent parts on white, resized to a square.

    For a model of grey images colours become luma (ITU-R 601, as Pillow's `L`). Whether an object is light on dark, as
    the digits of MNIST are, or dark on light stays as it is in the file.

    Args:
        paths: Files in any format Pillow reads; at least one.
        input_shape: (C, H, W) wanted, H = W and C 1 or 3.

    Returns:
        (len(paths), C, H, W) uint8.

    Raises:
        DataError: Some cannot be read; a line for each. Or the model takes other images.
    """
    channels, height, width = input_shape
    if channels not in (1, 3) or height != width:
        raise DataError(f"image files are read as squares of 1 or 3 channels, and the model takes {input_shape}")
    images, unreadable = [], []
    for path in paths:
        try:
            images.append(_grey(decode(path, height)) if channels == 1 else decode(path, height))
        except UnreadableImageError as error:
            unreadable.append(f"cannot read the image {path}: {error}")
    if unreadable:
        raise DataError("\n".join(unreadable))
    return torch.from_numpy(np.stack(images))


def _grey(image: np.ndarray) -> np.ndarray:
    """(3, H, W) as (1, H, W)."""
    return np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))[None]
