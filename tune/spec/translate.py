"""Pydantic's errors in our words: dotted name, value, what is legal or nearest."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

import models
from tune.spec.errors import Problem, nearest
from tune.spec.experiment import ModelSpec, model_spec_class

_LEGAL = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "tuple_type": "a list",
    "model_type": "a mapping of names to values",
    "model_attributes_type": "a mapping of names to values",
}
_LIMITS = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}


def translate(error: ValidationError, root: type[BaseModel], prefix: str = "", file: str = "") -> list[Problem]:
    """One problem per error, named by its dotted field below `prefix`. `root` is the model that was validated."""
    problems = []
    for item in error.errors(include_url=False):
        path = [str(part) for part in item["loc"] if not _is_branch(part)]
        model = path.pop(1) if path[:1] == ["model"] and len(path) > 1 else None  # the tag of the union of models
        path += ["name"] * (item["type"] == "union_tag_invalid")
        problems.append(
            Problem(".".join([*filter(None, [prefix]), *path]), _message(dict(item), root, path, model), file)
        )
    return _without_union_echoes(problems)


def _is_branch(part: Any) -> bool:
    """Whether a part of pydantic's location names a member of a union rather than a field."""
    text = str(part)
    return text.startswith(("literal[", "constrained-", "function-")) or text in {"float", "int", "Normalization"}


def _without_union_echoes(problems: list[Problem]) -> list[Problem]:
    """A value that fits no member of a union is reported once per member: joined to one problem per field."""
    merged: dict[str, Problem] = {}
    for problem in problems:
        earlier = merged.get(problem.field)
        if earlier is None:
            merged[problem.field] = problem
        elif problem.message != earlier.message:
            extra = problem.message.split("legal: ", 1)[-1]
            merged[problem.field] = Problem(problem.field, f"{earlier.message}, or {extra}", problem.file)
    return list(merged.values())


def _message(item: dict[str, Any], root: type[BaseModel], path: list[str], model: str | None) -> str:
    kind, value, context = item["type"], item.get("input"), item.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown; {nearest(path[-1], _fields_at(model_spec_class(model) if model else root, path[:-1]))}"
    if kind == "union_tag_invalid":
        return f"{context['tag']!r} is unknown; {nearest(context['tag'], models.names())}"
    if kind == "union_tag_not_found":
        return f"names no model; legal: a mapping with name, one of {', '.join(models.names())}"
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        options = [text.strip("'") for text in context["expected"].replace(" or ", ", ").split(", ")]
        return f"{value!r} is unknown; {nearest(str(value), options)}"
    if kind in _LIMITS:
        (limit,) = context.values()
        return f"{value!r} is out of range; legal: {_LIMITS[kind]} {limit:g}"
    if kind == "value_error":
        return str(context["error"])
    if kind in _LEGAL:
        return f"{value!r} is of the wrong type; legal: {_LEGAL[kind]}"
    return f"{value!r}: {item['msg']}"


def _fields_at(root: type[BaseModel], path: list[str]) -> list[str]:
    """The names that are legal at a dotted place of the specification."""
    if issubclass(root, ModelSpec):
        return list(root.model_fields)
    model: type[BaseModel] | None = root
    for part in path:
        field = model.model_fields.get(part) if model else None
        model = _model_in(field.annotation) if field else None
    return list(model.model_fields) if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model inside an annotation such as `X | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        return next((found for part in typing.get_args(annotation) if (found := _model_in(part))), None)
    return None
