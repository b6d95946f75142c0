"""Whatever stands in a file and on the command line, it is loaded or refused in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tune.spec.conftest import JARGON
from tune.spec import SpecError, dump_yaml, load_experiment, load_search
from tune.spec.dotted import set_dotted, with_values

BASE: dict[str, Any] = {
    "experiment": {"data": {"name": "digits"}, "model": {"name": "simple_cnn"}, "training": {"epochs": 9}},
    "constraints": {"parameters": {"max": 1e7}},
    "search": {"trials": 3, "scheduler": {"grace_period": 2}},
}
SPACE: dict[str, Any] = {
    "training.optimizer.name": {"choice": ["adam", "sgd"]},
    "training.optimizer.momentum": {"float": [0.8, 0.9], "step": 0.1, "when": {"training.optimizer.name": "sgd"}},
    "model.hidden_dim": {"int": [16, 64], "log": True},
    "data.augment": {"choice": [[], ["flip"]]},
}
FIRST = {"training.optimizer.name": "adam", "model.hidden_dim": 16, "data.augment": []}

odd = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "adam", "a\nb", [], {}, [1, 2], [0.1, "x"], {"int": [1, 2]}, {"choice": [1, "a", None]}, {"a.b": 1}, {1: 2}]
) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab.\n\x1b\u2028é", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.\n", max_size=3) | st.integers(), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
EXPERIMENT_PLACES = [
    "data", "data.name", "data.path", "data.image_size", "data.validation_fraction", "data.normalize",
    "data.normalize.mean", "data.augment", "data.augment.crop", "data.augment.crop.padding", "model", "model.name",
    "model.conv_channels", "training", "training.epochs", "training.optimizer", "training.optimizer.momentum",
    "training.early_stopping", "seed",
]  # fmt: skip
OTHER_PLACES = [
    "experiment", "space", "first", "search", "search.scheduler", "search.resources.gpu", "search.metric",
    "constraints", "constraints.parameters", "made_with", "other",
]  # fmt: skip
places = st.sampled_from([*OTHER_PLACES, *(f"experiment.{name}" for name in EXPERIMENT_PLACES)])
fields = st.sampled_from(
    [*SPACE, "training", "training.epochs", "model.name", "seed", "data.augment.crop.padding", "no.field", "data.name"]
)
keys = st.sampled_from(["int", "float", "choice", "step", "log", "when", "other"])


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """A sound search with up to four odd things put into it."""
    tree = with_values(BASE, {})
    tree["space"], tree["first"] = with_values(SPACE, {}), [dict(FIRST)]
    for _ in range(draw(st.integers(0, 2))):
        field, value = draw(fields), draw(odd)
        if draw(st.booleans()) and isinstance(tree["space"].get(field), dict):
            tree["space"][field][draw(keys)] = value
        else:
            tree["space"][field] = value
    if draw(st.booleans()):
        tree["first"].append(draw(odd))
        tree["first"][0][draw(fields)] = draw(odd)
    for _ in range(draw(st.integers(0, 2))):
        set_dotted(tree, draw(places), draw(odd))
    return tree


words = st.tuples(places.map(lambda name: name.removeprefix("experiment.")) | fields, odd).map(
    lambda pair: f"{pair[0]}={dump_yaml([pair[1]]).removeprefix('- ').strip()}"
)


@given(files(), st.lists(words, max_size=2))
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_loaded_or_refused_in_plain_words(tmp_path: Path, tree: dict[str, Any], overrides: list[str]) -> None:
    path = tmp_path / "made.yaml"
    path.write_text(dump_yaml(tree), encoding="utf-8")
    for load in (load_search, load_experiment):
        lines: list[str] = []
        try:
            load(str(path), overrides, root=tmp_path)
        except SpecError as refusal:
            lines = str(refusal).splitlines()
            assert len(lines) == len(refusal.problems) > 0  # noqa: PT017 - most of the trees are refused, not all
        assert len(lines) == len(set(lines))
        assert all(line.isprintable() for line in lines)
        assert not [line for line in lines if any(word in line for word in JARGON)]


@given(files())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_what_is_loaded_is_the_same_after_a_trip_through_a_file(tmp_path: Path, tree: dict[str, Any]) -> None:
    path = tmp_path / "made.yaml"
    path.write_text(dump_yaml(tree), encoding="utf-8")
    try:
        spec = load_search(str(path), root=tmp_path)
    except SpecError:
        return
    path.write_text(dump_yaml(spec.to_tree()), encoding="utf-8")
    again = load_search(str(path), root=tmp_path)
    assert dump_yaml(again.to_tree()) == dump_yaml(spec.to_tree())
    assert again == spec


def test_the_tree_without_anything_odd_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "made.yaml"
    path.write_text(dump_yaml({**BASE, "space": SPACE, "first": [FIRST]}), encoding="utf-8")
    assert len(load_search(str(path)).first) == 1
    with pytest.raises(SpecError, match="has searched fields"):
        load_experiment(str(path))
