"""The fixed models against their published layer lists and counts."""

from typing import Any

import pytest
import torch

import models
from models.cost import cost

LAYERS = {
    "mnist_mlr": ["Flatten", "Linear"],
    "mnist_cnn": ["Flatten", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"],
    "cifar_model": [
        *("Conv2d", "ReLU", "MaxPool2d") * 4,
        *("Flatten", "Dropout", "Linear", "Linear"),
    ],
    "tiny_vgg": [
        *("Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d") * 2,
        *("Flatten", "Linear"),
    ],
    "simple_cnn": [
        *("Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU", "MaxPool2d"),
        *("Flatten", "Linear", "ReLU", "Dropout", "Linear"),
    ],
}


@pytest.mark.parametrize(
    ("name", "parameters", "mult_adds", "forward_backward_mb", "params_mb"),
    [
        ("mnist_mlr", 7_850, 0.01, 0.00, 0.03),
        ("mnist_cnn", 235_146, 0.24, 0.00, 0.94),
        ("simple_cnn", 421_642, 4.28, 0.30, 1.69),
    ],
)
def test_published_table(
    name: str, parameters: int, mult_adds: float, forward_backward_mb: float, params_mb: float
) -> None:
    entry = models.get(name)
    model = models.build(name, entry.native_input, entry.native_classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    counted = cost(model, entry.native_input)
    assert counted.parameters == parameters
    assert round(counted.mult_adds / 1e6, 2) == mult_adds
    assert round(counted.forward_backward_bytes / 1e6, 2) == forward_backward_mb
    assert round(counted.params_bytes / 1e6, 2) == params_mb


@pytest.mark.parametrize(
    ("name", "parameters", "options"),
    [
        ("cifar_model", 964_516, {}),
        ("tiny_vgg", 153_546, {}),
        ("tiny_vgg", 153_546, {"dropout": 0.2}),
        ("tiny_vgg", 154_058, {"batch_norm": True}),
    ],
)
def test_published_counts(name: str, parameters: int, options: dict[str, Any]) -> None:
    entry = models.get(name)
    model = models.build(name, entry.native_input, entry.native_classes, **options)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert models.cost_of(name, entry.native_input, entry.native_classes, **options).parameters == parameters


def layers_of(name: str, **options: Any) -> list[str]:
    return [
        type(layer).__name__ for layer in models.build(name, models.get(name).native_input, 10, **options).children()
    ]


@pytest.mark.parametrize("name", LAYERS)
def test_published_layers(name: str) -> None:
    assert layers_of(name) == LAYERS[name]


def test_published_layers_of_tiny_vgg_with_norm_and_dropout() -> None:
    block = ("Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Dropout2d")
    assert layers_of("tiny_vgg", batch_norm=True, dropout=0.2) == [*block, *block, "Flatten", "Dropout", "Linear"]


def test_published_widths_of_the_cifar_model() -> None:
    model = models.build("cifar_model", (3, 32, 32), 100)
    convs = [(c.in_channels, c.out_channels) for c in model.modules() if isinstance(c, torch.nn.Conv2d)]
    linears = [(c.in_features, c.out_features) for c in model.modules() if isinstance(c, torch.nn.Linear)]
    assert convs == [(3, 32), (32, 64), (64, 128), (128, 256)]
    assert linears == [(1024, 512), (512, 100)]


@pytest.mark.parametrize(("name", "probability"), [("mnist_cnn", 0.4), ("simple_cnn", 0.5), ("cifar_model", 0.5)])
def test_published_dropout(name: str, probability: float) -> None:
    layers = models.build(name, models.get(name).native_input, 10).children()
    assert {layer.p for layer in layers if isinstance(layer, torch.nn.Dropout)} == {probability}


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 32, 32), {"conv_channels": [16]}),
        ((1, 8, 8), {"conv_channels": [4, 8, 16], "hidden_dim": 5, "dropout": 0.0}),
        ((2, 13, 40), {"conv_channels": (3, 5, 7)}),
        ((1, 4, 4), {}),
    ],
)
def test_simple_cnn_takes_any_size_and_channels(shape: tuple[int, int, int], options: dict[str, Any]) -> None:
    model = models.build("simple_cnn", shape, 100, **options)
    assert model(torch.randn(2, *shape)).shape == (2, 100)


def test_simple_cnn_on_cifar_100() -> None:
    # conv 3-32 and 32-64, then 64 x 8 x 8 features to 128 to 100, biases included.
    expected = (3 * 32 * 9 + 32) + (32 * 64 * 9 + 64) + (4096 * 128 + 128) + (128 * 100 + 100)
    assert models.cost_of("simple_cnn", (3, 32, 32), 100).parameters == expected


def test_mnist_cnn_takes_any_hidden_layers() -> None:
    assert models.cost_of("mnist_cnn", (1, 8, 8), 3, hidden_dims=[5]).parameters == 64 * 5 + 5 + 5 * 3 + 3


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (
            (1, 3, 28),
            {},
            r"^simple_cnn: images must be at least 4 x 4 pixels for 2 conv_channels \(got 3 x 28\)",
        ),
        ((3, 32, 32), {"conv_channels": [8] * 6}, r"at least 64 x 64 pixels for 6"),
        ((3, 32, 32), {"conv_channels": [8] * 7}, r"at least 128 x 128 pixels for 7"),
        ((3, 1, 1), {"conv_channels": [8]}, r"at least 2 x 2 pixels for 1"),
    ],
)
def test_an_image_too_small_for_the_poolings_is_refused(
    shape: tuple[int, int, int], options: dict[str, Any], message: str
) -> None:
    for ask in (models.check, models.build):
        with pytest.raises(models.ModelError, match=message):
            ask("simple_cnn", shape, 10, **options)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("cifar_model", (3, 15, 32), "images must be at least 16 x 16 pixels"),
        ("tiny_vgg", (3, 32, 3), "images must be at least 4 x 4 pixels"),
    ],
)
def test_other_images_too_small_are_refused(name: str, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(models.ModelError, match=f"^{name}: {message}"):
        models.build(name, shape, 10)
