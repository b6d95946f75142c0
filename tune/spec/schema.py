"""What the specification classes say about dotted names: which fields there are, their defaults and kinds."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

import models
from data import augmentation as augmentations
from tune.spec.constraints import ConstraintsSpec
from tune.spec.data_spec import Augmentations, augment_class
from tune.spec.dotted import Tree, within
from tune.spec.errors import similar, unknown_name
from tune.spec.experiment import Experiment, model_spec_class
from tune.spec.options.named import Named
from tune.spec.options.samplers import SAMPLERS
from tune.spec.options.schedulers import SCHEDULERS
from tune.spec.search_settings import SearchSettings

Kind = type[BaseModel]

NAMED: Mapping[str, Mapping[str, type[Named]]] = {"sampler": SAMPLERS, "scheduler": SCHEDULERS}
"""The parts of `search` whose name decides which other fields they have."""


def kind_in(annotation: Any) -> Kind | None:
    """The specification class inside an annotation such as `X | None`; the first of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        return next((found for part in typing.get_args(annotation) if (found := kind_in(part))), None)
    return None


def fields_at(root: Kind, path: Iterable[str]) -> list[str]:
    """The names of the fields at a place in a specification."""
    kind: Kind | None = root
    for part in path:
        field = kind.model_fields.get(part) if kind else None
        kind = kind_in(field.annotation) if field else None
    return list(kind.model_fields) if kind else []


def complete(tree: Mapping[str, Any], kind: Kind = Experiment) -> Tree:
    """A copy of the tree with every default filled in, in the specification's order; invalid values stay.

    A model without a known name gets no defaults.
    """
    whole = kind.model_construct().model_dump(mode="json") | dict(tree)
    whole |= {name: _complete_below(kind, name, value) for name, value in tree.items() if name in kind.model_fields}
    order = [name for name in kind.model_fields if name in whole]
    return {name: whole[name] for name in [*order, *whole]}


def _complete_below(kind: Kind, name: str, value: Any) -> Any:
    if name == "augment":
        return _complete_augment(value)
    if not isinstance(value, Mapping):
        return value
    inner = _model_kind(value) if name == "model" else kind_in(kind.model_fields[name].annotation)
    return complete(value, inner) if inner else value


def _model_kind(tree: Mapping[str, Any]) -> Kind | None:
    name = tree.get("name")
    return model_spec_class(name) if isinstance(name, str) and name in models.names() else None


def _complete_augment(raw: Any) -> Any:
    """Augmentations, given as a list of names or as a mapping, as a mapping with all options."""
    if isinstance(raw, list) and all(isinstance(step, str) for step in raw) and len(set(raw)) == len(raw):
        raw = dict.fromkeys(raw)
    if not isinstance(raw, Mapping):
        return raw
    return {
        step: complete(options or {}, augment_class(step))
        if step in augmentations.names() and isinstance(options, Mapping | None)
        else options
        for step, options in raw.items()
    }


def unknown_field(name: str, model_names: Iterable[str]) -> str | None:
    """What is wrong with a dotted name that is not a field of an experiment; None for one that is.

    The model may be any of those named, and has the options of all of them.
    """
    tree = _field_tree(model_names)
    known, part, below = _follow(name, tree)
    if not part:
        return None
    if not below:
        return f"unknown field: {known} is a value, not a section; use {known}"
    return unknown_name("field", name, below, _similar(name, tree))


def similar_field(name: str) -> str:
    """The field of an experiment that an unknown name probably means; empty where none is similar."""
    return _similar(name, _field_tree(models.names()))


def elsewhere(name: str) -> str:
    """The field of a search file that is named like this one and stands in another section; empty if there is none."""
    section, _, last = name.rpartition(".")
    tree = _field_tree(models.names()) | {"search": _names(SearchSettings), "constraints": _names(ConstraintsSpec)}
    for part, kinds in NAMED.items():
        for kind in kinds.values():
            tree["search"][part] |= _names(kind)
    found = [
        field for field in every_name(tree) if field.split(".")[-1] == last and field.rpartition(".")[0] != section
    ]
    least = min((field.count(".") for field in found), default=0)
    return _closest(name, [field for field in found if field.count(".") == least])


def is_text(name: str) -> bool:
    """Whether the field of an experiment with this dotted name is text, so that its value needs no YAML quotes."""
    kind: Kind | None = Experiment
    *path, last = name.split(".")
    for part in path:
        field = kind.model_fields.get(part) if kind else None
        kind = kind_in(field.annotation) if field else None
    field = kind.model_fields.get(last) if kind else None
    return field is not None and field.annotation in (str, str | None)


def _follow(name: str, tree: Tree) -> tuple[str, str, Tree]:
    """The known beginning of a dotted name, the first unknown part (or nothing), and the names valid in its place."""
    known: list[str] = []
    for part in name.split("."):
        if part not in tree:
            return ".".join(known), part, tree
        known.append(part)
        tree = tree[part]
    return name, "", tree


def _similar(name: str, tree: Tree) -> str:
    """By a name similar to the first unknown part; else by the last part, which another field may share."""
    known, part, below = _follow(name, tree)
    names = every_name(tree)
    if near := similar(part, below):
        found = [field for field in names if within(field, [".".join([*filter(None, [known]), near])])]
    else:
        found = [field for field in names if field.split(".")[-1] == name.split(".")[-1]]
    return _closest(name, found)


def _closest(name: str, names: Iterable[str]) -> str:
    """The most similar of several names, however little; empty if there are none."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0)), "")


def _field_tree(model_names: Iterable[str]) -> Tree:
    """The names of an experiment's fields, each with those inside it."""
    tree = _names(Experiment) | {"model": {"name": {}}}
    for model in model_names:
        tree["model"] |= _names(model_spec_class(model))
    tree["data"]["augment"] = _names(Augmentations)
    return tree


def _names(kind: Kind) -> dict[str, Any]:
    """The names of a specification's fields, each with those inside it."""
    return {
        name: _names(inner) if (inner := kind_in(field.annotation)) else {} for name, field in kind.model_fields.items()
    }


def every_name(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    """All values of a tree by dotted name, including whole sections."""
    named: Tree = {}
    for key, value in tree.items():
        named[f"{prefix}{key}"] = value
        if isinstance(value, Mapping):
            named |= every_name(value, f"{prefix}{key}.")
    return named
