"""Valid trees of every specification, drawn from its own types and limits: fields that are added are covered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

import models
from data import registry as datasets
from tune.spec.data_spec import Augmentations, DataSpec
from tune.spec.experiment import model_spec_class
from tune.spec.metric import FACTS, METRICS
from tune.spec.options.samplers import SAMPLERS
from tune.spec.options.schedulers import SCHEDULERS
from tune.spec.recipe import TrainingSpec
from tune.spec.schema import kind_in
from tune.spec.search_settings import MIN_SHARE

Trees = st.SearchStrategy[dict[str, Any]]

positive = st.floats(1e-12, 1e6)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=10)
steps = st.lists(st.sampled_from(["flip", "crop", "rotation", "mixup"]), max_size=3, unique=True)
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "milestones": st.lists(st.integers(1, 200), min_size=1, max_size=4, unique=True).map(sorted),
    "normalize": st.sampled_from(["half", "dataset", "none"])
    | st.lists(positive, min_size=1, max_size=3).map(lambda numbers: {"mean": numbers, "std": numbers}),
    "augment": steps | steps.flatmap(lambda names: st.fixed_dictionaries({name: augmentation(name) for name in names})),
    "gpu": st.just("auto") | st.floats(MIN_SHARE, 1) | st.integers(0, 8),
    "metric": st.sampled_from(list(METRICS)),
    "objectives": st.lists(st.sampled_from([*METRICS, *FACTS]), min_size=1, max_size=3, unique=True)
    .filter(lambda names: not set(names) <= set(FACTS))
    .map(lambda names: [{"metric": name} for name in names]),
    "sampler": st.deferred(lambda: any_of(SAMPLERS)),
    "scheduler": st.deferred(lambda: any_of(SCHEDULERS)),
    "points": st.none() | st.integers(1, 9) | st.dictionaries(texts, st.integers(1, 9)),
    "target": st.none() | st.dictionaries(st.sampled_from(list(METRICS)), st.floats(-1e6, 1e6), min_size=1),
}
"""Fields whose values must also go together."""


def augmentation(name: str) -> st.SearchStrategy[Any]:
    """Options of one augmentation, or null."""
    kind = kind_in(Augmentations.model_fields[name].annotation)
    assert kind is not None
    return st.none() | trees(kind)


def any_of(kinds: Mapping[str, type[BaseModel]]) -> Trees:
    """Any valid tree of one of several specifications."""
    return st.one_of(*(trees(kind) for kind in kinds.values()))


def finite(value: Any) -> bool:
    """Whether every number in a value, or in what it holds, is finite."""
    if isinstance(value, Mapping):
        return all(map(finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


@st.composite
def trees(draw: st.DrawFn, kind: type[BaseModel]) -> dict[str, Any]:
    """Any valid tree of a specification; each field is given or left out."""
    tree: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        owners = getattr(kind, "only", {}).get(name)
        if not (name == "name" or draw(st.booleans())) or (owners and tree["name"] not in owners):
            continue
        if name in SPECIAL:
            tree[name] = draw(SPECIAL[name])
        elif inner := kind_in(field.annotation):
            tree[name] = draw(trees(inner))
        else:
            tree[name] = draw(st.from_type(field.rebuild_annotation()).filter(finite))
    if tree.get("name") == "multistep":
        tree.setdefault("milestones", [1])
    if "metric" in kind.model_fields and "mode" in tree:
        tree["mode"] = METRICS[tree.get("metric", "val_loss")].goal
    if "objectives" in tree:
        tree = {name: value for name, value in tree.items() if name not in ("metric", "mode")}
    if tree.get("nesterov"):
        tree["momentum"] = 0.9
    return tree


@st.composite
def data_trees(draw: st.DrawFn) -> dict[str, Any]:
    """Which of the fields go with a folder depends on the name."""
    tree = draw(trees(DataSpec)) | {"name": draw(st.sampled_from(datasets.names()))}
    own = {"path": draw(texts), "image_size": draw(st.integers(1, 512))}
    tree = {name: value for name, value in tree.items() if name not in own}
    return tree | own if tree["name"] == "folder" else tree


model_trees: Trees = st.one_of(*(trees(model_spec_class(name)) for name in models.names()))


experiments: Trees = st.fixed_dictionaries(
    {"data": data_trees(), "model": model_trees},
    optional={"training": trees(TrainingSpec), "seed": st.integers(0, 2**63 - 1)},
)
