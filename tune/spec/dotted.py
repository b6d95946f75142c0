"""Nested mappings <-> dotted names: `{"a": {"b": 1}}` <-> `{"a.b": 1}`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

Tree = dict[str, Any]


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    """The values of a nested mapping by dotted name; an empty mapping counts as a value."""
    flat: Tree = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def within(field: str, sections: Iterable[str]) -> bool:
    """Whether a dotted name is one of the sections, or a field inside one of them."""
    return any(field == section or field.startswith(f"{section}.") for section in sections)


def set_dotted(tree: Tree, name: str, value: Any) -> None:
    """Set the value of a dotted name, in place; a value on the path that is not a mapping is replaced by one.

    A list of names on the path, as in `data.augment: [flip, crop]`, becomes a mapping of these names to null.
    """
    *path, last = name.split(".")
    for key in path:
        below = tree.get(key)
        if isinstance(below, list) and all(isinstance(item, str) for item in below):
            tree[key] = dict.fromkeys(below)
        elif not isinstance(below, dict):
            tree[key] = {}
        tree = tree[key]
    tree[last] = value


def with_values(tree: Mapping[str, Any], values: Mapping[str, Any]) -> Tree:
    """A deep copy of the tree with the values of the dotted names set."""
    result = copy.deepcopy(dict(tree))
    for name, value in values.items():
        set_dotted(result, name, copy.deepcopy(value))
    return result


_ABSENT = object()


def get_dotted(tree: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """The value of a dotted name, or the default."""
    value: Any = tree
    for key in name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return default
        value = value[key]
    return value


def has_dotted(tree: Mapping[str, Any], name: str) -> bool:
    """Whether a dotted name has a value, null included."""
    return get_dotted(tree, name, _ABSENT) is not _ABSENT


def remove_dotted(tree: Tree, name: str) -> None:
    """Remove the value of a dotted name, if it has one, in place."""
    path, _, last = name.rpartition(".")
    parent = get_dotted(tree, path) if path else tree
    if isinstance(parent, dict):
        parent.pop(last, None)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Dotted names with their last part where that is unique: `lr` for training.optimizer.lr.

    `name` alone would say nothing: it is `optimizer.name`.
    """
    names = list(names)
    last = [".".join(name.split(".")[-2 if name.endswith(".name") else -1 :]) for name in names]
    return {name: tail if last.count(tail) == 1 else name for name, tail in zip(names, last, strict=True)}
