"""The plan of the parametric models: all channel counts, sizes and widths, computed from a few numbers.

Plain arithmetic, apart from the networks, so that a search can refuse an impossible configuration, and a listing can
show the numbers of a model, without allocating weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from models.errors import ModelError

Channels = Annotated[int, Ge(1), Le(65_536)]
Layers = Annotated[int, Ge(1), Le(64)]

# Side of the last feature map, in pixels, unless it is given.
FINAL_SIZE = 2


@dataclass(frozen=True)
class StagePlan:
    """The numbers of the convolution stages.

    Attributes:
        channels: of the image, then after each of the L stages; L + 1 numbers.
        sizes: side of the feature map after each stage, in pixels; L numbers.
        channel_ratio: factor from each stage's channels to the next, before rounding.
    """

    channels: tuple[int, ...]
    sizes: tuple[int, ...]
    channel_ratio: float


@dataclass(frozen=True)
class ClassifierPlan(StagePlan):
    """The numbers of a classifier: of its stages and of its head.

    Attributes:
        widths: features entering the head, then after each of its F linear layers; F + 1 numbers, the last is the
            number of classes.
    """

    widths: tuple[int, ...]


def plan(
    input_shape: Sequence[int],
    classes: int,
    *,
    starting_channels: int,
    final_channels: int,
    cnn_layers: int,
    fcn_layers: int,
    conv_channels: Sequence[int] = (),
    final_size: int = FINAL_SIZE,
    head_size: int | None = None,
) -> ClassifierPlan:
    """Return the plan: channels, sizes and widths are spaced geometrically between their first and last values.

    Halves are rounded to even, as Python does. With a single stage there is only one channel count, and
    `starting_channels` must equal `final_channels`.

    Args:
        input_shape: (C, H, W) with H = W, in pixels.
        classes: number of outputs.
        starting_channels: after the first stage.
        final_channels: after the last stage; may be smaller than `starting_channels`.
        cnn_layers: number of convolution stages.
        fcn_layers: number of linear layers; with 1, a single layer maps the features to the classes.
        conv_channels: after each stage, instead of the three numbers above that determine them; the ratio is then that
            between the first and the last.
        final_size: side of the last feature map, in pixels.
        head_size: side of what the head gets of it; by default all.

    Raises:
        ModelError: there is no such network; the message names the stage that fails and the values that work.
    """
    _require_positive("classifier", fcn_layers=fcn_layers, classes=classes)
    if conv_channels:
        starting_channels, final_channels, cnn_layers = conv_channels[0], conv_channels[-1], len(conv_channels)
    stages = stage_plan("classifier", input_shape, starting_channels, final_channels, cnn_layers, final_size)
    flat = final_channels * (final_size if head_size is None else head_size) ** 2
    width_ratio = (classes / flat) ** (1 / fcn_layers)
    widths = (flat, *(round(flat * width_ratio**layer) for layer in range(1, fcn_layers + 1)))
    channels = (input_shape[0], *conv_channels) if conv_channels else stages.channels
    return ClassifierPlan(channels, stages.sizes, stages.channel_ratio, widths)


def stage_plan(
    model: str,
    input_shape: Sequence[int],
    starting_channels: int,
    final_channels: int,
    cnn_layers: int,
    final_size: int = FINAL_SIZE,
) -> StagePlan:
    """Return the plan of the convolution stages; see `plan`.

    Args:
        model: name of the model, for error messages.
        input_shape: (C, H, W) with H = W, in pixels.
        starting_channels: after the first stage.
        final_channels: after the last stage.
        cnn_layers: number of convolution stages.
        final_size: side of the last feature map, in pixels.

    Raises:
        ModelError: see `plan`.
    """
    in_channels, side = input_shape[0], _side(model, input_shape)
    _require_positive(
        model,
        starting_channels=starting_channels,
        final_channels=final_channels,
        cnn_layers=cnn_layers,
        image_channels=in_channels,
        image_side=side,
    )
    _require_poolable(model, side, cnn_layers, final_size)
    ratio = _channel_ratio(model, starting_channels, final_channels, cnn_layers)
    return StagePlan(
        channels=(in_channels, *(round(starting_channels * ratio**stage) for stage in range(cnn_layers))),
        sizes=tuple(_stage_sizes(side, cnn_layers, final_size)),
        channel_ratio=ratio,
    )


def _side(model: str, input_shape: Sequence[int]) -> int:
    _, height, width = input_shape
    if height != width:
        raise ModelError(f"{model}: images must be square (got {height} x {width} pixels)")
    return height


def _require_positive(model: str, **numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ModelError(f"{model}: {name} must be at least 1 (got {number})")


def _channel_ratio(model: str, starting_channels: int, final_channels: int, cnn_layers: int) -> float:
    if cnn_layers > 1:
        ratio: float = (final_channels / starting_channels) ** (1 / (cnn_layers - 1))
        return ratio
    if starting_channels != final_channels:
        raise ModelError(
            f"{model}: with cnn_layers=1, starting_channels and final_channels must be equal "
            f"(got {starting_channels} and {final_channels})"
        )
    return 1.0


def _stage_sizes(side: int, cnn_layers: int, final_size: int) -> Iterator[int]:
    ratio = (final_size / side) ** (1 / cnn_layers)
    return (round(side * ratio**stage) for stage in range(1, cnn_layers + 1))


def _failing_stage(side: int, cnn_layers: int, final_size: int) -> tuple[int, int, int] | None:
    """Return the first stage that does not shrink the feature map: its number (from 1), the side before and after."""
    before = side
    for stage, after in enumerate(_stage_sizes(side, cnn_layers, final_size), start=1):
        if after + 1 > before:
            return stage, before, after
        before = after
    return None


def _require_poolable(model: str, side: int, cnn_layers: int, final_size: int) -> None:
    failure = _failing_stage(side, cnn_layers, final_size)
    if failure is None:
        return
    if side <= final_size:
        raise ModelError(
            f"{model}: images must be at least {final_size + 1} x {final_size + 1} pixels (got {side} x {side}), "
            f"since the last feature map has {final_size} x {final_size}"
        )
    stage, before, after = failure
    raise ModelError(
        f"{model}: cnn_layers must be {_in_words(possible_cnn_layers(side, final_size))} for images of "
        f"{side} x {side} pixels (got {cnn_layers}): every stage must shrink the feature map, and stage {stage} would "
        f"go from {before} to {after} pixels"
    )


def possible_cnn_layers(side: int, final_size: int = FINAL_SIZE) -> tuple[int, ...]:
    """Return every `cnn_layers` that is possible for images of `side` x `side` pixels, in ascending order."""
    if side <= final_size:
        return ()
    # The last stage shrinks at least `final_size` + 1/2 (before rounding) to `final_size`, which bounds the ratio.
    most = math.log(side / final_size) / math.log((final_size + 0.5) / final_size)
    return tuple(
        layers for layers in range(1, math.floor(most) + 2) if _failing_stage(side, layers, final_size) is None
    )


def _in_words(numbers: Sequence[int]) -> str:
    runs = numbers[-1] - numbers[0] + 1 == len(numbers) > 1
    return f"{numbers[0]} to {numbers[-1]}" if runs else ", ".join(map(str, numbers))
