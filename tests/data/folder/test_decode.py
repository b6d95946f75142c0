"""Every kind of image file is decoded to the RGB that a viewer shows, or refused."""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from data import DataError, read_images
from data.folder.decode import UnreadableImageError, decode
from tests.data.folder.file_formats import (
    ADOBE,
    ICC,
    SRGB,
    chrm,
    file_of,
    fits,
    interoperability,
    jpeg_of_twelve_bits,
    levels,
    palette,
    plain,
    png,
    profile,
    stripped,
    tiff,
)


def one_colour(pixels: np.ndarray) -> list[int]:
    """The one colour of an image that has one."""
    flat = pixels.reshape(3, -1)
    assert (flat == flat[:, :1]).all()
    return [int(value) for value in flat[:, 0]]


def saved(image: Image.Image, path: Path, **how: object) -> Path:
    image.save(path, **how)  # type: ignore[arg-type]
    return path


GREEN = [10, 200, 30]
UNDEFINED = "its 32-bit, signed or floating-point pixels"

# By what docs/images.md says of them: files, and the colour that comes out, or the start of the reason for refusing.
KINDS: dict[str, list[tuple[bytes, list[int] | str]]] = {
    "1, 2, 4 or 8 bits: grey, palette, RGB, YCbCr": [
        (file_of(plain("1", 1), "PNG"), [255] * 3),
        (png(2, 0, b"\x55"), [85] * 3),
        (png(4, 0, b"\x33"), [51] * 3),
        (tiff(b"\x33", 4), [51] * 3),
        (tiff(b"\xcc", 4, photometric=0), [51] * 3),
        (tiff(levels("u1", 200, 200), 8, photometric=0), [55] * 3),
        (file_of(plain("L", 77), "PNG"), [77] * 3),
        (palette(), GREEN),
        (file_of(plain("RGB", tuple(GREEN)), "BMP"), GREEN),
        (file_of(plain("RGB", tuple(GREEN)).quantize(2), "GIF"), GREEN),
        (file_of(plain("YCbCr", (77, 128, 128)), "TIFF"), [77] * 3),
        (b"P5 2 1 100\n" + bytes((50, 50)), [128] * 3),
    ],
    "9 to 16 bits, grey: PNG, PGM, TIFF, JPEG 2000": [
        (png(16, 0, levels(">u2", 25_700, 25_700)), [100] * 3),
        (png(16, 0, levels(">u2", 65_535)), [255] * 3),
        (png(16, 0, levels(">u2", 300)), [1] * 3),
        (b"P5 2 1 65535\n" + levels(">u2", 2_313, 2_313), [9] * 3),
        (b"P5 2 1 1000\n" + levels(">u2", 500, 500), [128] * 3),
        (b"P2 2 1 4095\n4095 4095\n", [255] * 3),
        (tiff(levels("<u2", 25_700, 25_700), 16), [100] * 3),
        (tiff(levels(">u2", 25_700, 25_700), 16, order=">"), [100] * 3),
        (tiff(levels("<u2", 25_700, 25_700), 16, photometric=0), [155] * 3),
        (tiff(bytes.fromhex("808808"), 12), [128] * 3),
        (file_of(Image.fromarray(np.full((16, 16), 25_700, np.uint16)), "TIFF", compression="tiff_lzw"), [100] * 3),
        (file_of(Image.fromarray(np.full((16, 16), 25_700, np.uint16)), "JPEG2000"), [100] * 3),
    ],
    "16 bits, colour or alpha": [
        (png(16, 2, levels(">u2", 65_535, 25_700, 300)), [255, 100, 1]),
        (png(16, 6, levels(">u2", 65_535, 25_700, 300, 65_535)), [255, 100, 1]),
        (png(16, 4, levels(">u2", 25_700, 65_535)), [100] * 3),
        (tiff(levels("<u2", 65_535, 25_700, 300), 16, photometric=2, channels=3), [255, 100, 1]),
        (b"P6 1 1 65535\n" + levels(">u2", 65_535, 25_700, 300), [255, 100, 1]),
        (png(16, 2, bytes(6), (b"tRNS", bytes(6))), "one of its 16-bit colours is transparent"),
    ],
    "32 bits, signed or floating point": [
        (tiff(levels("<i2", 5, 5), 16, sample=2), UNDEFINED),
        (tiff(levels("<i2", -5, -5), 16, sample=2), UNDEFINED),
        (tiff(levels(">i2", -5, 5), 16, sample=2, order=">"), UNDEFINED),
        (tiff(levels("i1", -5, 5), 8, sample=2), UNDEFINED),
        (tiff(levels("<i4", -5, 5), 32, sample=2), UNDEFINED),
        (tiff(levels("<f4", 0.5, 0.5), 32, sample=3), UNDEFINED),
        (tiff(levels("<u4", 5, 5), 32), UNDEFINED),
        (tiff(levels("<u4", 5, 2**32 - 1), 32), UNDEFINED),
        (file_of(Image.fromarray(np.full((16, 16), 70_000, np.int32)), "TIFF"), UNDEFINED),
        (file_of(plain("F", 0.5), "TIFF"), UNDEFINED),
        (fits(levels(">i2", -5, 5), 16), UNDEFINED),
        (b"Pf 1 1 -1.0\n" + levels("<f4", 0.5), UNDEFINED),
    ],
    "CMYK": [
        (file_of(plain("CMYK", (255, 0, 0, 0)), "JPEG", quality=95), [0, 255, 255]),
        (file_of(plain("CMYK", (0, 0, 0, 255)), "JPEG", quality=95), [0, 0, 0]),
        (file_of(plain("CMYK", (0, 0, 255, 0)), "TIFF"), [255, 255, 0]),
        (stripped(file_of(plain("CMYK", (255, 0, 0, 0)), "JPEG")), "a CMYK JPEG without Adobe's marker"),
    ],
    "CIE Lab": [
        (file_of(plain("LAB", (136, 209, 195)), "TIFF"), [250, 3, 11]),
        (tiff(bytes((136, 81, 67)), 8, photometric=8, channels=3), [250, 3, 11]),
        (file_of(plain("LAB", (255, 128, 128)), "TIFF"), [255, 255, 255]),
    ],
    "a colour profile": [
        (file_of(plain("RGB", (100, 150, 50)), "PNG", icc_profile=ICC), [100, 150, 50]),
        (file_of(plain("RGB", (100, 150, 50)), "PNG", icc_profile=profile(256 / 563, *ADOBE)), [66, 151, 34]),
        (file_of(plain("RGB", (100, 150, 50)), "TIFF", icc_profile=profile(256 / 563, *ADOBE)), [66, 151, 34]),
        (file_of(plain("RGB", (100, 100, 100)), "WEBP", lossless=True, icc_profile=profile(1, *SRGB)), [168] * 3),
        (file_of(plain("RGBA", (100, 100, 100, 255)), "PNG", icc_profile=profile(1, *SRGB)), [168] * 3),
        (file_of(plain("L", 100), "PNG", icc_profile=profile(1, *SRGB)), [168] * 3),
        (palette(icc_profile=profile(1, 0.30, 0.60, 0.64, 0.33, 0.15, 0.06)), [229, 56, 97]),
        (file_of(plain("CMYK", (255, 0, 0, 0)), "TIFF", icc_profile=ICC), [0, 255, 255]),
        (file_of(plain("RGB", (1, 2, 3)), "PNG", icc_profile=b"no profile"), "its colour profile is damaged"),
        (file_of(plain("RGB", (1, 2, 3)), "PNG", icc_profile=ICC[:300]), "its colour profile is damaged"),
    ],
    "gamma and primary colours of a PNG; Adobe RGB in EXIF": [
        (png(8, 0, bytes((100,)), (b"gAMA", struct.pack(">I", 100_000))), [168] * 3),
        (png(8, 2, bytes((100, 100, 100)), (b"gAMA", struct.pack(">I", 30_000))), [59] * 3),
        (png(16, 0, levels(">u2", 25_700), (b"gAMA", struct.pack(">I", 100_000))), [168] * 3),
        (png(8, 0, bytes((100,)), (b"gAMA", struct.pack(">I", 45_455))), [100] * 3),
        (png(8, 0, bytes((100,)), (b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))), [100] * 3),
        (png(8, 2, bytes((100, 150, 50)), (b"gAMA", struct.pack(">I", 45_455)), chrm(*ADOBE)), [66, 151, 34]),
        (png(8, 2, bytes((100, 150, 50)), (b"gAMA", struct.pack(">I", 45_455)), chrm(*SRGB)), [100, 150, 50]),
        (png(8, 0, bytes((100,)), (b"gAMA", bytes(4))), "its gamma 0"),
        (
            file_of(plain("RGB", (100, 150, 50)), "JPEG", quality=100, subsampling=0, exif=interoperability("R03")),
            [66, 151, 34],
        ),
        (
            file_of(plain("RGB", (100, 150, 50)), "JPEG", quality=100, subsampling=0, exif=interoperability("R98")),
            [100, 150, 50],
        ),
    ],
    "transparency": [
        (file_of(plain("RGBA", (200, 0, 0, 255)), "PNG"), [200, 0, 0]),
        (file_of(plain("RGBA", (200, 0, 0, 0)), "PNG"), [255, 255, 255]),
        (file_of(plain("RGBA", (200, 0, 0, 128)), "PNG"), [227, 127, 127]),
        (file_of(plain("RGBA", (200, 0, 0, 0)), "WEBP", lossless=True), [255, 255, 255]),
        (file_of(plain("LA", (9, 0)), "PNG"), [255] * 3),
        (file_of(plain("LA", (9, 255)), "PNG"), [9] * 3),
        (file_of(plain("L", 9), "PNG", transparency=9), [255] * 3),
        (file_of(plain("L", 9), "PNG", transparency=8), [9] * 3),
        (file_of(plain("RGB", (9, 8, 7)), "PNG", transparency=(9, 8, 7)), [255] * 3),
        (palette(transparency=1), [255] * 3),
        (palette(transparency=b"\xff\xff"), GREEN),
        (palette(transparency=b"\xff\x00"), [255] * 3),
        (png(1, 0, b"\x00", (b"tRNS", b"\0\0")), [255] * 3),
        (png(2, 0, b"\x55", (b"tRNS", b"\0\1")), [255] * 3),
        (png(4, 0, b"\x33", (b"tRNS", b"\0\3")), [255] * 3),
        (png(4, 0, b"\x33", (b"tRNS", b"\0\2")), [51] * 3),
        (png(16, 0, levels(">u2", 300), (b"tRNS", b"\x01\x2c")), [255] * 3),
        (png(16, 0, levels(">u2", 301), (b"tRNS", b"\x01\x2c")), [1] * 3),
        (file_of(plain("PA", 0), "TIFF"), [255] * 3),
    ],
    "several frames or pages": [
        (file_of(plain("L", 40), kind, save_all=True, append_images=[plain("L", 80)]), [40] * 3)
        for kind in ("PNG", "GIF", "TIFF")
    ],
    "damaged, cut off or empty; more pixels than `data.max_pixels`; not an image; 12-bit JPEG": [
        (b"", "it is not an image"),
        (b"a text", "it is not an image"),
        (png(8, 0, b""), "it is not an image"),
        (jpeg_of_twelve_bits(), "it is not an image"),
        (png(8, 0, bytes(4097)), "it has 4,097 x 1 pixels, more than the limit of 4,096"),
    ],
}


