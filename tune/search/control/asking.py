"""Requests to a search from outside, checked before they are left for its driver: `stop`, `add`, `set`."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import data
from data.words import numbered
from search_spaces import Config, config_key
from tune.errors import UserError
from tune.record.as_optuna import quiet_optuna
from tune.record.control_requests import Action, ControlRequest, all_requests, put
from tune.record.folder import SearchFolder
from tune.record.opening import Search, open_record, read_search
from tune.record.search_status import status_of
from tune.search.control.settings import changed, in_force
from tune.search.ledger import SETTINGS
from tune.spec.checks.experiment import check_tree
from tune.spec.checks.images import inspect_data, looker
from tune.spec.checks.search import check_constraints
from tune.spec.dotted import with_values
from tune.spec.errors import OVERRIDE, Problem, SpecError
from tune.spec.reading.overrides import parse_overrides
from tune.spec.search import SearchSpec

PATIENCE = 10.0  # seconds to wait for a live search's answer
PAUSE = 0.3  # seconds between two looks
DRAWS = 1000  # configurations drawn before none is assumed to go with the given values


class Asked(NamedTuple):
    """A request as it was left.

    Attributes:
        request: With what came of it, if the search is live and has answered.
        live: Whether a process is running the search.
    """

    request: ControlRequest
    live: bool


def stop(search: Search, trial: int | None) -> ControlRequest:
    """A request to stop a search, or one of its trials.

    Raises:
        UserError: It has ended, or there is no such trial.
    """
    name, status = search.folder.name, status_of(search)
    if trial is None:
        if status.status in ("finished", "stopped"):
            raise UserError(f"{name} is not running: {status}; there is nothing to stop")
        return ControlRequest(Action.STOP)
    if trial >= len(search.trials):
        raise UserError(f"{name} has no trial {trial}; it has {numbered(len(search.trials), 'trial')}")
    found = search.trials[trial].status
    if found.ended:
        raise UserError(f"trial {trial} of {name} has already ended: {found}; choose one that has not")
    return ControlRequest(Action.STOP_TRIAL, trial)


def set_(search: Search, overrides: Iterable[str]) -> ControlRequest:
    """A request to change settings.

    Raises:
        SpecError: everything that is wrong with them.
    """
    values, problems = parse_overrides(overrides)
    if not values and not problems:
        raise UserError("nothing to set; give at least one FIELD=VALUE, such as search.concurrent=4")
    try:
        changed(in_force(search.spec, search.spec, search.facts.get(SETTINGS, {}), ()), values)
    except SpecError as error:
        problems += error.problems
    if problems:
        raise SpecError(problems)
    return ControlRequest(Action.SET, values=values)


def add(search: Search, overrides: Iterable[str], root: Path) -> ControlRequest:
    """A request to add a trial; what is not given is drawn at random.

    Args:
        search: The search.
        overrides: Values of searched fields.
        root: The data directory. Where it lacks the images, the driver finds out whether the trial is possible.

    Raises:
        SpecError: everything that is wrong with the values.
        UserError: There is such a trial already.
    """
    given, problems = parse_overrides(overrides)
    known = {config_key(trial.config): f"trial {trial.number} of" for trial in search.trials}
    for request in all_requests(search.folder, search.facts):
        if request.action is Action.ADD and not request.taken:
            known[config_key(request.values)] = "a requested trial of"
    config, found, twin = _completed(search.spec, given, known, _Checks(search.spec, root))
    if problems := [*problems, *found]:
        raise SpecError(problems)
    if twin:
        raise UserError(f"{twin} {search.folder.name} already has this configuration; give another value")
    return ControlRequest(Action.ADD, values=config)


def _completed(
    spec: SearchSpec, given: Config, known: dict[str, str], checks: _Checks
) -> tuple[Config, list[Problem], str]:
    """A configuration with the given values; or what is wrong with it, or who has it already."""
    source, first = random.Random(), None
    for _ in range(DRAWS):
        config = spec.space.draw(source, given)
        problems = [Problem(field, text, OVERRIDE) for field, text in spec.space.problems({**config, **given})]
        config = spec.space.canonical(config)
        problems = problems or checks(config)
        twin = known.get(config_key(config), "")
        if not problems and not twin:
            return config, [], ""
        first = first or (config, problems, twin)
        if not set(spec.space.domains) - set(given):
            break  # nothing is drawn
    assert first is not None
    return first


class _Checks:
    """What is wrong with a configuration, as far as this machine can tell."""

    def __init__(self, spec: SearchSpec, root: Path) -> None:
        self._spec, self._look = spec, None
        with suppress(data.DataError, OSError):
            inspect_data(spec.sample.data, root)
            self._look = looker(root)

    def __call__(self, config: Config) -> list[Problem]:
        experiment, problems = check_tree(with_values(self._spec.base, config), self._look)
        if experiment is not None and not problems and self._look is not None:
            reasons = check_constraints(self._spec.constraints, experiment, self._look(experiment.data))
            problems = [Problem("", reason) for reason in reasons]
        return [Problem(problem.field, problem.message, OVERRIDE) for problem in problems]


def leave(search: Search, request: ControlRequest, patience: float = PATIENCE) -> Asked:
    """Leave a request; where the search is live, wait until its driver has done it.

    Raises:
        OSError, WorkError: It cannot be written.
    """
    with quiet_optuna(), closing(open_record(search.folder, search.objective)) as record:
        put(search.folder, record, request)
    if not search.driven:
        return Asked(request, live=False)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(PAUSE)
        answered, live = _look(search.folder, request)
        if answered.taken or not live:
            return Asked(answered, live or bool(answered.taken))
    return Asked(request, live=True)


def _look(folder: SearchFolder, request: ControlRequest) -> tuple[ControlRequest, bool]:
    now = read_search(folder)
    found = {one.id: one for one in all_requests(folder, now.facts)}
    return found.get(request.id, request), now.driven


def told(search: Search, asked: Asked) -> str:
    """The result of a request, in words."""
    request = asked.request
    if request.taken:
        return f"{search.folder.name}: {request}: {request.result}"
    if asked.live:
        return f"{search.folder.name}: {request}: requested; the search has not done it yet (see `imagetune status`)"
    return f"{search.folder.name}: {request}: requested; takes effect when the search is resumed"


def document(search: Search, asked: Asked) -> dict[str, Any]:
    """The result of a request, as JSON values."""
    return {"search": search.folder.name, **asked.request.to_dict()}
