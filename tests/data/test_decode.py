"""One image of every kind comes out as the RGB a viewer shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.decode import UnreadableImageError, decode


def colour(pixels: np.ndarray) -> list[int]:
    """The one colour of an image that has one."""
    flat = pixels.reshape(3, -1)
    assert (flat == flat[:, :1]).all()
    return [int(value) for value in flat[:, 0]]


def saved(image: Image.Image, path: Path, **how: object) -> Path:
    image.save(path, **how)  # type: ignore[arg-type]
    return path


def sixteen_bit(level: int, kind: str = "<u2") -> Image.Image:
    return Image.fromarray(np.full((6, 5), level, kind))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(("level", "grey"), [(0, 0), (257 * 100, 100), (65_535, 255), (300, 1)])
def test_sixteen_bits_are_scaled_not_cut_off(tmp_path: Path, level: int, grey: int, suffix: str) -> None:
    assert colour(decode(saved(sixteen_bit(level), tmp_path / f"x.{suffix}"), 4)) == [grey] * 3


def test_big_endian_sixteen_bits(tmp_path: Path) -> None:
    header = b"P5 5 6 65535\n"
    (tmp_path / "x.pgm").write_bytes(header + np.full((6, 5), 257 * 9, ">u2").tobytes())
    assert colour(decode(tmp_path / "x.pgm", 4)) == [9, 9, 9]


def test_grey_palette_bilevel_and_cmyk(tmp_path: Path) -> None:
    assert colour(decode(saved(Image.new("L", (5, 6), 77), tmp_path / "l.png"), 4)) == [77, 77, 77]
    assert colour(decode(saved(Image.new("1", (5, 6), 1), tmp_path / "1.png"), 4)) == [255, 255, 255]
    palette = Image.new("RGB", (5, 6), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert colour(decode(saved(palette, tmp_path / "p.gif"), 4)) == [10, 200, 30]
    cyan = decode(saved(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), tmp_path / "c.jpg", quality=95), 4)
    assert colour(cyan) == pytest.approx([0, 255, 255], abs=3)


@pytest.mark.parametrize(("alpha", "red"), [(255, [200, 0, 0]), (0, [255, 255, 255]), (128, [227, 127, 127])])
def test_transparent_parts_lie_on_white(tmp_path: Path, alpha: int, red: list[int]) -> None:
    assert colour(decode(saved(Image.new("RGBA", (5, 6), (200, 0, 0, alpha)), tmp_path / "x.png"), 4)) == red


def test_other_kinds_of_transparency(tmp_path: Path) -> None:
    assert colour(decode(saved(Image.new("LA", (5, 6), (9, 0)), tmp_path / "la.png"), 4)) == [255] * 3
    assert colour(decode(saved(Image.new("L", (5, 6), 9), tmp_path / "l.png", transparency=9), 4)) == [255] * 3
    palette = Image.new("P", (5, 6), 0)
    palette.putpalette([1, 2, 3])
    assert colour(decode(saved(palette, tmp_path / "p.png", transparency=0), 4)) == [255] * 3
    assert colour(decode(saved(palette, tmp_path / "b.png", transparency=b"\xff"), 4)) == [1, 2, 3]


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
    path = saved(Image.fromarray(np.ascontiguousarray(undo[orientation](upright))), tmp_path / "x.png", exif=exif)
    assert (decode(path, 8)[0] == upright).all()


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
    assert colour(pixels) == [40, 0, 0]


def test_what_gives_no_pixels_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="no defined range of brightness"):
        decode(saved(Image.new("F", (4, 4), 0.5), tmp_path / "x.tif"), 4)
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(UnreadableImageError, match="no image in a format that Pillow knows"):
        decode(tmp_path / "x.png", 4)
    whole = saved(Image.effect_noise((64, 64), 50), tmp_path / "y.png").read_bytes()
    (tmp_path / "y.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableImageError):
        decode(tmp_path / "y.png", 4)
    with pytest.raises(UnreadableImageError, match="Is a directory"):
        decode(tmp_path, 4)
