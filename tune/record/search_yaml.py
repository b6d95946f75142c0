"""The file `search.yaml`: the search as it was started, every field spelled out, and where its record is."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from search_spaces import Space, SpaceError, parse
from tune.errors import UserError
from tune.files import write_whole
from tune.record.folder import SearchFolder
from tune.record.storage.journal import DamagedRecordError
from tune.record.storage.url import typed
from tune.spec.dotted import flatten
from tune.spec.errors import Problem, SpecError, shown
from tune.spec.files import dump_yaml, read_tree
from tune.spec.search_settings import SearchSettings, of_earlier_versions

if TYPE_CHECKING:
    from tune.spec.search import SearchSpec

FREE = (
    "search.trials",
    "search.concurrent",
    "search.time_budget",
    "search.keep_for_retraining",
    "search.stop",
    "search.resources",
    "search.data",
    "data.path",
)
"""What may change when a search is continued; with any other change it would be another search.

Images may have moved (`data.path`): that they are the same is checked by their content.
"""


def write_spec(folder: SearchFolder, spec: SearchSpec, made_with: Mapping[str, Any]) -> None:
    """Write every field, what the search is made with (versions, hashes; no secrets), and where its record is to be."""
    study = {"url": folder.study, "name": folder.name, "identity": uuid.uuid4().hex}
    made = {**made_with, **({"study": study} if folder.study else {})}
    write_whole(folder.spec, dump_yaml({**spec.to_tree(), "made_with": made}).encode())


def read_spec(folder: SearchFolder, root: Path | None = None, *, with_data: bool = False) -> SearchSpec:
    """The search of a folder, under the folder's name; by default without looking at its images.

    Raises:
        DamagedRecordError: `search.yaml` is missing.
        SpecError: it is damaged or of another version.
    """
    from tune.spec.reading.load import load_search

    check_described(folder)
    spec = load_search(str(folder.spec), root=root, with_data=with_data)
    return dataclasses.replace(spec, name=folder.name)


def read_outline(folder: SearchFolder) -> tuple[SearchSettings, tuple[str, ...]]:
    """How a search searches, and the names of its fields, without what takes models and torch to be understood.

    Raises:
        DamagedRecordError: `search.yaml` is missing.
        SpecError: these parts of it are damaged.
    """
    check_described(folder)
    tree = read_tree(folder.spec)
    try:
        return SearchSettings.model_validate(of_earlier_versions(tree["search"])), tuple(tree["space"].keys())
    except (KeyError, AttributeError, ValidationError):  # read as a whole, it says what is wrong
        spec = read_spec(folder)
        return spec.search, tuple(spec.space.domains)


def read_space(folder: SearchFolder) -> Space:
    """The searched fields of a search, likewise without models and torch; it does not know the fields that are fixed.

    Raises:
        DamagedRecordError: `search.yaml` is missing.
        SpecError: it is damaged.
    """
    check_described(folder)
    try:
        return Space({str(field): parse(raw) for field, raw in read_tree(folder.spec)["space"].items()}, {})
    except (KeyError, AttributeError, SpaceError):  # read as a whole, it says what is wrong
        return read_spec(folder).space


def check_described(folder: SearchFolder) -> None:
    """Refuse a search without its description.

    Raises:
        DamagedRecordError: `search.yaml` or the whole folder is missing.
    """
    if folder.spec.is_file():
        return
    if not folder.path.is_dir():
        raise DamagedRecordError(f"{folder.path} is missing; is the disk or the server that holds it connected?")
    raise DamagedRecordError(f"{folder.spec} is missing: it describes the search; restore it from a backup")


def made_with(folder: SearchFolder) -> dict[str, Any]:
    """Versions and hashes that the search was made with."""
    return dict(read_tree(folder.spec).get("made_with") or {})


def study_of(folder: SearchFolder) -> Mapping[str, Any] | None:
    """The study with the record: `url`, `name` and `identity`; None for the journal.

    Raises:
        UserError: `--study` says otherwise.
    """
    noted = made_with(folder).get("study") if folder.spec.is_file() else None
    if noted is None:
        if folder.study is not None and folder.exists:
            raise UserError(f"{folder.path}: its record is the file {folder.journal.name}; leave out --study")
        return None
    if folder.study is None:
        # Not opened unless asked for: whoever can write the file could have the password sent to their own server.
        raise UserError(f"{folder.path}: its record is in a database; use --study {typed(noted['url'])}")
    return dict(noted)


def with_study_if_used(folder: SearchFolder, study: str | None) -> SearchFolder:
    """Another search than the one that `--study` was given for: its record is there if it is in a database at all."""
    return dataclasses.replace(folder, study=study if made_with(folder).get("study") else None)


def refuse_changes(
    what: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    file: str,
    free: tuple[str, ...] = (),
    hints: Mapping[str, str] | None = None,
) -> None:
    """Refuse to continue a search or a run under another description.

    Args:
        what: search or run, for the message.
        before: Its tree when it was started.
        now: The tree asked for.
        file: Where the first is written.
        free: Dotted names, or beginnings of them, that may change.
        hints: What to do about a field, by dotted name, where that is not just to use its value at the start.

    Raises:
        SpecError: names every field that differs, with both values.
    """
    old, new = flatten(before), flatten(now)
    problems = [
        Problem(
            field,
            f"cannot be changed on an existing {what}: it was started with {shown(old.get(field))} "
            f"(got {shown(new.get(field))})" + "".join(f"; {hint}" for hint in [(hints or {}).get(field)] if hint),
            file,
        )
        for field in {**old, **new}
        if old.get(field) != new.get(field) and not field.startswith(free)
    ]
    if problems:
        raise SpecError(problems)
