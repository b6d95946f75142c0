"""The table of models: what exists, which options it takes, and how it is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import nn

from models.classifier import check_classifier, classifier
from models.errors import ModelError, unknown
from models.testbed import check_simple_cnn, mnist_cnn, mnist_mlr, simple_cnn


@dataclass(frozen=True)
class ModelEntry:
    """One model.

    Attributes:
        name: by which experiments call it.
        build: `build(input_shape, classes, *, <options with defaults>)` returns a module from images (B, C, H, W) to
            logits (B, classes). The keyword-only parameters *are* the options: their annotations say what is legal.
        summary: one line for listings.
        task: what its output is for.
        native_input: (C, H, W) of the images it was published on, in pixels.
        native_classes: number of classes it was published on.
        check: `check(input_shape, classes, **options)`, with every option given, raises `ModelError` where no such
            network exists, without building it; None where any options fit any image.
    """

    name: str
    build: Callable[..., nn.Module]
    summary: str
    task: str = "classification"
    native_input: tuple[int, int, int] = (3, 32, 32)
    native_classes: int = 10
    check: Callable[..., None] | None = None


@dataclass(frozen=True)
class Option:
    """One option of a model: its name, the type that says which values are legal, and its default."""

    name: str
    annotation: Any
    default: Any


_MODELS = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="classifier",
            build=classifier,
            summary="parametric classifier: conv stages and linear layers whose sizes run geometrically",
            check=check_classifier,
        ),
        ModelEntry(
            name="mnist_mlr",
            build=mnist_mlr,
            summary="multinomial logistic regression: one linear layer on the pixels",
            native_input=(1, 28, 28),
        ),
        ModelEntry(
            name="mnist_cnn",
            build=mnist_cnn,
            summary="perceptron with hidden layers, ReLU and dropout (no convolution, despite its published name)",
            native_input=(1, 28, 28),
        ),
        ModelEntry(
            name="simple_cnn",
            build=simple_cnn,
            summary="conv, ReLU and max pooling in blocks, then one hidden linear layer",
            native_input=(1, 28, 28),
            check=check_simple_cnn,
        ),
    )
}


def names() -> list[str]:
    """Return the names of all models."""
    return list(_MODELS)


def get(name: str) -> ModelEntry:
    """Return the entry of one model.

    Raises:
        ModelError: there is no such model; lists all and names the nearest.
    """
    try:
        return _MODELS[name]
    except (KeyError, TypeError):
        raise unknown("model", name, names()) from None


def options(name: str) -> dict[str, Option]:
    """Return the options of one model by name, in the order of its builder's signature.

    Raises:
        ModelError: there is no such model.
    """
    return dict(_options(get(name)))


@cache
def _options(entry: ModelEntry) -> dict[str, Option]:
    hints = get_type_hints(entry.build, include_extras=True)
    return {
        parameter.name: Option(parameter.name, hints[parameter.name], parameter.default)
        for parameter in inspect.signature(entry.build).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


@cache
def _adapter(entry: ModelEntry, option: str) -> TypeAdapter[Any]:
    return TypeAdapter(_options(entry)[option].annotation, config=ConfigDict(allow_inf_nan=False))


def check(name: str, input_shape: Sequence[int], classes: int, **options: Any) -> None:
    """Raise `ModelError` if this model cannot be built so: an unknown option, an illegal value, or an impossible plan.

    Builds nothing, and takes well under a millisecond: a search asks for each configuration that it draws.
    """
    _checked(get(name), input_shape, classes, options)


def build(name: str, input_shape: Sequence[int], classes: int, **options: Any) -> nn.Module:
    """Build a model that maps images (B, C, H, W) to logits (B, classes).

    Args:
        name: of the model.
        input_shape: (C, H, W), in pixels.
        classes: number of outputs.
        options: the model's own; those left out take their defaults.

    Raises:
        ModelError: as `check` does.
    """
    entry = get(name)
    return entry.build(tuple(input_shape), classes, **_checked(entry, input_shape, classes, options))


def _checked(entry: ModelEntry, input_shape: Sequence[int], classes: int, given: dict[str, Any]) -> dict[str, Any]:
    """Return every option of the model, in its own type, once the whole is known to be possible."""
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ModelError(f"{entry.name}: the image must be (C, H, W) with each at least 1, got {tuple(input_shape)}")
    if classes < 1:
        raise ModelError(f"{entry.name}: classes must be at least 1, got {classes}")
    known = _options(entry)
    values = {option.name: option.default for option in known.values()}
    for option, value in given.items():
        if option not in known:
            raise unknown(f"option of {entry.name}", option, list(known))
        values[option] = _value(entry, option, value)
    if entry.check is not None:
        entry.check(tuple(input_shape), classes, **values)
    return values


def _value(entry: ModelEntry, option: str, value: object) -> Any:
    try:
        return _adapter(entry, option).validate_python(value)
    except ValidationError as error:
        # A YAML list becomes a tuple here; what does not fit is worded by pydantic, the first complaint being enough.
        raise ModelError(f"{entry.name}: {option}={value!r}: {error.errors()[0]['msg']}") from None
