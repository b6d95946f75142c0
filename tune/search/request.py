"""What a user asks of `search`, made into a checked search in a folder: begun, resumed or extended."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tune.errors import UserError
from tune.record.folder import SearchFolder, check_new_name, locate
from tune.record.search_yaml import FREE, check_described, read_search, refuse_changes
from tune.record.storage import check_new_study, noted_place
from tune.record.url import study_url
from tune.spec.dotted import with_values
from tune.spec.errors import Problem, SpecError
from tune.spec.load import load_search, parse_overrides
from tune.spec.search import SearchSpec


@dataclass(frozen=True)
class Request:
    """The arguments of `search`. `subject` is a space, or with resume or extend also a search."""

    subject: str
    out: Path
    root: Path
    overrides: tuple[str, ...] = ()
    name: str | None = None
    trials: int | None = None
    resume: bool = False
    extend: int | None = None
    warm_start: str | None = None
    time_budget: float | None = None
    address: str | None = None
    study: str | None = None

    @property
    def continues(self) -> bool:
        """Whether the search must exist already."""
        return self.resume or self.extend is not None


def resolve(request: Request) -> tuple[SearchSpec, SearchFolder]:
    """The search and its folder; nothing is written.

    Raises:
        SpecError: the search is impossible, or another than the one it is to resume.
        UserError: the name exists already, or does not exist.
    """
    overrides = [*request.overrides]
    if request.trials is not None:
        overrides.append(f"search.trials={request.trials}")
    if request.time_budget is not None:
        overrides.append(f"search.time_budget={request.time_budget}")
    study = study_url(request.study)
    existing = SearchFolder(locate(request.subject, request.out), study)
    if request.continues and request.name is None and existing.exists:
        _only_free(overrides)
        check_described(existing)
        noted_place(existing)
        spec = load_search(str(existing.spec), overrides, request.root)
        return dataclasses.replace(spec, name=existing.name), existing
    spec = load_search(request.subject, overrides, request.root)
    name = request.name or spec.name
    check_new_name(name)
    spec, folder = pinned(dataclasses.replace(spec, name=name)), SearchFolder(request.out / name, study)
    if request.continues:
        if not folder.exists:
            raise UserError(f"there is no search {name!r} below {request.out} to go on with; begin it without --resume")
        refuse_changes("search", read_search(folder).to_tree(), spec.to_tree(), str(folder.spec), FREE)
        noted_place(folder)
    elif folder.exists or any(not path.name.startswith(".") for path in folder.path.glob("*")):
        raise UserError(f"{folder.path} exists already; legal: --resume, --extend N, or another --name")
    else:
        check_new_study(folder)
    return spec, folder


def pinned(spec: SearchSpec) -> SearchSpec:
    """The search with the CPU threads of a trial spelled out: sums, and so results, differ with them."""
    if "training.threads" in spec.space.domains or spec.sample.training.threads is not None:
        return spec
    threads = max(1, int(spec.search.resources.cpu))
    return dataclasses.replace(spec, base=with_values(spec.base, {"training.threads": threads}))


def _only_free(overrides: Sequence[str]) -> None:
    values, problems = parse_overrides(overrides)
    message = f"rules a search that exists; legal: to override only {', '.join(FREE)}"
    problems += [Problem(name, message, "search.yaml") for name in values if not name.startswith(FREE)]
    if problems:
        raise SpecError(problems)
