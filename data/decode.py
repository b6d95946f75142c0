"""One image file to pixels: what comes out is what the file shows, or the file is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from data import colour
from data.values import MAX_PIXELS

# Pillow only warns between half its limit and the limit, and has one limit for the whole process: `decode` has its own.
Image.MAX_IMAGE_PIXELS = None

DECODER_VERSION = 2
"""Raised by one whenever the same file gives other pixels than before: prepared copies are then made again."""

_SIXTEEN_BIT = 65_535
_TRANSPARENT_MODES = frozenset(("LA", "La", "PA", "RGBA", "RGBa"))
_GREY_MODES = frozenset(("1", "L", "LA", "La"))
_FULL_RANGE_FORMATS = frozenset(("PNG", "PPM", "JPEG2000"))
"""Formats whose grey levels above 8 bits Pillow gives on the full range of 16 bits."""
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


class UnreadableImageError(Exception):
    """A file that gives no pixels. The text is the cause, in Pillow's words where it is Pillow's."""


def decode(path: Path, side: int, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image as upright RGB (sRGB), resized to a square.

    The first frame of an animation; turned as its EXIF orientation says; colours by its embedded profile; transparent
    parts on white, as viewers show them; resized by antialiased bilinear interpolation, without regard to the aspect
    ratio. The README has a table of what becomes of every kind of pixel.

    Args:
        path: A file in any format Pillow reads.
        side: Height and width in pixels of the result.
        max_pixels: The largest image that is decoded, height times width.

    Returns:
        (3, side, side) uint8.

    Raises:
        UnreadableImageError: The file is damaged or too large, or what its pixels mean is not defined.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableImageError("it is not a regular file")
        with Image.open(path) as image:
            if image.width * image.height > max_pixels:
                raise UnreadableImageError(
                    f"it has {image.width:,} x {image.height:,} pixels, more than the limit of {max_pixels:,} "
                    "(data.max_pixels)"
                )
            small = _rgb(image).resize((side, side), Image.Resampling.BILINEAR)
        return np.asarray(small).transpose(2, 0, 1)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImageError("it is not an image, or of a kind that Pillow cannot read") from error
    except Exception as error:
        # Pillow's readers raise whatever their parsers stumble on: OSError, SyntaxError, struct.error, zlib.error.
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadableImageError(" ".join(text.split())) from error


def _rgb(image: ImageFile.ImageFile) -> Image.Image:
    """An opened file of any of Pillow's modes as upright, opaque RGB."""
    if image.format in ("JPEG", "MPO") and image.mode == "CMYK" and "adobe" not in image.info:
        raise UnreadableImageError("a CMYK JPEG without Adobe's marker may count ink or paper; convert it to RGB")
    brightest, white_is_zero = _brightness(image)
    _correct_transparency(image)
    profile = colour.profile_of(image)
    upright = ImageOps.exif_transpose(image)
    if brightest:
        upright = _to_eight_bits(upright, brightest, white_is_zero)
    alpha = None
    grey = upright.mode in _GREY_MODES
    if upright.mode in _TRANSPARENT_MODES or "transparency" in upright.info:
        upright = upright.convert("LA" if upright.mode == "La" else "RGBA").convert("RGBA")
        alpha = upright.getchannel("A")
    opaque = upright if upright.mode in ("CMYK", "LAB") else upright.convert("L" if grey else "RGB")
    rgb = colour.to_rgb(opaque, profile)
    return rgb if alpha is None else Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)


def _brightness(image: ImageFile.ImageFile) -> tuple[int | None, bool]:
    """The level that is white where pixels have more than 8 bits (else None), and whether it counts from white.

    Raises:
        UnreadableImageError: The file does not say which level is white.
    """
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    unsigned = set(tags.get(_TIFF_SAMPLE_FORMAT, ())) <= {_UNSIGNED}
    if unsigned and not image.mode.startswith(("I", "F")):
        return None, False
    if image.format in _FULL_RANGE_FORMATS and image.mode != "F":
        return _SIXTEEN_BIT, False
    if unsigned and tags and image.mode.startswith("I;16"):
        return 2 ** tags[_TIFF_BITS][0] - 1, tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO
    raise UnreadableImageError(
        "its 32-bit, signed or floating-point pixels have no defined white; convert it to 8 or 16 bits, unsigned"
    )


def _correct_transparency(image: ImageFile.ImageFile) -> None:
    """Bring a PNG's transparent colour to the range of its pixels, which Pillow leaves at the file's number of bits."""
    if image.format != "PNG" or "transparency" not in image.info or not image.tile:
        return
    raw = str(image.tile[0][3])
    if raw in ("L;2", "L;4"):
        image.info["transparency"] *= 255 // (2 ** int(raw[-1]) - 1)
    if raw == "RGB;16B":
        raise UnreadableImageError("one of its 16-bit colours is transparent, which Pillow cannot tell from others")


def _to_eight_bits(image: Image.Image, brightest: int, white_is_zero: bool) -> Image.Image:
    """Grey levels of more than 8 bits, which Pillow's own conversion clips in some versions and shifts in others."""
    levels = np.asarray(image).astype(np.int64)
    scaled = np.rint(levels * (255 / brightest)).astype(np.uint8)
    grey = Image.fromarray(255 - scaled if white_is_zero else scaled)
    if (transparent := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8)))
    return grey
