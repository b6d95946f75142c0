"""Whether two models really differ, measured on the same images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, ttest_rel

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """How much more one model has than another on the same images.

    Attributes:
        n: Images.
        difference: The mean over the images, of one model minus the other.
        low: Lower end of the 95 % confidence interval; NaN where there are too few images for one.
        high: Upper end.
        p: Of the test that there is no difference; NaN likewise.
    """

    n: int
    difference: float
    low: float
    high: float
    p: float


def accuracy_difference(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Difference:
    """The accuracy of one model minus that of another.

    The interval is Wald's with the adjustment of Bonett and Price (2012, doi 10.3102/1076998611411915), which has a
    width also where the models never disagree. The test is McNemar's exact one (1947).

    Args:
        one: (N,), whether one model is right about each image; at least one image.
        other: (N,), the same of the other model.
    """
    n, gained, lost = len(one), int((one & ~other).sum()), int((other & ~one).sum())
    more, less = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    reach = norm.ppf((1 + CONFIDENCE) / 2) * math.sqrt((more + less - (more - less) ** 2) / (n + 2))
    low, high = max(more - less - reach, -1.0), min(more - less + reach, 1.0)
    p = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    return Difference(n, (gained - lost) / n, float(low), float(high), float(p))


def mean_difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> Difference:
    """The mean of one model's values minus that of another's, with Student's paired interval and test.

    Args:
        one: (N,), one model's value for each image; at least one image.
        other: (N,), the same of the other model.
    """
    n, gap = len(one), float(np.mean(one - other))
    if n < 2:
        return Difference(n, gap, math.nan, math.nan, math.nan)
    if np.ptp(one - other) == 0:  # the t statistic would be 0 / 0 or infinite
        return Difference(n, gap, gap, gap, 1.0 if gap == 0 else 0.0)
    found = ttest_rel(one, other)
    interval = found.confidence_interval(CONFIDENCE)
    return Difference(n, gap, float(interval.low), float(interval.high), float(found.pvalue))
