"""The lightweight MNIST suite against its published layer lists and counts, and on other images."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import models

# The published lists; "3p 1-4" is a 3 x 3 convolution with padding from 1 to 4 channels, "7 10-10" one without.
CBR = {
    "mnist_v0": ["3p 1-4 CBR", "3p 4-8 CBR", "max 2", "3p 8-16 CBR", "3p 16-32 CBR", "max 2", "3p 32-40 CBR"],
    "mnist_v1": [
        *("3 1-10 CBR", "3 10-10 CBR", "3 10-20 CBR", "drop 0.05", "max 2", "1 20-10 CBR"),
        *("3 10-10 CBR", "3 10-20 CBR", "drop 0.05", "1 20-10 CBR", "7 10-10"),
    ],
    "mnist_v2": [
        *("3p 1-4 CBR", "3p 4-8 CBR", "max 2", "3p 8-10 CBR", "drop 0.05", "3p 10-12 CBR", "max 2"),
        *("1 12-8 CBR", "3p 8-12 CBR", "1 12-10 CBR", "3 10-10", "average 5"),
    ],
    "mnist_v3": [
        *("3p 1-4 CBR", "3p 4-8 CBR", "max 2", "3p 8-10 CBR", "3p 10-16 CBR", "max 2"),
        *("1 16-8 CBR", "3p 8-16 CBR", "1 16-10 CBR", "3 10-10", "average 5"),
    ],
}
ENDS = {"mnist_v0": ["AdaptiveAvgPool2d(output_size=1)", "flatten", "linear 40-10", "log_softmax"]}
COUNTS = {"mnist_v0": 18_214, "mnist_v1": 10_970, "mnist_v2": 4_232, "mnist_v3": 4_968, "mnist_small": 4_968}


def word(layer: nn.Module) -> str:
    """One layer in the words of the lists above."""
    match layer:
        case nn.Conv2d():
            (side,) = set(layer.kernel_size)
            assert layer.padding in {(0, 0), (side // 2, side // 2)}
            assert layer.bias is None
            assert layer.stride == (1, 1)
            padded = "p" if layer.padding != (0, 0) else ""
            return f"{side}{padded} {layer.in_channels}-{layer.out_channels}"
        case nn.MaxPool2d():
            return f"max {layer.kernel_size}"
        case nn.AvgPool2d():
            (side,) = set(layer.kernel_size) if isinstance(layer.kernel_size, tuple) else {layer.kernel_size}
            return f"average {side}"
        case nn.Dropout2d():
            return f"drop {layer.p}"
        case nn.Linear():
            return f"linear {layer.in_features}-{layer.out_features}"
        case nn.Flatten():
            return "flatten"
        case nn.LogSoftmax():
            assert layer.dim == 1
            return "log_softmax"
    return str(layer)


def words(model: nn.Module) -> list[str]:
    """All layers, a convolution with its norm and ReLU as one word."""
    found: list[str] = []
    for layer in model.children():
        if isinstance(layer, nn.BatchNorm2d):
            found[-1] += " CB"
        elif isinstance(layer, nn.ReLU):
            found[-1] += "R"
        else:
            found.append(word(layer))
    return found


@pytest.mark.parametrize("name", CBR)
def test_published_layers(name: str) -> None:
    expected = CBR[name] + ENDS.get(name, ["flatten", "log_softmax"])
    assert words(models.build(name, (1, 28, 28), 10)) == expected


@pytest.mark.parametrize("name", COUNTS)
def test_published_counts(name: str) -> None:
    model = models.build(name, (1, 28, 28), 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == COUNTS[name]
    assert models.cost_of(name, (1, 28, 28), 10).parameters == COUNTS[name]


def test_the_first_counts_by_hand() -> None:
    convolutions = 9 * (1 * 4 + 4 * 8 + 8 * 16 + 16 * 32 + 32 * 40)
    assert convolutions + 2 * (4 + 8 + 16 + 32 + 40) + 40 * 10 + 10 == COUNTS["mnist_v0"]


@pytest.mark.parametrize(("name", "options"), [("mnist_v2", {"final_channels": 12, "dropout": 0.05}), ("mnist_v3", {})])
def test_the_parametric_network_holds_the_published_ones(name: str, options: dict[str, Any]) -> None:
    published, parametric = models.build(name, (1, 28, 28), 10), models.build("mnist_small", (1, 28, 28), 10, **options)
    assert str(published) == str(parametric)
    parametric.load_state_dict(published.state_dict())
    images = torch.randn(2, 1, 28, 28)
    assert torch.equal(published.eval()(images), parametric.eval()(images))


@pytest.mark.parametrize("name", COUNTS)
def test_cross_entropy_is_the_published_loss(name: str) -> None:
    """All end in log_softmax, whose negative log likelihood is their cross entropy."""
    torch.manual_seed(0)
    outputs = models.build(name, (1, 28, 28), 10)(torch.randn(8, 1, 28, 28))
    labels = torch.randint(10, (8,))
    torch.testing.assert_close(outputs.exp().sum(1), torch.ones(8))
    torch.testing.assert_close(F.cross_entropy(outputs, labels), F.nll_loss(outputs, labels))


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 29, 29), (3, 32, 32), (1, 33, 64)])
def test_no_more_parameters_on_larger_images(name: str, shape: tuple[int, int, int]) -> None:
    first = {"mnist_v1": 10}.get(name, 4)  # channels that the image's own are convolved to, by 3 x 3
    assert models.cost_of(name, shape, 10).parameters == COUNTS[name] + 9 * first * (shape[0] - 1)


def test_classes_are_outputs_of_the_last_layer_only() -> None:
    assert models.cost_of("mnist_v3", (1, 28, 28), 100).parameters == COUNTS["mnist_v3"] + 90 * 10 * 9
    assert models.cost_of("mnist_v1", (1, 28, 28), 2).parameters == COUNTS["mnist_v1"] - 8 * 10 * 49
    assert models.cost_of("mnist_v0", (1, 28, 28), 1).parameters == COUNTS["mnist_v0"] - 9 * 41


def test_larger_images_average_what_the_last_convolution_sees() -> None:
    model = models.build("mnist_v1", (1, 32, 40), 10).eval()
    assert isinstance(model, nn.Sequential)
    images = torch.randn(2, 1, 32, 40)
    bare = next(i for i, layer in enumerate(model) if isinstance(layer, nn.Conv2d) and layer.kernel_size == (7, 7))
    with torch.no_grad():
        maps = model[: bare + 1](images)
        assert maps.shape == (2, 10, 3, 7)
        torch.testing.assert_close(model(images), maps.mean((2, 3)).log_softmax(1))


def test_separable_convolutions() -> None:
    dense = models.cost_of("mnist_small", (1, 28, 28), 10).parameters
    separable = models.cost_of("mnist_small", (1, 28, 28), 10, separable=True).parameters
    replaced = [(4, 8), (8, 10), (10, 16), (8, 16)]
    assert dense - separable == sum(9 * i * o - (9 * i + i * o) for i, o in replaced)
    model = models.build("mnist_small", (1, 28, 28), 10, separable=True)
    groups = [layer.groups for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert groups == [1, 4, 1, 8, 1, 10, 1, 1, 8, 1, 1, 1]


def test_every_option_of_the_parametric_network_counts() -> None:
    given = {
        "starting_channels": 5, "middle_channels": 7, "final_channels": 11, "squeezed_channels": 6, "features": 9,
    }  # fmt: skip
    three = 9 * (3 * 5 + 5 * 10 + 10 * 7 + 7 * 11 + 6 * 11 + 9 * 4)
    one = 11 * 6 + 11 * 9
    norms = 2 * (5 + 10 + 7 + 11 + 6 + 11 + 9)
    assert models.cost_of("mnist_small", (3, 28, 28), 4, **given).parameters == three + one + norms


@pytest.mark.parametrize(
    ("name", "shape", "least"),
    [
        ("mnist_v0", (1, 3, 28), 4),
        ("mnist_v1", (1, 28, 27), 28),
        ("mnist_v2", (1, 11, 28), 12),
        ("mnist_v3", (1, 8, 8), 12),
        ("mnist_small", (1, 8, 8), 12),
    ],
)  # fmt: skip
def test_an_image_too_small_is_refused(name: str, shape: tuple[int, int, int], least: int) -> None:
    for ask in (models.check, models.build, models.cost_of):
        with pytest.raises(
            models.ModelError,
            match=rf"^{name}: images must be at least {least} x {least} pixels \(got {shape[1]} x {shape[2]}\)",
        ):
            ask(name, shape, 10)
