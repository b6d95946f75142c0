"""Optimizers and learning rate schedules: a table of each, by the names that a specification uses.

A builder takes its fields of the specification as keyword-only parameters. What they are named decides which fields
apply to it, so that a new one without fields of its own is a function and a row.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def fields_of(build: Callable[..., Any]) -> tuple[str, ...]:
    """The fields of the specification that a builder takes: its keyword-only parameters."""
    parameters = inspect.signature(build).parameters.values()
    return tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)


def own_fields(builders: Mapping[str, Callable[..., Any]]) -> dict[str, tuple[str, ...]]:
    """The fields that not every builder takes, and the names of those that do."""
    takers: dict[str, tuple[str, ...]] = {}
    for name, build in builders.items():
        for field in fields_of(build):
            takers[field] = (*takers.get(field, ()), name)
    return {field: names for field, names in takers.items() if len(names) < len(builders)}
