"""Images side by side as one PNG: unchanged pixels, each enlarged to a square of the same colour."""

from __future__ import annotations

import io

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from tune.drawing import INK

LEAST_SIDE = 64  # pixels that small images are enlarged to
MOST_SIDE = 8192  # pixels of the whole picture; images are not enlarged beyond it
GAP, PAPER = 4, 255  # pixels around each image, and their grey level
PAIR_GAP, MARGIN, LETTERS = 16, 116, 14  # pixels around a pair, at the left of all, and height of the letters there


def sheet(images: Tensor, columns: int) -> bytes:
    """A PNG of images (N, C, H, W) uint8 in rows of `columns`; C is 1 for grey and 3 for colour."""
    scale = _scale(-(-len(images) // columns), columns, *images.shape[2:])
    return _png(_grid(_enlarged(images, scale), columns, GAP))


def pairs(above: Tensor, below: Tensor, columns: int, words: tuple[str, str]) -> bytes:
    """A PNG of pairs of images, each (N, C, H, W) uint8, one above the other, in rows of `columns`.

    `words` say at the left of each row what is above and what is below.
    """
    height, width = above.shape[2:]
    rows = -(-len(above) // columns)
    scale = _scale(rows, columns, 2 * height, width)
    between = above.new_full((len(above), above.shape[1], GAP, width * scale), PAPER)
    joined = torch.cat([_enlarged(above, scale), between, _enlarged(below, scale)], 2)
    grid = _grid(joined, columns, PAIR_GAP)
    whole = Image.new("RGB", (MARGIN + grid.width, grid.height), (PAPER, PAPER, PAPER))
    whole.paste(grid, (MARGIN, 0))
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(LETTERS)
    top = PAIR_GAP if len(above) > 1 else 0
    for row in range(rows):
        for number, text in enumerate(words):
            y = top + row * (joined.shape[2] + PAIR_GAP) + number * (height * scale + GAP) + height * scale // 2
            draw.text((PAIR_GAP // 2, y), text, fill=INK, font=font, anchor="lm")
    return _png(whole)


def _scale(rows: int, columns: int, height: int, width: int) -> int:
    wanted = -(-LEAST_SIDE // min(height, width))
    return max(1, min(wanted, MOST_SIDE // max(rows * height, columns * width)))


def _enlarged(images: Tensor, scale: int) -> Tensor:
    return images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def _grid(images: Tensor, columns: int, gap: int) -> Image.Image:
    """The images with a gap around each; a single one has none."""
    from torchvision.utils import make_grid  # slow to import

    return Image.fromarray(make_grid(images, columns, gap, pad_value=PAPER).permute(1, 2, 0).numpy())


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "png")
    return stream.getvalue()
