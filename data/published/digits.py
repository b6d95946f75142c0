"""The handwritten digits that come with scikit-learn: real images that need no download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from data.values import ImageSet, Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLASSES = tuple("0123456789")

_TEST_FRACTION = 0.2
_TEST_SEED = 42
_BRIGHTEST = 16


def read_digits(part: Part) -> ImageSet:
    """A part of the 1,797 digits of 8x8 pixels (Alpaydin and Kaynak, 1998; scikit-learn's ``load_digits``).

    The data set has no test set of its own; 20 % of each class, always drawn with seed 42, are the test set. Pixels
    are counts from 0 to 16 and are scaled to 0..255.
    """
    # Slow to import; the table of data sets is listed without them.
    import numpy as np
    import torch

    from data.splits import split

    rows = _rows()
    labels = torch.from_numpy(rows[:, -1].astype(np.int64))
    pixels = np.rint(rows[:, :-1].reshape(-1, 1, 8, 8) * (255 / _BRIGHTEST))
    images = torch.from_numpy(pixels.astype(np.uint8))
    parts = split(labels, _TEST_FRACTION, _TEST_SEED)
    index = parts.train if part == "train" else parts.validation
    return ImageSet(images[index], labels[index], CLASSES)


def _rows() -> NDArray[np.float64]:
    """The digits as rows of 64 pixels and the label.

    From scikit-learn's file, since to import scikit-learn takes each process of a search longer than a short training.
    """
    import numpy as np

    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).with_name("datasets") / "data" / "digits.csv.gz"
    if file.is_file():
        return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits  # another version may keep it elsewhere

    found = load_digits()
    return np.column_stack([found.data, found.target])
