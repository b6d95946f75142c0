"""The settings that may change while a search exists, by `set` or when it is resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from tune.spec.checks.pydantic_errors import validated
from tune.spec.checks.search import check_search
from tune.spec.dotted import set_dotted, within
from tune.spec.errors import OVERRIDE, Problem, SpecError, similar
from tune.spec.search import SearchSpec
from tune.spec.search_settings import SearchSettings

SETTABLE = ("trials", "concurrent", "time_budget", "keep_for_retraining", "stop")
"""Of the section `search`."""
_NAMES = tuple(f"search.{name}" for name in SETTABLE)


def changed(spec: SearchSpec, values: Mapping[str, Any]) -> SearchSpec:
    """The search with other settings.

    Args:
        spec: As it is now.
        values: By dotted name: `{"search.concurrent": 4}`.

    Raises:
        SpecError: everything that is wrong with them.
    """
    problems = [Problem(name, _refusal(name), OVERRIDE) for name in values if not within(name, _NAMES)]
    tree = {"search": spec.search.model_dump(mode="json")}
    for name, value in values.items():
        set_dotted(tree, name, value)
    settings, found = validated(SearchSettings, tree["search"], "search")
    if settings is not None:
        found = check_search(settings, spec.space, spec.sample)
    problems += [dataclasses.replace(problem, file=OVERRIDE) for problem in found if within(problem.field, _NAMES)]
    if problems or settings is None:
        raise SpecError(problems)
    return dataclasses.replace(spec, search=settings)


def _refusal(name: str) -> str:
    section, _, field = name.partition(".")
    known = section == "search" and field.partition(".")[0] in SearchSettings.model_fields
    meant = None if known else similar(name, _NAMES) or similar(f"search.{name}", _NAMES)
    hint = f"did you mean {meant}? " if meant else ""
    return f"cannot be set on an existing search; {hint}{'O' if hint else 'o'}nly {', '.join(_NAMES)} can"


def differing(before: SearchSpec, now: SearchSpec) -> list[str]:
    """The names of `SETTABLE` in which two searches differ."""
    return [name for name in SETTABLE if getattr(before.search, name) != getattr(now.search, name)]


def in_force(spec: SearchSpec, started: SearchSpec, by_hand: Mapping[str, Any], given: Iterable[str]) -> SearchSpec:
    """The search to resume: what was changed by hand applies, unless it is asked for something else now.

    Args:
        spec: As asked for now.
        started: As it was started.
        by_hand: What was changed, by name of `SETTABLE`.
        given: The dotted names on the command line.
    """
    given = list(given)
    asked = {name for name in by_hand if any(within(one, [f"search.{name}"]) for one in given)}
    kept = {name: value for name, value in by_hand.items() if name not in {*asked, *differing(started, spec)}}
    return changed(spec, {f"search.{name}": value for name, value in kept.items()}) if kept else spec