@pytest.mark.parametrize(
    ("content", "expected"),
    [pytest.param(*case, id=f"{kind}-{i}") for kind, cases in KINDS.items() for i, case in enumerate(cases)],
)
def test_every_kind_of_pixel_is_right_or_refused(tmp_path: Path, content: bytes, expected: list[int] | str) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    if isinstance(expected, str):
        with pytest.raises(UnreadableImageError, match="^" + expected):
            decode(path, 4, max_pixels=4096)
    else:
        assert one_colour(decode(path, 4, max_pixels=4096)) == pytest.approx(expected, abs=1)


def test_predict_reads_files_alike(tmp_path: Path) -> None:
    """For a model of grey images too: their luma, or the same refusal, with the file's name."""
    cases = [(content, expected) for cases in KINDS.values() for content, expected in cases]
    assert len(cases) > 90
    for number, (content, expected) in enumerate(cases):
        path = tmp_path / str(number)
        path.write_bytes(content)
        if expected == "it has 4,097 x 1 pixels, more than the limit of 4,096":
            continue
        if isinstance(expected, str):
            with pytest.raises(DataError, match=f"{re.escape(str(path))}: {expected}"):
                read_images([path], (1, 4, 4))
        else:
            luma = np.dot(expected, (0.299, 0.587, 0.114))
            assert read_images([path], (1, 4, 4)).flatten().tolist() == pytest.approx([luma] * 16, abs=2)
            assert (read_images([path], (3, 4, 4))[0].numpy() == decode(path, 4)).all()


