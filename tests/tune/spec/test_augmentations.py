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
ALL = "crop, cutmix, cutout, flip, jitter, mixup, rotation, scale, translation, vertical_flip"

resampling: dict[str, st.SearchStrategy[Any]] = {
    "interpolation": st.sampled_from(["nearest", "bilinear"]),
    "fill": st.integers(0, 255),
}
probability, strength = st.floats(0, 1), st.floats(0, 1)
OPTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "flip": {"p": probability},
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
    names = draw(st.permutations(list(OPTIONS)))[: draw(st.integers(1, 5))]
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
    ("value", "line"),
    [
        ("[mixupp]", f"data.augment.mixupp: unknown; did you mean mixup? legal: {ALL}"),
        ("{rotation: {degrees: 200}}", "data.augment.rotation.degrees: 200 is out of range; legal: <= 180"),
        ("{rotation: {degree: 20}}", "data.augment.rotation.degree: unknown; did you mean degrees? legal: degrees, fill, interpolation"),
        ("{rotation: {interpolation: cubic}}", "data.augment.rotation.interpolation: 'cubic' is unknown; legal: bilinear, nearest"),
        ("{scale: {low: 1.2}}", "data.augment: scale.low is 1.2: it must be at most high, 1.1"),
        ("{scale: {high: .inf}}", "data.augment.scale.high: Infinity is of the wrong type; legal: a finite number"),
        ("{crop: {mode: mirror}}", "data.augment.crop.mode: 'mirror' is unknown; legal: constant, reflect"),
        ("{cutout: {size: 2.5}}", "data.augment.cutout.size: 2.5 is of the wrong type; legal: a whole number"),
        ("{jitter: {hue: 1}}", "data.augment.jitter.hue: 1 is out of range; legal: <= 0.5"),
        ("{mixup: {alpha: 0}}", "data.augment.mixup.alpha: 0 is out of range; legal: >= 0.01"),
    ],
)  # fmt: skip
def test_what_is_refused(desk: Desk, value: str, line: str) -> None:
    assert desk.refusal(desk.experiment, TEXT, f"data.augment={value}") == [f"override: {line}"]


def test_labels_are_mixed_for_classifiers_only(desk: Desk) -> None:
    fields = ("data.augment={mixup: null, flip: null, cutmix: null}", "model={name: vae}")
    message = "mixes labels, and vae is trained for reconstruction, without labels; legal: leave it out"
    lines = desk.refusal(desk.experiment, TEXT, *fields)
    assert [line for line in lines if "mix" in line] == [
        f"override: data.augment.mixup: {message}",
        f"override: data.augment.cutmix: {message}",
    ]
    assert not any("mixes" in line for line in _lines(desk, "data.augment=[flip]", "model={name: vae}"))


def _lines(desk: Desk, *overrides: str) -> list[str]:
    """What is said of an experiment, if anything."""
    try:
        desk.experiment(TEXT, *overrides)
    except ValueError as error:
        return str(error).splitlines()
    return []
