"""The plan of the parametric classifier against the published formulas and example."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import models
from models.classifier_plan import possible_cnn_layers

PUBLISHED: dict[str, Any] = {"starting_channels": 46, "final_channels": 210, "cnn_layers": 6, "fcn_layers": 4}


def formula_sizes(side: int, cnn_layers: int) -> list[int]:
    q = (2 / side) ** (1 / cnn_layers)
    return [round(side * q ** (stage + 1)) for stage in range(cnn_layers)]


def can_pool(side: int, cnn_layers: int) -> bool:
    sizes = [side, *formula_sizes(side, cnn_layers)]
    return all(sizes[i + 1] + 1 <= sizes[i] for i in range(cnn_layers))


def test_the_published_plan() -> None:
    assert models.plan((3, 32, 32), 10, **PUBLISHED) == models.ClassifierPlan(
        channels=(3, 46, 62, 84, 114, 155, 210),
        sizes=(20, 13, 8, 5, 3, 2),
        widths=(840, 277, 92, 30, 10),
        channel_ratio=1.3548533596918833,
    )


def test_a_plan_is_a_value() -> None:
    plans = {models.plan((3, 32, 32), 10, **PUBLISHED) for _ in range(2)}
    assert len(plans) == 1
    with pytest.raises(AttributeError):
        plans.pop().sizes = ()  # type: ignore[misc]


@settings(deadline=None)
@given(
    side=st.integers(3, 96),
    image_channels=st.integers(1, 4),
    classes=st.integers(1, 200),
    starting_channels=st.integers(1, 512),
    final_channels=st.integers(1, 512),
    cnn_layers=st.integers(2, 18),
    fcn_layers=st.integers(1, 12),
)
def test_a_plan_follows_the_formulas_or_is_refused(
    side: int,
    image_channels: int,
    classes: int,
    starting_channels: int,
    final_channels: int,
    cnn_layers: int,
    fcn_layers: int,
) -> None:
    numbers: dict[str, Any] = {
        "starting_channels": starting_channels,
        "final_channels": final_channels,
        "cnn_layers": cnn_layers,
        "fcn_layers": fcn_layers,
    }
    if not can_pool(side, cnn_layers):
        with pytest.raises(models.ModelError, match=r"cnn_layers must be|images must be at least 3 x 3"):
            models.plan((image_channels, side, side), classes, **numbers)
        return
    plan = models.plan((image_channels, side, side), classes, **numbers)

    r = (final_channels / starting_channels) ** (1 / (cnn_layers - 1))
    flat = final_channels * 2**2
    g = (classes / flat) ** (1 / fcn_layers)
    assert list(plan.channels) == [image_channels] + [round(starting_channels * r**i) for i in range(cnn_layers)]
    assert list(plan.sizes) == formula_sizes(side, cnn_layers)
    assert list(plan.widths) == [flat] + [round(flat * g**i) for i in range(1, fcn_layers + 1)]
    assert plan.channel_ratio == r

    assert (plan.channels[1], plan.channels[-1]) == (starting_channels, final_channels)
    assert (plan.widths[0], plan.widths[-1]) == (4 * plan.channels[-1], classes)
    assert plan.sizes[-1] == 2
    assert min(plan.channels + plan.sizes + plan.widths) >= 1


@pytest.mark.parametrize("side", range(1, 130))
def test_possible_cnn_layers_are_all_that_can_pool(side: int) -> None:
    legal = [layers for layers in range(1, side + 2) if can_pool(side, layers)] if side > 2 else []
    assert list(possible_cnn_layers(side)) == legal


@pytest.mark.parametrize(
    ("side", "most"), [(3, 1), (4, 2), (5, 3), (7, 4), (8, 4), (9, 5), (16, 7), (28, 9), (32, 9), (64, 12), (224, 16)]
)
def test_most_cnn_layers_by_image_side(side: int, most: int) -> None:
    assert possible_cnn_layers(side) == tuple(range(1, most + 1))


@pytest.mark.parametrize(
    ("side", "cnn_layers", "message"),
    [
        (
            32,
            10,
            r"^classifier: cnn_layers must be 1 to 9 for images of 32 x 32 pixels \(got 10\): .* stage 9 would go from 3 "
            r"to 3 pixels$",
        ),
        (
            8,
            5,
            r"^classifier: cnn_layers must be 1 to 4 for images of 8 x 8 pixels \(got 5\): .* stage 4 would go from 3 "
            r"to 3 pixels$",
        ),
        (32, 1_000_000_000, r"must be 1 to 9 .* stage 1 would go from 32 to 32 pixels$"),
        (3, 2, r"cnn_layers must be 1 for images"),
        (
            2,
            1,
            r"^classifier: images must be at least 3 x 3 pixels \(got 2 x 2\)",
        ),
        (1, 3, r"^classifier: images must be at least 3 x 3 pixels \(got 1 x 1\)"),
    ],
)
def test_images_that_cannot_be_pooled_so_often_are_refused(side: int, cnn_layers: int, message: str) -> None:
    with pytest.raises(models.ModelError, match=message):
        models.plan((3, side, side), 10, **PUBLISHED | {"cnn_layers": cnn_layers})


def test_the_registry_refuses_an_impossible_plan_before_building() -> None:
    for ask in (models.check, models.build, models.cost_of):
        with pytest.raises(models.ModelError, match="cnn_layers must be 1 to 9"):
            ask("classifier", (3, 32, 32), 10, cnn_layers=12)


def test_images_must_be_square() -> None:
    with pytest.raises(models.ModelError, match=r"^classifier: images must be square \(got 32 x 31 pixels\)$"):
        models.plan((3, 32, 31), 10, **PUBLISHED)


@pytest.mark.parametrize("number", [*PUBLISHED])
def test_numbers_below_one_are_refused(number: str) -> None:
    with pytest.raises(models.ModelError, match=rf"^classifier: {number} must be at least 1 \(got 0\)$"):
        models.plan((3, 32, 32), 10, **PUBLISHED | {number: 0})


def test_one_stage_has_one_channel_count() -> None:
    plan = models.plan((1, 28, 28), 10, starting_channels=24, final_channels=24, cnn_layers=1, fcn_layers=1)
    assert plan == models.ClassifierPlan(channels=(1, 24), sizes=(2,), widths=(96, 10), channel_ratio=1.0)
    with pytest.raises(
        models.ModelError,
        match=r"^classifier: with cnn_layers=1, .* must be equal \(got 24 and 48\)$",
    ):
        models.plan((1, 28, 28), 10, starting_channels=24, final_channels=48, cnn_layers=1, fcn_layers=1)


def test_channels_may_fall() -> None:
    plan = models.plan((3, 32, 32), 10, starting_channels=64, final_channels=16, cnn_layers=3, fcn_layers=1)
    assert plan.channels == (3, 64, 32, 16)
    assert plan.channel_ratio == 0.5


def test_the_channels_of_every_stage_can_be_given() -> None:
    given: dict[str, Any] = {"conv_channels": (64, 144, 176), "fcn_layers": 1, "final_size": 3}
    plan = models.check("classifier", (3, 32, 32), 10, **given)
    assert isinstance(plan, models.ClassifierPlan)
    assert plan.channels == (3, 64, 144, 176)
    assert plan.sizes == (15, 7, 3)  # 32 (3 / 32)^(i / 3)
    assert plan.widths == (176 * 9, 10)
    model = models.build("classifier", (3, 32, 32), 10, **given)
    assert [layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)] == [64, 144, 176]
    assert models.check("classifier", (3, 32, 32), 10, **given, cnn_layers=6) == plan  # the default is no other number


@pytest.mark.parametrize("number", ["starting_channels", "final_channels", "cnn_layers"])
def test_a_number_that_the_given_channels_replace_is_refused(number: str) -> None:
    message = rf"^classifier: {number}=3 has no effect with conv_channels=\[8, 16\], .*; leave one of the two out$"
    with pytest.raises(models.ModelError, match=message):
        models.check("classifier", (3, 32, 32), 10, conv_channels=(8, 16), **{number: 3})


@pytest.mark.parametrize(
    ("channels", "message"), [((0, 8), "greater than or equal to 1"), ((8,) * 10, "1 to 9 .*got 10")]
)
def test_given_channels_must_be_possible(channels: tuple[int, ...], message: str) -> None:
    with pytest.raises(models.ModelError, match=message):
        models.check("classifier", (3, 32, 32), 10, conv_channels=channels)
