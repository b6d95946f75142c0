"""Decode an image file to pixels, or refuse it if they would not be what the file shows."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from data.folder import colour
from data.values import MAX_PIXELS

# Pillow only warns between half its limit and the limit, and has one limit for the whole process: `decode` has its own.
Image.MAX_IMAGE_PIXELS = None

DECODER_VERSION = 2
"""Raised by one whenever the same file gives other pixels than before: prepared copies are then made again."""

_SIXTEEN_BIT = 65_535
_TRANSPARENT_MODES = frozenset(("LA", "La", "PA", "RGBA", "RGBa"))
_GREY_MODES = frozenset(("1", "L", "LA", "La"))
_FULL_RANGE_FORMATS = frozenset(("PNG", "PPM", "JPEG2000"))
"""Formats whose grey levels of more than 8 bits Pillow scales to 16 bits."""
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


_ICONS = (b"\0\0\1\0", b"icns")  # how such files begin
_icon = threading.Lock()


class UnreadableImageError(Exception):
    """A file that cannot be decoded. The text is the reason."""


def decode(path: Path, side: int, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image as upright RGB (sRGB), resized to a square.

    Animations are represented by their first frame. EXIF orientation and embedded colour profiles are applied,
    transparency is shown on white, and the image is resized by antialiased bilinear interpolation, ignoring its aspect
    ratio. docs/images.md lists what is done with each kind of pixel.

    Args:
        path: A file in any format Pillow reads.
        side: Height and width in pixels of the result.
        max_pixels: The largest image that is decoded, height times width.

    Returns:
        (3, side, side) uint8.

    Raises:
        UnreadableImageError: The file is damaged or too large, or the meaning of its pixels is undefined.
    """
    try:
        if path.is_symlink() and not path.exists():
            raise UnreadableImageError(f"it is a broken link to {path.readlink()}")
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableImageError("it is not a regular file")
        with open_image(path, max_pixels) as image:
            if image.width * image.height > max_pixels:
                raise UnreadableImageError(
                    f"it has {image.width:,} x {image.height:,} pixels, more than the limit of {max_pixels:,} "
                    "(data.max_pixels)"
                )
            if image.format == "EPS":
                raise UnreadableImageError("EPS is a program, which Ghostscript would run; convert it to PNG")
            small = _rgb(image).resize((side, side), Image.Resampling.BILINEAR)
        return np.asarray(small).transpose(2, 0, 1)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImageError("it is not an image, or in a format that Pillow cannot read") from error
    except Exception as error:
        # Pillow raises many kinds of exceptions for damaged files: OSError, SyntaxError, struct.error, zlib.error.
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadableImageError(" ".join(text.split())) from error


def open_image(path: Path, max_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    """Open an image file, to be closed by the caller; its pixels are not decoded.

    Those of an icon are: the picture in it has a size of its own, which Pillow alone can compare with a limit.
    """
    with path.open("rb") as file:
        icon = file.read(4) in _ICONS
    if not icon:
        return Image.open(path)
    with _icon:
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            image = Image.open(path)
            try:
                image.load()
            except BaseException:
                image.close()
                raise
        finally:
            Image.MAX_IMAGE_PIXELS = None
    return image


def _rgb(image: ImageFile.ImageFile) -> Image.Image:
    """Convert an opened file in any of Pillow's modes to upright, opaque RGB."""
    if image.format in ("JPEG", "MPO") and image.mode == "CMYK" and "adobe" not in image.info:
        raise UnreadableImageError("a CMYK JPEG without Adobe's marker may or may not be inverted; convert it to RGB")
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
    """The maximum of pixels with more than 8 bits (else None), and whether 0 is white instead of black.

    Raises:
        UnreadableImageError: The range of the pixels is undefined.
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
        "its 32-bit, signed or floating-point pixels have no defined range; convert it to unsigned 8 or 16 bits"
    )


def _correct_transparency(image: ImageFile.ImageFile) -> None:
    """Scale a PNG's transparent grey level as Pillow scales its pixels."""
    if image.format != "PNG" or "transparency" not in image.info or not image.tile:
        return
    raw = str(image.tile[0][3])
    if raw in ("L;2", "L;4"):
        image.info["transparency"] *= 255 // (2 ** int(raw[-1]) - 1)
    if raw == "RGB;16B":
        raise UnreadableImageError("one of its 16-bit colours is transparent; convert it to 8 bits, or use alpha")


def _to_eight_bits(image: Image.Image, brightest: int, white_is_zero: bool) -> Image.Image:
    """Scale grey levels to 8 bits. (Pillow's own conversion clips in some versions and shifts in others.)"""
    levels = np.asarray(image)
    scaled = np.rint(np.arange(brightest + 1) * (255 / brightest)).astype(np.uint8)[levels]
    grey = Image.fromarray(255 - scaled if white_is_zero else scaled)
    if (transparent := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8)))
    return grey
