"""The handwritten digits that come with scikit-learn: real images that need no download."""

from __future__ import annotations

from data.values import ImageSet, Part

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
    from sklearn.datasets import load_digits

    from data.splits import split

    bundled = load_digits()
    labels = torch.from_numpy(bundled.target.astype(np.int64))
    images = torch.from_numpy(np.rint(bundled.images * (255 / _BRIGHTEST)).astype(np.uint8))[:, None]
    parts = split(labels, _TEST_FRACTION, _TEST_SEED)
    index = parts.train if part == "train" else parts.validation
    return ImageSet(images[index], labels[index], CLASSES)
