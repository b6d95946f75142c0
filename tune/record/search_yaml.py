"""The resolved search, written beside its record when it begins and read back by everything that comes later."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune.record.folder import SearchFolder, write_whole
from tune.record.journal import DamagedRecordError
from tune.spec.dotted import flatten
from tune.spec.errors import Problem, SpecError
from tune.spec.files import dump_yaml, read_tree
from tune.spec.load import load_search
from tune.spec.search import SearchSpec

FREE = ("search.trials", "search.concurrent", "search.time_budget", "search.resources")
"""What may differ when a search is resumed; everything else would make another search of it."""


def write_search(folder: SearchFolder, spec: SearchSpec, made_with: Mapping[str, Any]) -> None:
    """Write `search.yaml`: every field, and what the search was made with (versions, hashes; no secrets)."""
    write_whole(folder.spec, dump_yaml({**spec.to_tree(), "made_with": dict(made_with)}).encode())


def read_search(folder: SearchFolder, root: Path | None = None, *, with_data: bool = False) -> SearchSpec:
    """The search of a folder, under the folder's name; by default without looking at its images.

    Raises:
        DamagedRecordError: `search.yaml` is missing.
        SpecError: it is damaged or of another version.
    """
    check_described(folder)
    spec = load_search(str(folder.spec), root=root, with_data=with_data)
    return dataclasses.replace(spec, name=folder.name)


def check_described(folder: SearchFolder) -> None:
    """Refuse to go on with a search whose description is gone.

    Raises:
        DamagedRecordError: `search.yaml` is missing.
    """
    if not folder.spec.is_file():
        raise DamagedRecordError(f"{folder.spec} is missing: it describes the search; restore it from a backup")


def made_with(folder: SearchFolder) -> dict[str, Any]:
    """Versions and hashes that the search was made with."""
    return dict(read_tree(folder.spec).get("made_with") or {})


def refuse_changes(
    what: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    file: str,
    free: tuple[str, ...] = (),
    legal: Mapping[str, str] | None = None,
) -> None:
    """Refuse to go on with a search or a run under another description.

    Args:
        what: search or run, for the message.
        before: Its tree when it was begun.
        now: The tree asked for.
        file: Where the first is written.
        free: Dotted names, or beginnings of them, that may differ.
        legal: What is legal for a dotted name, where that is not just `the latter`: its value at the beginning.

    Raises:
        SpecError: names every field that differs, with both values.
    """
    old, new, words = flatten(before), flatten(now), legal or {}
    problems = [
        Problem(
            field,
            f"{new.get(field)!r}, but the {what} was begun with {old.get(field)!r}; "
            f"legal: {words.get(field, 'the latter')}",
            file,
        )
        for field in {**old, **new}
        if old.get(field) != new.get(field) and not field.startswith(free)
    ]
    if problems:
        raise SpecError(problems)
