"""Conversion of an image's colours to sRGB, by its embedded profile or equivalent information."""

from __future__ import annotations

import struct
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

_SAME_COLOURS = 3
"""Largest difference, in levels of 255, between two sRGB profiles, which are rounded in different ways."""
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_SRGB_CHROMATICITY = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_ADOBE_RGB_CHROMATICITY = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
_SRGB_GAMMA = 0.45455
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])
_INTEROPERABILITY_IFD = 0xA005


class ColourError(Exception):
    """Colours that cannot be converted to sRGB."""


def to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an opaque image to sRGB.

    Args:
        image: An image of mode L, RGB, CMYK or LAB.
        profile: Its ICC profile; None for sRGB, or for CMYK or LAB without a profile. As in browsers, a profile is
            ignored if it is for another kind of colours than the image has.

    Raises:
        ColourError: The profile is damaged.
    """
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _lab_transform()) or image
    if profile is None:
        return image.convert("RGB")
    try:
        mode, transform = _transform(profile)
        if mode == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if transform is None or image.mode != mode:
            return image.convert("RGB")
        return ImageCms.applyTransform(image, transform) or image
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise ColourError(f"its colour profile is damaged: {error}") from error


def profile_of(image: Image.Image) -> bytes | None:
    """The embedded profile of an opened file, or one equivalent to its other colour information; None for sRGB.

    A PNG may define gamma and primary colours instead (chunks gAMA and cHRM). Cameras often mark Adobe RGB only by the
    interoperability index R03 in EXIF.

    Raises:
        ColourError: Gamma or primary colours are invalid.
    """
    if embedded := image.info.get("icc_profile"):
        return bytes(embedded)
    if image.format == "PNG" and "srgb" not in image.info:
        gamma = image.info.get("gamma", _SRGB_GAMMA)
        chromaticity = tuple(image.info.get("chromaticity", _SRGB_CHROMATICITY))
        if abs(gamma - _SRGB_GAMMA) > 0.01 or not np.allclose(chromaticity, _SRGB_CHROMATICITY, atol=0.005):
            return _matrix_profile(gamma, chromaticity)
    return _matrix_profile(256 / 563, _ADOBE_RGB_CHROMATICITY) if _marked_as_adobe_rgb(image) else None


def _marked_as_adobe_rgb(image: Image.Image) -> bool:
    try:
        exif = image.getexif()
        return bool(exif) and exif.get_ifd(_INTEROPERABILITY_IFD).get(1) == "R03"
    except Exception:  # Cameras and editors write malformed EXIF, for which Pillow raises many kinds of exceptions.
        return False


@lru_cache(maxsize=64)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """The image mode that a profile is for, and its transform to sRGB; None if that changes nothing."""
    opened = ImageCms.ImageCmsProfile(BytesIO(profile))
    space = opened.profile.xcolor_space.strip()
    if space not in _MODES:
        return space, None
    mode = _MODES[space]
    transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
    if mode == "CMYK":
        return mode, transform
    steps = np.arange(256) if mode == "L" else np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), -1).reshape(-1, 3)
    probe = Image.fromarray(steps[None].astype(np.uint8))
    changed = np.asarray(ImageCms.applyTransform(probe, transform)).astype(int)
    difference = np.abs(changed - np.asarray(probe.convert("RGB"))).max()
    return mode, transform if difference > _SAME_COLOURS else None


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


@lru_cache(maxsize=64)
def _matrix_profile(gamma: float, chromaticity: tuple[float, ...]) -> bytes:
    """An ICC profile (version 2.1, matrix and curves) for RGB.

    Args:
        gamma: Exponent from light to pixel values, as in PNG's gAMA.
        chromaticity: x and y of white, red, green and blue, as in PNG's cHRM.
    """
    x, y = np.reshape(chromaticity, (4, 2)).T
    if gamma <= 0 or y.min() <= 0:
        raise ColourError(f"its gamma {gamma:g} or its primary colours {chromaticity} are invalid")
    white, *primaries = np.stack([x / y, np.ones(4), (1 - x - y) / y], axis=1)
    columns = np.array(primaries).T
    columns = columns * np.linalg.solve(columns, white)
    # Profiles use the white point D50; the Bradford transform adapts others to it (ICC.1:2001-04, annex E).
    cones = np.diag(_BRADFORD @ _D50 / (_BRADFORD @ white))
    adapted = np.linalg.solve(_BRADFORD, cones @ _BRADFORD @ columns)
    tags = [(b"wtpt", _xyz(_D50))]
    tags += [(name + b"XYZ", _xyz(column)) for name, column in zip((b"r", b"g", b"b"), adapted.T, strict=True)]
    curve = b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(256 / gamma))
    tags += [(name + b"TRC", curve) for name in (b"r", b"g", b"b")]
    table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags:
        table += struct.pack(">4sII", name, offset + len(body), len(data))
        body += data
    head = struct.pack(">I4xI4s4s4s12x4s28x3i48x", offset + len(body), 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp",
                       *np.rint(_D50 * 65_536).astype(int))  # fmt: skip
    return head + table + body


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *np.rint(values * 65_536).astype(int))
