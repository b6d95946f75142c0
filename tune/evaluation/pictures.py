"""Images side by side as one PNG: unchanged pixels, each enlarged to a square of the same colour."""

from __future__ import annotations

import io

from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

LEAST_SIDE = 64  # pixels that small images are enlarged to
MOST_SIDE = 8192  # pixels of the whole picture; images are not enlarged beyond it
GAP, PAPER = 4, 255  # pixels around each image, and their grey level


def sheet(images: Tensor, columns: int) -> bytes:
    """A PNG of images (N, C, H, W) uint8 in rows of `columns`; C is 1 for grey and 3 for colour."""
    rows = -(-len(images) // columns)
    scale = _scale(rows, columns, *images.shape[2:])
    large = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    stream = io.BytesIO()
    Image.fromarray(make_grid(large, columns, GAP, pad_value=PAPER).permute(1, 2, 0).numpy()).save(stream, "png")
    return stream.getvalue()


def _scale(rows: int, columns: int, height: int, width: int) -> int:
    wanted = -(-LEAST_SIDE // min(height, width))
    return max(1, min(wanted, MOST_SIDE // max(rows * height, columns * width)))
