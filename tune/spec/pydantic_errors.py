"""Pydantic's errors in our words: dotted name, value, what is legal or nearest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

import models
from data import registry as datasets
from tune.spec.base import FaultsBelowError
from tune.spec.errors import Problem, nearest, shown
from tune.spec.experiment import model_spec_class
from tune.spec.schema import fields_at

M = TypeVar("M", bound=BaseModel)

_A_MAPPING = "a mapping of names to values"
_LEGAL = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "string_unicode": "a text",
    "tuple_type": "a list",
    "model_type": _A_MAPPING,
    "model_attributes_type": _A_MAPPING,
    "dict_type": _A_MAPPING,
}
_LIMITS = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}
_TAGS = {"a name", "a mapping"}  # of the union in data.normalize


def validated(kind: type[M], tree: Any, prefix: str = "") -> tuple[M | None, list[Problem]]:
    """The specification in a tree, or all that is wrong with it."""
    try:
        return kind.model_validate(tree), []
    except ValidationError as error:
        return None, translate(error, kind, prefix)


def translate(error: ValidationError, root: type[BaseModel], prefix: str = "", file: str = "") -> list[Problem]:
    """One problem per error, named by its dotted field below `prefix`. `root` is the model that was validated."""
    problems: list[Problem] = []
    for item in error.errors(include_url=False):
        model, path = _without_tags(item["loc"])
        if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
            path.append("name")
        field = ".".join([*filter(None, [prefix]), *path])
        fault = item.get("ctx", {}).get("error")
        if isinstance(fault, FaultsBelowError):
            problems += translate(fault.error, fault.kind, field, file)
            continue
        siblings = fields_at(model_spec_class(model), []) if model else fields_at(root, path[:-1])
        problems.append(Problem(field, _message(dict(item), path, siblings), file))
    return problems


def _without_tags(location: Iterable[int | str]) -> tuple[str | None, list[str]]:
    """Which member of the union of models an error is in, if any; and where, without the tags of unions."""
    path = [str(part) for part in location if part not in _TAGS]
    model = path.pop(1) if path[:1] == ["model"] and len(path) > 1 else None
    return model, path


def _message(item: dict[str, Any], path: list[str], siblings: list[str]) -> str:
    """What is wrong, in our words. `siblings` are the names that are legal beside the path's last."""
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    if kind in _LEGAL:
        return f"{shown(value)} is of the wrong type; legal: {_LEGAL[kind]}"
    if kind in _LIMITS:
        (limit,) = context.values()
        legal = str(limit) if isinstance(limit, int) else f"{limit:g}"
        return f"{shown(value)} is out of range; legal: {_LIMITS[kind]} {legal}"
    match kind:
        case "extra_forbidden":
            return f"unknown; {nearest(path[-1], siblings)}"
        case "invalid_key":
            return f"unknown; legal: {', '.join(siblings)}"
        case "missing" | "union_tag_not_found":
            legal = _legal_where_missing(path)
            return f"is missing; legal: {legal}" if legal else "is missing"
        case "union_tag_invalid":
            return _unknown(value["name"], models.names())
        case "literal_error":
            return _unknown(value, re.findall("'([^']*)'", context["expected"]))
        case "too_short":
            return f"{shown(value)} is too short; legal: a list of at least {context['min_length']}"
        case "form":
            return f"{shown(value)} is of the wrong type; legal: {item['msg']}"
        case "value_error":
            return str(context["error"])
    return f"{shown(value)} is not legal here ({kind})"


def _unknown(value: Any, legal: Iterable[str]) -> str:
    return f"{shown(value)} is unknown; {nearest(str(value), legal)}"


def _legal_where_missing(path: list[str]) -> str:
    match path:
        case [*_, "model"] | [*_, "data"]:
            return "a mapping with a name"
        case [*_, "model", "name"]:
            return ", ".join(models.names())
        case [*_, "name"]:
            return ", ".join(datasets.names())
        case [*_, "mean" | "std"]:
            return "a number per channel, or one for all"
    return ""
