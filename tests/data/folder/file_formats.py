"""Image files of every kind of pixel, as the specifications lay them out."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

from data.folder import colour


def png(bits: int, kind: int, row: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of one row, as the specification lays it out; ``kind`` 0 is grey, 2 RGB, 3 palette, 4 and 6 with alpha."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    width = len(row) * 8 // (bits * channels)
    head = struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def tiff(row: bytes, bits: int, *, photometric: int = 1, sample: int = 1, channels: int = 1, order: str = "<") -> bytes:
    """A TIFF of one row, as the specification lays it out; ``sample`` 1 is unsigned, 2 signed, 3 floating point."""
    width = len(row) * 8 // (bits * channels)
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 277: channels, 278: 1, 279: len(row), 339: sample}
    body, ifd = 8 + 2 + 12 * (len(tags) + 1) + 4, struct.pack(order + "H", len(tags) + 1)
    extra = struct.pack(order + "3H", bits, bits, bits)
    for tag, value in sorted({**tags, 273: body + len(extra)}.items()):
        if tag == 258 and channels == 3:
            ifd += struct.pack(order + "HHII", tag, 3, 3, body)
        else:
            ifd += struct.pack(order + "HHII", tag, 4, 1, value)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", 8) + ifd + bytes(4) + extra + row


def fits(row: bytes, bits: int) -> bytes:
    """A FITS of one row, whose integers are signed."""
    values = {"SIMPLE": "T", "BITPIX": bits, "NAXIS": 2, "NAXIS1": len(row) * 8 // bits, "NAXIS2": 1}
    cards = [f"{name:8}= {value!s:>20}".ljust(80) for name, value in values.items()] + ["END".ljust(80)]
    return "".join(cards).ljust(2880).encode() + row.ljust(2880, b"\0")


def file_of(image: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def plain(mode: str, values: object) -> Image.Image:
    return Image.new(mode, (16, 16), values)  # type: ignore[arg-type]


def levels(kind: str, *values: float) -> bytes:
    return np.array(values, kind).tobytes()


def palette(**how: object) -> bytes:
    image = plain("P", 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    return file_of(image, "PNG", **how)


def interoperability(index: str) -> Image.Exif:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: index}
    return exif


def profile(gamma: float, *primaries: float) -> bytes:
    return colour._matrix_profile(gamma, (0.3127, 0.3290, *primaries))


def chrm(*primaries: float) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in (0.3127, 0.3290, *primaries)))


def jpeg_of_twelve_bits() -> bytes:
    whole = bytearray(file_of(plain("L", 9), "JPEG"))
    whole[whole.index(b"\xff\xc0") + 4] = 12
    return bytes(whole)


def stripped(jpeg: bytes) -> bytes:
    """A JPEG without Adobe's marker."""
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big") :]


SRGB = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
ADOBE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
