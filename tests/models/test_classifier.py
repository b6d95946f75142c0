"""The network of the parametric classifier: its layers, its options, its published counts."""

from typing import Any, Literal, get_args, get_origin

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import models

SMALL = {"starting_channels": 7, "final_channels": 13, "cnn_layers": 3, "fcn_layers": 2}


def option_values() -> list[tuple[str, Any]]:
    """Every value of every option that has finitely many, a dropout and a logit scale."""
    values: list[tuple[str, Any]] = [("dropout", 0.0), ("dropout", 0.3), ("logit_scale", 0.125)]
    for option in models.options("classifier").values():
        if option.annotation is bool:
            values += [(option.name, False), (option.name, True)]
        elif get_origin(option.annotation) is Literal:
            values += [(option.name, value) for value in get_args(option.annotation)]
    return values


def test_all_option_values_are_tried() -> None:
    assert len(option_values()) == 3 + 5 + 3 + 2 + 3


@pytest.mark.parametrize(("option", "value"), option_values())
def test_every_option_value_builds_and_trains_a_step(option: str, value: Any) -> None:
    torch.manual_seed(0)
    model = models.build("classifier", (3, 17, 17), 5, **SMALL, **{option: value}).train()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    images, labels = torch.randn(8, 3, 17, 17), torch.randint(5, (8,))
    torch.autograd.backward(F.cross_entropy(model(images), labels))
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert all(not torch.equal(p, before[n]) for n, p in model.named_parameters() if n.endswith("weight"))
    logits = model.eval()(images)
    assert logits.shape == (8, 5)
    assert logits.isfinite().all()


@pytest.mark.parametrize("pooling", ["fractional", "max", "average"])
def test_feature_maps_have_the_planned_sizes(pooling: str) -> None:
    model = models.build("classifier", (3, 33, 33), 10, pooling=pooling)
    plan = models.plan((3, 33, 33), 10, starting_channels=46, final_channels=210, cnn_layers=6, fcn_layers=4)
    shapes: list[tuple[int, ...]] = []
    stages = model.get_submodule("stages")
    for stage in stages.children():
        stage.register_forward_hook(lambda _module, _args, out: shapes.append(tuple(out.shape[1:])))
    model(torch.randn(2, 3, 33, 33))
    assert shapes == [(c, s, s) for c, s in zip(plan.channels[1:], plan.sizes, strict=True)]


def test_layers_of_a_stage_and_of_the_head() -> None:
    model = models.build("classifier", (3, 32, 32), 10)
    stages = list(model.get_submodule("stages").children())
    assert len(stages) == 6
    for stage in stages:
        assert [type(layer).__name__ for layer in stage.children()] == [
            "Conv2d",
            "BatchNorm2d",
            "Mish",
            "FractionalPool",
        ]
    conv = model.get_submodule("stages.0.conv")
    assert isinstance(conv, nn.Conv2d)
    assert (conv.kernel_size, conv.padding) == ((3, 3), (1, 1))
    assert conv.bias is not None
    head = [type(layer).__name__ for layer in model.get_submodule("head").children()]
    assert head == ["Mish", "Flatten", "Linear", "Mish", "Linear", "Mish", "Linear", "Mish", "Linear"]


def test_dropout_stands_before_each_linear_layer() -> None:
    model = models.build("classifier", (3, 32, 32), 10, dropout=0.2, fcn_layers=2)
    head = list(model.get_submodule("head").children())
    assert [type(layer).__name__ for layer in head] == [
        *("Mish", "Flatten", "Dropout", "Linear"),
        *("Mish", "Dropout", "Linear"),
    ]
    assert {layer.p for layer in head if isinstance(layer, nn.Dropout)} == {0.2}


def test_a_residual_convolution_adds_its_parameters_to_each_stage() -> None:
    plain = models.cost_of("classifier", (3, 32, 32), 10).parameters
    residual = models.cost_of("classifier", (3, 32, 32), 10, residual=True).parameters
    assert plain == 875_592
    # 3 x 3 weights and a bias per channel, and two numbers of its norm.
    assert residual - plain == sum(c * c * 9 + c + 2 * c for c in (46, 62, 84, 114, 155, 210))


def test_without_its_convolution_a_residual_stage_is_the_plain_one() -> None:
    torch.manual_seed(0)
    plain = models.build("classifier", (3, 16, 16), 4, **SMALL).eval()
    residual = models.build("classifier", (3, 16, 16), 4, **SMALL, residual=True, norm="batch").eval()
    residual.load_state_dict(plain.state_dict(), strict=False)
    for name, parameter in residual.named_parameters():
        if ".residual." in name:
            nn.init.zeros_(parameter)
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(plain(images), residual(images))


def test_more_residual_layers_add_as_many_convolutions_to_each_stage() -> None:
    one, three = (
        models.cost_of("classifier", (3, 32, 32), 10, residual=True, residual_layers=layers).parameters
        for layers in (1, 3)
    )
    assert three - one == 2 * sum(c * c * 9 + c + 2 * c for c in (46, 62, 84, 114, 155, 210))


def test_residual_layers_follow_each_other_inside_one_connection() -> None:
    torch.manual_seed(0)
    options = {**SMALL, "residual": True, "norm": "none", "activation": "relu"}
    model = models.build("classifier", (3, 16, 16), 4, **options, residual_layers=2)
    residual = model.get_submodule("stages.1.residual")
    first, second = (model.get_submodule(f"stages.1.residual.body.{name}") for name in ("conv", "conv2"))
    x = torch.randn(2, 10, 5, 5)  # the second stage has round(7 * (13 / 7) ** (1 / 2)) channels
    with torch.no_grad():
        torch.testing.assert_close(residual(x), x + second(first(x).relu()).relu())


def test_one_residual_layer_is_what_the_option_residual_meant_before() -> None:
    model = models.build("classifier", (3, 16, 16), 4, **SMALL, residual=True)
    body = [name for name, _ in model.get_submodule("stages.0.residual.body").named_children()]
    assert body == ["conv", "norm", "activation"]


def test_logits_are_scaled() -> None:
    torch.manual_seed(0)
    plain = models.build("classifier", (3, 16, 16), 4, **SMALL).eval()
    scaled = models.build("classifier", (3, 16, 16), 4, **SMALL, logit_scale=0.125).eval()
    scaled.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(scaled(images), plain(images) / 8)
