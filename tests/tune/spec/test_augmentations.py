"""`data.augment` as a user writes it: every option of every augmentation, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import augmentation
from tests.tune.spec.conftest import Desk, search
from tune.spec import Experiment, dump_yaml
from tune.spec.files import parse_yaml
from tune.training.splits import augment_of

TEXT = "data: {name: digits}\nmodel: {name: mnist_mlr}\n"

resampling: dict[str, st.SearchStrategy[Any]] = {
    "interpolation": st.sampled_from(["nearest", "bilinear"]),
    "fill": st.integers(0, 255),
}
probability, strength = st.floats(0, 1), st.floats(0, 1)
OPTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "flip": {"p": probability},
    "alternating_flip": {},
    "vertical_flip": {"p": probability},
    "crop": {
        "padding": st.integers(0, 9),
        "fill": st.integers(0, 255),
        "mode": st.sampled_from(["constant", "reflect"]),
    },
    "rotation": {"degrees": st.floats(0, 180), **resampling},
    "translation": {"fraction": probability, **resampling},
    "scale": {"low": st.floats(0.1, 1), "high": st.floats(1.1, 10), **resampling},
    "jitter": {"brightness": strength, "contrast": strength, "saturation": strength, "hue": st.floats(0, 0.5)},
    "cutout": {"size": st.integers(1, 99), "fill": st.integers(0, 255)},
    "mixup": {"alpha": st.floats(0.01, 100)},
    "cutmix": {"alpha": st.floats(0.01, 100)},
}


def test_the_property_covers_every_option() -> None:
    assert list(OPTIONS) == augmentation.names()
    assert {name: list(options) for name, options in OPTIONS.items()} == {
        name: list(augmentation.options(name)) for name in augmentation.names()
    }


@st.composite
def written(draw: st.DrawFn) -> dict[str, Any]:
    one = draw(st.sampled_from(["flip", "alternating_flip"]))  # both are refused
    names = draw(st.permutations([name for name in OPTIONS if name != one]))[: draw(st.integers(1, 5))]
    return {name: draw(st.none() | st.fixed_dictionaries({}, optional=OPTIONS[name])) for name in names}


@given(written())
def test_the_same_after_a_trip_through_yaml(table: dict[str, Any]) -> None:
    tree = {"data": {"name": "digits", "augment": table}, "model": {"name": "mnist_mlr"}}
    experiment = Experiment.model_validate(tree)
    again = Experiment.model_validate(parse_yaml(dump_yaml(experiment.to_tree()), "f"))
    assert again == experiment
    made = augment_of(again.data)
    assert made is not None
    assert [name for name, _ in made.steps] == list(table)
    for name, options in made.steps:
        assert dict(options).items() >= (table[name] or {}).items()
    assert str(made) == augmentation.describe(again.to_tree()["data"]["augment"])


def test_the_published_recipes_can_be_written(desk: Desk) -> None:
    made = desk.experiment(TEXT, "data.augment={rotation: {degrees: 5}, translation: {fraction: .03}}")
    shared = {"interpolation": "nearest", "fill": 0}
    assert made.to_tree()["data"]["augment"] == {
        "rotation": {"degrees": 5.0, **shared},
        "translation": {"fraction": 0.03, **shared},
    }
    assert made.data.mixing == ()
    strong = desk.experiment(TEXT, "data.augment={cutmix: null, flip: null, crop: {mode: reflect}, mixup: {alpha: .8}}")
    assert strong.data.mixing == ("cutmix", "mixup")


def test_their_options_can_be_searched(desk: Desk) -> None:
    text = search("data.augment.rotation.degrees: {float: [0, 30]}", "data.augment.mixup.alpha: {choice: [0.1, 0.2]}")
    assert set(desk.search(text).space.domains) == {"data.augment.rotation.degrees", "data.augment.mixup.alpha"}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("[mixupp]", "mixupp"),
        ("{rotation: {degrees: 200}}", "rotation.degrees"),
        ("{rotation: {degree: 20}}", "rotation.degree"),
        ("{rotation: {interpolation: cubic}}", "rotation.interpolation"),
        ("{scale: {high: .inf}}", "scale.high"),
        ("{crop: {mode: mirror}}", "crop.mode"),
        ("{cutout: {size: 2.5}}", "cutout.size"),
        ("{jitter: {hue: 1}}", "jitter.hue"),
        ("{mixup: {alpha: 0}}", "mixup.alpha"),
    ],
)
def test_what_is_refused(desk: Desk, value: str, field: str) -> None:
    faults = desk.faults(desk.experiment, TEXT, f"data.augment={value}")
    assert faults == [f"override: data.augment.{field}"]


def test_options_that_do_not_go_together_are_refused(desk: Desk) -> None:
    (line,) = desk.refusal(desk.experiment, TEXT, "data.augment={scale: {low: 1.2}}")
    assert line.startswith("override: data.augment: scale.low")


def test_labels_are_mixed_for_classifiers_only(desk: Desk) -> None:
    mixing = "data.augment={mixup: null, flip: null, cutmix: null}"
    faults = desk.faults(desk.experiment, TEXT, mixing, "model={name: vae, cnn_layers: 2}")
    assert faults == ["override: data.augment.mixup", "override: data.augment.cutmix"]
    assert desk.experiment(TEXT, "data.augment=[flip]", "model={name: vae, cnn_layers: 2}").data.mixing == ()
