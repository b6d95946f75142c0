"""One image file to pixels, whatever Pillow makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

DECODER_VERSION = 1
"""Raised by one whenever the same file gives other pixels than before: prepared copies are then made again."""

_SIXTEEN_BIT = 65_535
_TRANSPARENT_MODES = frozenset(("LA", "La", "PA", "RGBA", "RGBa"))


class UnreadableImageError(Exception):
    """A file that gives no pixels. The text is the cause, in Pillow's words."""


def decode(path: Path, side: int) -> np.ndarray:
    """Read an image as upright RGB, resized to a square.

    The first frame of an animation; turned as its EXIF orientation says; transparent parts on white, as viewers show
    them; resized by antialiased bilinear interpolation, without regard to the aspect ratio.

    Args:
        path: A file in any format Pillow reads.
        side: Height and width in pixels of the result.

    Returns:
        (3, side, side) uint8.

    Raises:
        UnreadableImageError: The file is damaged, too large, or has no defined range of brightness.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            small = _rgb(upright).resize((side, side), Image.Resampling.BILINEAR)
        return np.asarray(small).transpose(2, 0, 1)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImageError("it is no image in a format that Pillow knows") from error
    except Exception as error:
        # Pillow's readers raise whatever their parsers stumble on: OSError, SyntaxError, struct.error, zlib.error.
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadableImageError(" ".join(text.split())) from error


def _rgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as RGB."""
    if image.mode == "F":
        raise UnreadableImageError("a floating-point image has no defined range of brightness")
    if image.mode.startswith("I"):
        return _from_sixteen_bit(image)
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        rgba = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _from_sixteen_bit(image: Image.Image) -> Image.Image:
    """Grey levels of 16 bits, which Pillow's own conversion cuts off at 255 in some versions and shifts in others."""
    levels = np.asarray(image).astype(np.int64).clip(0, _SIXTEEN_BIT)
    return Image.fromarray(np.rint(levels * (255 / _SIXTEEN_BIT)).astype(np.uint8)).convert("RGB")
