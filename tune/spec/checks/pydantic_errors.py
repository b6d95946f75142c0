"""Pydantic's errors as problems in the words of this project."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

import models
from data import registry as datasets
from tune.spec.base import NestedError
from tune.spec.errors import Problem, not_a_mapping, one_of, shown, similar, unknown_name
from tune.spec.experiment import model_spec_class
from tune.spec.schema import elsewhere, fields_at

M = TypeVar("M", bound=BaseModel)

_MAPPINGS = {"model_type", "model_attributes_type", "dict_type"}
_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_unicode": "text in UTF-8",
    "tuple_type": "a list",
}
_LIMITS = {
    "greater_than": "above",
    "greater_than_equal": "at least",
    "less_than": "below",
    "less_than_equal": "at most",
}
_TAGS = {"a name", "a mapping", "a number"}  # of the unions in data.normalize and training.threads


def validated(kind: type[M], tree: Any, prefix: str = "") -> tuple[M | None, list[Problem]]:
    """The specification in a tree, or everything that is wrong with it."""
    try:
        return kind.model_validate(tree), []
    except ValidationError as error:
        return None, translate(error, kind, prefix)


def translate(error: ValidationError, root: type[BaseModel], prefix: str = "", file: str = "") -> list[Problem]:
    """One problem per error, with its dotted field below `prefix`. `root` is the class that was validated."""
    problems: list[Problem] = []
    for item in error.errors(include_url=False):
        model, path = _without_tags(item["loc"])
        if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
            path.append("name")
        field = ".".join([*filter(None, [prefix]), *path])
        nested = item.get("ctx", {}).get("error")
        if isinstance(nested, NestedError):
            problems += translate(nested.error, nested.kind, field, file)
            continue
        if item["type"] in _MAPPINGS:
            problems.append(Problem(field, not_a_mapping(item["input"], fields_at(root, path)), file))
            continue
        siblings = fields_at(model_spec_class(model), []) if model else fields_at(root, path[:-1])
        problems.append(Problem(field, _message(dict(item), path, field, siblings), file))
    return problems


def _without_tags(location: Iterable[int | str]) -> tuple[str | None, list[str]]:
    """The model whose options an error is in, if any; and the place, without the tags of unions."""
    path = [str(part) for part in location if part not in _TAGS]
    model = path.pop(1) if path[:1] == ["model"] and len(path) > 1 else None
    return model, path


def _message(item: dict[str, Any], path: list[str], field: str, siblings: list[str]) -> str:
    """What is wrong at a place, `field` in the whole file. `siblings` are the valid names there."""
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    if kind in _TYPES:
        return f"must be {_TYPES[kind]} (got {shown(value)})"
    if kind in _LIMITS:
        (limit,) = context.values()
        return f"must be {_LIMITS[kind]} {limit if isinstance(limit, int) else f'{limit:.12g}'} (got {shown(value)})"
    match kind:
        case "extra_forbidden" | "invalid_key":
            return unknown_name("field", path[-1], siblings, "" if similar(path[-1], siblings) else elsewhere(field))
        case "missing" | "union_tag_not_found":
            return f"is required{_what_is_required(path)}"
        case "union_tag_invalid":
            return one_of(value["name"], models.names())
        case "literal_error":
            return one_of(value, re.findall("'([^']*)'", context["expected"]))
        case "too_short":
            return f"must be a list of at least {context['min_length']} (got {shown(value)})"
        case "form":
            return f"must be {item['msg']} (got {shown(value)})"
        case "value_error":
            return str(context["error"])
    return f"is invalid (got {shown(value)}; {kind})"


def _what_is_required(path: list[str]) -> str:
    match path:
        case [*_, "model" | "data"]:
            return ": a mapping with a name"
        case [*_, "model", "name"]:
            return f": one of {', '.join(models.names())}"
        case [*_, "name"]:
            return f": one of {', '.join(datasets.names())}"
        case [*_, "mean" | "std"]:
            return ": a number per channel, or one for all"
    return ""
