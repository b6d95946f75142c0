"""The arguments of `search`, checked and resolved: what is to be searched, in which folder, new or resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tune.buckets.address import shown
from tune.buckets.parsing import is_url
from tune.files import fetch
from tune.record.folder import SearchFolder, candidates, check_new_name, check_recordable, check_writable
from tune.record.opening import check_startable
from tune.record.search_yaml import FREE, check_described, read_spec
from tune.record.storage.url import study_url
from tune.search.pinned import left_to_choose, pinned
from tune.spec.dotted import get_dotted, has_dotted, with_values
from tune.spec.errors import Problem, SpecError
from tune.spec.reading.load import load_search
from tune.spec.reading.overrides import parse_overrides
from tune.spec.search import SearchSpec


@dataclass(frozen=True)
class Request:
    """The arguments of `search`. `subject` is a space; with `resume` or `extend` it can also be a search."""

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

    @property
    def settings(self) -> list[str]:
        """All overrides, those of options included."""
        options = {"search.trials": self.trials, "search.time_budget": self.time_budget}
        return [*self.overrides, *(f"{field}={value}" for field, value in options.items() if value is not None)]


def resolve(request: Request, say: Callable[[str], None] = lambda text: None) -> tuple[SearchSpec, SearchFolder]:
    """The search and its folder; nothing is written. `say` is called with what was chosen for `auto`.

    Raises:
        SpecError: the search is impossible, or not the one that is to be resumed.
        UserError: the name is taken, or there is no such search.
    """
    study = study_url(request.study)
    check_recordable(request.subject if is_url(request.subject) else shown(request.out), study)
    if request.continues and request.name is None:
        for path in candidates(request.subject, request.out):
            if (folder := SearchFolder(path, study)).exists:
                return _existing(folder, request), folder
    if request.name is not None:
        check_new_name(request.name)  # before images are looked for
    spec = load_search(request.subject, request.settings, request.root)
    name = spec.name if request.name is None else request.name
    check_new_name(name)
    spec, folder = dataclasses.replace(spec, name=name), SearchFolder(request.out / name, study)
    if request.continues:
        fetch(folder.path)
        spec = _as_recorded(spec, folder) if folder.exists else spec
    check_startable(folder, spec, resume=request.continues)
    check_writable(folder.path)
    return spec if request.continues else pinned(spec, request.root, say), folder


def _existing(folder: SearchFolder, request: Request) -> SearchSpec:
    """The search of a folder, with what may change about it."""
    _refuse_fixed(request.settings)
    check_described(folder)
    spec = dataclasses.replace(load_search(str(folder.spec), request.settings, request.root), name=folder.name)
    check_startable(folder, spec, resume=True)
    check_writable(folder.path)
    return spec


def _as_recorded(spec: SearchSpec, folder: SearchFolder) -> SearchSpec:
    """The search that is to be continued, with the values that were chosen for `auto` when it was made."""
    before = read_spec(folder).base
    names = [f"training.{name}" for name in left_to_choose(spec.base)]
    values = {name: get_dotted(before, name) for name in names if has_dotted(before, name)}
    return dataclasses.replace(spec, base=with_values(spec.base, values))


def _refuse_fixed(settings: Sequence[str]) -> None:
    values, problems = parse_overrides(settings)
    message = f"cannot be changed on an existing search; only {', '.join(FREE)} can"
    problems += [Problem(name, message, "search.yaml") for name in values if not name.startswith(FREE)]
    if problems:
        raise SpecError(problems)