def test_a_page_tells_what_becomes_of_each_kind() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "images.md").read_text(encoding="utf-8")
    table = page.split("| pixels in the file |")[1].split("\n\n")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert rows == list(KINDS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "TGA", "AVIF"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_file_cut_short_is_refused(tmp_path: Path, kind: str, kept: float) -> None:
    noise = Image.effect_noise((64, 64), 50).convert("RGB")
    whole = file_of(noise.quantize() if kind == "GIF" else noise, kind)
    (tmp_path / "image").write_bytes(whole)
    decode(tmp_path / "image", 8)
    (tmp_path / "image").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(UnreadableImageError):
        decode(tmp_path / "image", 8)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_profile_is_applied_as_littlecms_does(tmp_path: Path, mode: str) -> None:
    image = Image.effect_noise((8, 8), 90).convert("L")
    if mode == "RGB":
        image = Image.merge("RGB", [Image.effect_noise((8, 8), 90) for _ in range(3)])
    wide = profile(1 / 1.8, *ADOBE)
    (tmp_path / "image").write_bytes(file_of(image, "PNG", icc_profile=wide))
    theirs = ImageCms.profileToProfile(image.convert("RGB"), io.BytesIO(wide), ImageCms.createProfile("sRGB"))
    assert theirs is not None
    assert (decode(tmp_path / "image", 8) == np.asarray(theirs).transpose(2, 0, 1)).all()


def test_what_is_not_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    for path in (tmp_path, tmp_path / "x.png"):
        with pytest.raises(UnreadableImageError, match="not a regular file"):
            decode(path, 4)
    with pytest.raises(UnreadableImageError, match="No such file"):
        decode(tmp_path / "y.png", 4)
    (tmp_path / "z.png").symlink_to("nowhere")
    with pytest.raises(UnreadableImageError, match="broken link to nowhere"):
        decode(tmp_path / "z.png", 4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    """Stored so that, turned as its EXIF says, the top left quarter is white."""
    upright = np.zeros((8, 8), np.uint8)
    upright[:4, :4] = 255
    undo: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: np.transpose, 6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(undo[orientation](upright))
    sixteen_bit = Image.fromarray(stored.astype(np.uint16) * 257)
    files = [
        file_of(Image.fromarray(stored), kind, exif=exif, lossless=True) for kind in ("PNG", "TIFF", "JPEG", "WEBP")
    ]
    for content in (*files, file_of(sixteen_bit, "PNG", exif=exif), file_of(sixteen_bit, "TIFF", exif=exif)):
        (tmp_path / "image").write_bytes(content)
        assert np.abs(decode(tmp_path / "image", 8)[0].astype(int) - upright).max() < 20


def test_resizing_is_antialiased(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(decode(saved(Image.fromarray(stripes), tmp_path / "x.png"), 8).astype(int) - 128).max() < 10


def test_shape_and_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30, 10), (value, 0, 0)) for value in (40, 80)]
    path = saved(frames[0], tmp_path / "x.png", save_all=True, append_images=frames[1:])
    pixels = decode(path, 12)
    assert pixels.shape == (3, 12, 12)
    assert pixels.dtype == np.uint8
    assert one_colour(pixels) == [40, 0, 0]
