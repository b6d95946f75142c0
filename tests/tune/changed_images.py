"""A search of a user's images, and what may happen to them meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

SPACE = """
experiment:
  data: {name: folder, path: PATH, image_size: 8, validation_fraction: 0.2}
  model: {name: simple_cnn, conv_channels: [4]}
  training: {epochs: 1, batch_size: 8, threads: 1}
space:
  model.hidden_dim: {int: [8, 32]}
  training.optimizer.lr: {float: [1e-4, 1e-1], log: true}
search: {trials: 4, scheduler: {name: none}}
"""


def rename_images(images: Path) -> None:
    """Other names and another order; the same images in the same classes."""
    for folder in sorted(images.iterdir()):
        files = sorted(folder.iterdir())
        for place, file in enumerate(files):
            file.rename(folder / f"z{len(files) - place:03d}.png")


def replace_pixels(images: Path) -> None:
    Image.new("RGB", (16, 16), "teal").save(images / "red" / "3.png")


def add_class(images: Path) -> None:
    (images / "violet").mkdir()
    for place in range(12):
        Image.new("RGB", (16, 16), (place, 0, 200)).save(images / "violet" / f"{place}.png")


def add_image(images: Path) -> None:
    Image.new("RGB", (16, 16), "teal").save(images / "red" / "new.png")


def remove_image(images: Path) -> None:
    (images / "red" / "3.png").unlink()


def swap_classes(images: Path) -> None:
    for old, new in (("red", "other"), ("green", "red"), ("other", "green")):
        (images / old).rename(images / new)


def rename_class(images: Path) -> None:
    """The last of the classes becomes the first."""
    (images / "red").rename(images / "a new name")


CHANGES: dict[Callable[[Path], None], str] = {
    rename_images: "the same images",
    replace_pixels: "class 'red': 1 image replaced",
    add_class: "class 'violet' was added (12 images)",
    add_image: "class 'red': 1 image added",
    remove_image: "class 'red': 1 image removed",
    swap_classes: "swapped",
    rename_class: "class 'red' was renamed to 'a new name'",
}
