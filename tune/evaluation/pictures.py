"""Images side by side, as PNG bytes: pixels as they are, each enlarged to a square of the same colour."""

from __future__ import annotations

import io
from itertools import count

import torch
from PIL import Image
from torch import Tensor

LEAST_SIDE = 64  # pixels that an image is enlarged to, or more: small ones are hard to see
MOST_SIDE = 8192  # pixels of a whole picture, beyond which images stay as small as they are
GAP, SPACE, PAPER = 2, 12, 255  # pixels between images, between groups of rows, and their grey


def sheet(images: Tensor, *, group: int = 1_000_000) -> bytes:
    """A picture of images in rows and columns.

    Args:
        images: (rows, columns, C, H, W) uint8; C is 1 for grey and 3 for colour.
        group: Rows that belong together; between groups there is more space.
    """
    rows, columns, _, height, width = images.shape
    scale = _scale(rows, columns, height, width)
    large = images.repeat_interleave(scale, 3).repeat_interleave(scale, 4)
    height, width = height * scale, width * scale
    tops = [row * (height + GAP) + row // group * (SPACE - GAP) for row in range(rows)]
    paper = torch.full((images.shape[2], tops[-1] + height, columns * (width + GAP) - GAP), PAPER, dtype=torch.uint8)
    for top, row in zip(tops, large, strict=True):
        for left, image in zip(count(0, width + GAP), row, strict=False):
            paper[:, top : top + height, left : left + width] = image
    stream = io.BytesIO()
    pixels = paper.permute(1, 2, 0).numpy()
    Image.fromarray(pixels[..., 0] if len(paper) == 1 else pixels).save(stream, "png")
    return stream.getvalue()


def _scale(rows: int, columns: int, height: int, width: int) -> int:
    wanted = -(-LEAST_SIDE // min(height, width))
    return max(1, min(wanted, MOST_SIDE // max(rows * height, columns * width)))
