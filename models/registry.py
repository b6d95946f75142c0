"""The table of models: their names and options, and how each is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import nn

from models.classifier import check_classifier, classifier
from models.classifier_plan import StagePlan
from models.errors import ModelError, check_sides, shown, unknown
from models.mnist_residual import mnist_residual
from models.mnist_suite import SMALL_LEAST_SIDE, V1_LEAST_SIDE, mnist_small, mnist_v0, mnist_v1, mnist_v2, mnist_v3
from models.resnet import mini_resnet
from models.testbed import check_halving_blocks, cifar_model, mnist_cnn, mnist_mlr, simple_cnn
from models.tiny_vgg import tiny_vgg
from models.vae import check_vae, vae


@dataclass(frozen=True)
class ModelEntry:
    """One model.

    Attributes:
        name: the value of `model.name` in an experiment.
        build: `build(input_shape, classes, *, <options with defaults>)` returns a module that maps images (B, C, H, W)
            to what its task needs. The keyword-only parameters are the model's options, and their annotations define
            which values are valid.
        summary: one line for listings.
        task: what the output is: "classification" returns logits (B, classes); "reconstruction" returns a
            `models.vae.Reconstruction` (and ignores `classes`).
        native_input: (C, H, W) of the images it was published for, in pixels.
        native_classes: the number of classes it was published for.
        check: `check(input_shape, classes, **options)`, called with every option, raises `ModelError` if there is no
            such network, without building it, and returns the model's plan if it has one. None if every combination of
            options works for every image size.
    """

    name: str
    build: Callable[..., nn.Module]
    summary: str
    task: str = "classification"
    native_input: tuple[int, int, int] = (3, 32, 32)
    native_classes: int = 10
    check: Callable[..., StagePlan | None] | None = None


@dataclass(frozen=True)
class Option:
    """One option of a model: its name, its type with the valid range, and its default."""

    name: str
    annotation: Any
    default: Any


# Why an image may be too small, for `check_sides`.
HALVED_TWICE = "pooling halves them twice"
HALVED_THRICE = "pooling halves them three times"
UNPADDED = "each convolution without padding shrinks them"

_MODELS = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="classifier",
            build=classifier,
            summary="parametric classifier: conv stages and linear layers with geometrically spaced sizes",
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
            summary="multilayer perceptron with ReLU and dropout (no convolutions, despite its published name)",
            native_input=(1, 28, 28),
        ),
        ModelEntry(
            name="simple_cnn",
            build=simple_cnn,
            summary="blocks of conv, ReLU and max pooling, then one hidden linear layer",
            native_input=(1, 28, 28),
            check=partial(check_halving_blocks, "simple_cnn"),
        ),
        ModelEntry(
            name="cifar_model",
            build=cifar_model,
            summary="four blocks of conv, ReLU and max pooling, dropout, two linear layers; for CIFAR-100",
            native_classes=100,
            check=partial(check_halving_blocks, "cifar_model"),
        ),
        ModelEntry(
            name="tiny_vgg",
            build=tiny_vgg,
            summary="two blocks of two convs and max pooling, then one linear layer",
            check=partial(check_sides, "tiny_vgg", 4, HALVED_TWICE),
        ),
        ModelEntry(
            name="mnist_v0",
            build=mnist_v0,
            summary="lightweight: five padded convs, global average pooling, one linear layer",
            native_input=(1, 28, 28),
            check=partial(check_sides, "mnist_v0", 4, HALVED_TWICE),
        ),
        ModelEntry(
            name="mnist_v1",
            build=mnist_v1,
            summary="lightweight: eight convs without padding, the last one over the whole feature map",
            native_input=(1, 28, 28),
            check=partial(check_sides, "mnist_v1", V1_LEAST_SIDE, UNPADDED),
        ),
        ModelEntry(
            name="mnist_v2",
            build=mnist_v2,
            summary="mnist_small with 12 final channels and channel dropout; fewer than 5,000 parameters",
            native_input=(1, 28, 28),
            check=partial(check_sides, "mnist_v2", SMALL_LEAST_SIDE, UNPADDED),
        ),
        ModelEntry(
            name="mnist_v3",
            build=mnist_v3,
            summary="mnist_small with its default options; fewer than 5,000 parameters",
            native_input=(1, 28, 28),
            check=partial(check_sides, "mnist_v3", SMALL_LEAST_SIDE, UNPADDED),
        ),
        ModelEntry(
            name="mnist_small",
            build=mnist_small,
            summary="parametric lightweight network: v2 and v3 with their channels as options, and separable convs",
            native_input=(1, 28, 28),
            check=partial(check_sides, "mnist_small", SMALL_LEAST_SIDE, UNPADDED),
        ),
        ModelEntry(
            name="mnist_residual",
            build=mnist_residual,
            summary="lightweight and deeper: separable convs with residual connections; fewer than 5,000 parameters",
            native_input=(1, 28, 28),
            check=partial(check_sides, "mnist_residual", 8, HALVED_THRICE),
        ),
        ModelEntry(
            name="mini_resnet",
            build=mini_resnet,
            summary="residual network of 6n + 2 layers for small images; ResNet-20 by default",
        ),
        ModelEntry(
            name="vae",
            build=vae,
            summary="convolutional variational autoencoder with geometrically spaced channels and sizes",
            task="reconstruction",
            check=check_vae,
        ),
    )
}


def names() -> list[str]:
    """Return the names of all models."""
    return list(_MODELS)


def get(name: str) -> ModelEntry:
    """Return the entry of a model.

    Raises:
        ModelError: there is no such model; the message lists all models.
    """
    try:
        return _MODELS[name]
    except (KeyError, TypeError):
        raise unknown("model", name, names()) from None


def options(name: str) -> dict[str, Option]:
    """Return the options of a model by name, in the order of its builder's signature.

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


