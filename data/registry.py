"""The table of data sets and what is known of each without reading it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from data.errors import unknown
from data.published.digits import CLASSES, read_digits
from data.values import ImageSet, Part

_FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_CIFAR100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm
"""


@dataclass(frozen=True)
class DatasetEntry:
    """A data set of the table.

    Attributes:
        name: The value of ``data.name``.
        summary: One line on the images.
        input_shape: (channels, height, width) of every image; None if it depends on the specification.
        classes: Class names in the order of the labels; None if they depend on the user's files.
        train_size: Number of training images, including those set aside for validation; None if unknown.
        test_size: Number of test images; None if it depends on the files.
        torchvision_class: Class in ``torchvision.datasets`` that provides file names, URLs and checksums; its files
            must be laid out as those of MNIST or CIFAR.
        read: Reads a part of a data set whose images come with a package, or whose files are not torchvision's.
    """

    name: str
    summary: str
    input_shape: tuple[int, int, int] | None = None
    classes: tuple[str, ...] | None = None
    train_size: int | None = None
    test_size: int | None = None
    torchvision_class: str | None = None
    read: Callable[[Part], ImageSet] | None = None


_TABLE: dict[str, DatasetEntry] = {
    entry.name: entry
    for entry in (
        DatasetEntry(
            "digits", "8x8 grey handwritten digits from scikit-learn (no download), with a fixed test set of 20 %",
            (1, 8, 8), CLASSES, 1_438, 359, read=read_digits,
        ),
        DatasetEntry(
            "mnist", "28x28 grey handwritten digits (LeCun et al., 1998)",
            (1, 28, 28), CLASSES, 60_000, 10_000, "MNIST",
        ),
        DatasetEntry(
            "fashion_mnist", "28x28 grey photographs of clothes (Xiao et al., 2017)",
            (1, 28, 28), _FASHION, 60_000, 10_000, "FashionMNIST",
        ),
        DatasetEntry(
            "cifar10", "32x32 colour photographs of 10 classes (Krizhevsky, 2009)",
            (3, 32, 32), _CIFAR10, 50_000, 10_000, "CIFAR10",
        ),
        DatasetEntry(
            "cifar100", "32x32 colour photographs of 100 classes (Krizhevsky, 2009)",
            (3, 32, 32), tuple(_CIFAR100.split()), 50_000, 10_000, "CIFAR100",
        ),
        DatasetEntry("folder", "your own images: one folder per class in data.path, resized to data.image_size"),
    )
}  # fmt: skip


def names() -> list[str]:
    """The names of all data sets, in the order of the table."""
    return list(_TABLE)


def get(name: str) -> DatasetEntry:
    """The entry of a data set.

    Raises:
        DataError: There is no such data set; the message lists all names.
    """
    if name not in _TABLE:
        raise unknown("data set", name, _TABLE)
    return _TABLE[name]
