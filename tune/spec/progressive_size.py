"""Training on smaller images first."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Gt, Le, Lt

from tune.spec.base import Frozen

STEP = 4
"""Pixels: sides are multiples of it, so that a GPU sees few sizes (as in Composer's progressive resizing)."""


class ProgressiveSizeSpec(Frozen):
    """Train on smaller images first, whose steps take less time, and on whole ones in the end.

    Sides grow evenly, in steps of 4 pixels (Tan and Le 2021, arXiv 2104.00298, section 4). The model must accept
    smaller images: mini_resnet does, and the classifier with pooling max or average.

    Validation images keep their size, so that a network does worse on them until it is trained on whole images (Touvron
    et al. 2019, arXiv 1906.06423). A scheduler that compares trials before that puts this one at a disadvantage.

    Attributes:
        start: The side of the images in the first epoch, as a share of their own.
        until: The share of all epochs after which images keep their own size.
    """

    start: Annotated[float, Gt(0), Lt(1)] = 0.75
    until: Annotated[float, Gt(0), Le(1)] = 0.6

    def size(self, own: Sequence[int], epoch: int, epochs: int) -> tuple[int, ...]:
        """The height and width of the images in an epoch; see `side`."""
        return tuple(self.side(side, epoch, epochs) for side in own)

    def pixels(self, own: Sequence[int], epochs: int) -> float:
        """The share of its own pixels that an image has, averaged over all epochs: about that of the time of a step."""
        shares = [math.prod(self.size(own, epoch, epochs)) / math.prod(own) for epoch in range(1, epochs + 1)]
        return statistics.fmean(shares)

    def side(self, own: int, epoch: int, epochs: int) -> int:
        """The side of the images in an epoch, in pixels.

        Args:
            own: The side of the whole images.
            epoch: From 1.
            epochs: Of the whole training.
        """
        progress = round((epoch - 1) / (self.until * epochs), 9)  # .1 x 30 is 3.0000000000000004 in binary
        if progress >= 1:
            return own
        side = round(own * (self.start + (1 - self.start) * progress), 9)
        return min(max(int(side) // STEP * STEP, STEP), own)
