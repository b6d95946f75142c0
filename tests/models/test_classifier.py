"""The network of the parametric classifier: its layers, its options, its published counts."""

from typing import Any, Literal, get_args, get_origin

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import models

SMALL = {"starting_channels": 7, "final_channels": 13, "cnn_layers": 3, "fcn_layers": 2}


def option_values() -> list[tuple[str, Any]]:
    """Every value of every option that has finitely many, and a few of the others."""
    values: list[tuple[str, Any]] = [("dropout", 0.0), ("dropout", 0.3), ("logit_scale", 0.125)]
    values += [("stage_layers", 3), ("final_size", 3)]
    for option in models.options("classifier").values():
        if option.annotation is bool:
            values += [(option.name, False), (option.name, True)]
        elif get_origin(option.annotation) is Literal:
            values += [(option.name, value) for value in get_args(option.annotation)]
    return values


def test_all_option_values_are_tried() -> None:
    assert len(option_values()) == 5 + 5 + 3 + 4 + 3 + 2 + 3 * 2


@pytest.mark.parametrize(("option", "value"), option_values())
def test_every_option_value_builds_and_trains_a_step(option: str, value: Any) -> None:
    torch.manual_seed(0)
    model = models.build("classifier", (3, 17, 17), 5, **SMALL, **{option: value}).train()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    images, labels = torch.randn(8, 3, 17, 17), torch.randint(5, (8,))
    torch.autograd.backward(F.cross_entropy(model(images), labels))
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    weights = {n: p for n, p in model.named_parameters() if n.endswith("weight")}
    assert all(torch.equal(p, before[n]) != p.requires_grad for n, p in weights.items())
    assert all(p.requires_grad for n, p in weights.items()) == (value not in ("2x2", "3x3", "batch_unscaled"))
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


FAST = {
    **{"starting_channels": 64, "final_channels": 64, "cnn_layers": 3, "fcn_layers": 1, "activation": "silu"},
    **{"pooling": "max", "norm": "batch_unscaled", "stage_layers": 2, "early_pooling": True, "final_size": 3},
    **{"global_pooling": True, "whitening": "2x2", "initialization": "dirac"},
}


def test_the_network_of_the_speed_records_by_hand() -> None:
    """Whitening, three times conv - pool - norm - SiLU - conv - norm - SiLU, maximum, linear."""
    torch.manual_seed(0)
    model = models.build("classifier", (3, 32, 32), 10, **FAST).eval()
    weights = model.state_dict()
    x = torch.randn(2, 3, 32, 32)

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        bias = weights[f"{name}.bias"].view(-1, 1, 1)
        return F.silu(x / (1 + 1e-5) ** 0.5 + bias)  # statistics of a new norm: mean 0, variance 1

    y = F.conv2d(x, weights["whitening.weight"], weights["whitening.bias"])
    assert y.shape == (2, 24, 31, 31)
    for stage, side in enumerate((15, 7, 3)):
        y = F.conv2d(y, weights[f"stages.{stage}.conv.weight"], padding=1)
        y = norm(F.adaptive_max_pool2d(y, side), f"stages.{stage}.norm")
        y = norm(F.conv2d(y, weights[f"stages.{stage}.conv2.weight"], padding=1), f"stages.{stage}.norm2")
    logits = y.amax((2, 3)) @ weights["head.2.weight"].T + weights["head.2.bias"]
    with torch.no_grad():
        torch.testing.assert_close(model(x), logits)


def test_convolutions_after_the_first_begin_as_the_identity() -> None:
    torch.manual_seed(0)
    model = models.build("classifier", (3, 16, 16), 4, **{**SMALL, "stage_layers": 2}, initialization="dirac")
    torch.manual_seed(0)
    plain = models.build("classifier", (3, 16, 16), 4, **{**SMALL, "stage_layers": 2})
    convs = [
        (ours.weight, other.weight)
        for ours, other in zip(model.modules(), plain.modules(), strict=True)
        if isinstance(ours, nn.Conv2d) and isinstance(other, nn.Conv2d)
    ]
    assert len(convs) == 6
    assert torch.equal(*convs[0])
    for ours, other in convs[1:]:
        given = ours.shape[1]
        x = torch.randn(2, given, 5, 5)
        assert torch.equal(F.conv2d(x, ours, padding=1)[:, :given], x[:, : len(ours)])
        assert torch.equal(ours[given:], other[given:])


def test_whitening_needs_room_for_the_first_stage() -> None:
    options = {"starting_channels": 4, "final_channels": 8, "cnn_layers": 9, "pooling": "max"}
    models.check("classifier", (3, 14, 14), 4, **options | {"cnn_layers": 6, "whitening": "3x3"})
    most = models.classifier_plan.possible_cnn_layers(9)[-1]
    with pytest.raises(models.ModelError, match="whitening=3x3 leaves 7 x 7 pixels, too few for a first stage"):
        models.check("classifier", (3, 9, 9), 4, **options | {"cnn_layers": most, "whitening": "3x3"})