def check(name: str, input_shape: Sequence[int], classes: int, **options: Any) -> StagePlan | None:
    """Raise `ModelError` if this model cannot be built: an unknown option, an invalid value, or an impossible plan.

    Nothing is built, and it takes well under a millisecond, since a search checks every configuration it draws.
    Returns the plan of a model that has one, else None.
    """
    return _checked(get(name), input_shape, classes, options)[1]


def build(name: str, input_shape: Sequence[int], classes: int, **options: Any) -> nn.Module:
    """Build a model that maps images (B, C, H, W) to the output described by `ModelEntry.task`.

    Args:
        name: of the model.
        input_shape: (C, H, W), in pixels.
        classes: number of classes of the images.
        options: options of the model; those left out have their defaults.

    Raises:
        ModelError: see `check`.
    """
    entry = get(name)
    values, _ = _checked(entry, input_shape, classes, options)
    return entry.build(tuple(input_shape), classes, **values)


def _checked(
    entry: ModelEntry, input_shape: Sequence[int], classes: int, given: dict[str, Any]
) -> tuple[dict[str, Any], StagePlan | None]:
    """Return all options, converted to their types, and the plan, after checking that the model can be built."""
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ModelError(f"{entry.name}: images must be (C, H, W), each at least 1 (got {tuple(input_shape)})")
    if classes < 1:
        raise ModelError(f"{entry.name}: classes must be at least 1 (got {classes})")
    known = _options(entry)
    values = {option.name: option.default for option in known.values()}
    for option, value in given.items():
        if option not in known:
            raise unknown(f"option of {entry.name}", option, list(known))
        values[option] = _value(entry, option, value)
    return values, entry.check(tuple(input_shape), classes, **values) if entry.check else None


def _value(entry: ModelEntry, option: str, value: object) -> Any:
    try:
        return _adapter(entry, option).validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"].replace("Input should be", "must be").replace("should have", "must have")
        raise ModelError(f"{entry.name}: {option}: {message} (got {shown(value)})") from None
