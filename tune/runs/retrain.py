"""Train the winners of a search again, on several seeds, into run folders below the search."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import data
from data.words import numbered
from tune.errors import UserError
from tune.record.folder import RunFolder
from tune.record.observer import Observer
from tune.record.opening import Search
from tune.record.same_data import check_same_data, recorded_data
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.runs.curves import write_curves
from tune.runs.info import with_path
from tune.runs.plan import RunPlan
from tune.runs.run import RunResult, run
from tune.spec import Experiment, SpecError
from tune.spec.checks.experiment import check_recipe
from tune.spec.checks.pydantic_errors import translate
from tune.training import End


@dataclass(frozen=True)
class Winner:
    """A retrained trial: one run per seed."""

    trial: int
    runs: tuple[RunResult, ...]

    @property
    def sound(self) -> tuple[RunResult, ...]:
        """The runs that did not diverge."""
        return tuple(result for result in self.runs if result.end is not End.DIVERGED)

    def spread(self) -> dict[str, dict[str, float | None]]:
        """The spread of each metric of the best epochs over the sound runs."""
        best = [result.best.values for result in self.sound if result.best is not None]
        names = dict.fromkeys(name for values in best for name in values)
        return {name: spread([values[name] for values in best]) for name in names}


def spread(values: list[float]) -> dict[str, float | None]:
    """n, mean, sample standard deviation (ddof 1; None for a single value), min and max."""
    std = statistics.stdev(values) if len(values) > 1 else None
    return {
        "n": len(values),
        "mean": math.fsum(values) / len(values),
        "std": std,
        "min": min(values),
        "max": max(values),
    }


def chosen(found: Search, top: int, trial: int | None, *, front: bool = False) -> list[TrialRecord]:
    """The given trial, or the whole front, or the best `top` of those that did not fail or diverge.

    Raises:
        UserError: There is no such trial, or none with a result, or no front since there is one objective.
    """
    if front and not found.objective.several:
        raise UserError(f"--front: {found.folder.path} has one objective, {found.objective.text}; use --top K")
    if trial is not None:
        if trial not in range(len(found.trials)):
            raise UserError(f"--trial {trial}: {found.folder.path} has {numbered(len(found.trials), 'trial')}")
        return [found.trials[trial]]
    able = [found.trials[number] for number in found.table["trial"] if _may_win(found, found.trials[number])]
    if not able:
        raise UserError(
            f"{found.folder.path}: no trial has a {found.objective.metric.name}, "
            "apart from those that diverged or failed; choose a search with results, or a trial with --trial N"
        )
    if front:
        return [trial for trial in able if trial.number in found.front]
    return able[:top]


def _may_win(found: Search, trial: TrialRecord) -> bool:
    return not trial.status.bad and trial.status is not Status.FAILED and trial.best(found.objective) is not None


def plans(
    found: Search, trial: TrialRecord, seeds: int, *, full: bool, changes: Mapping[str, Any] | None = None
) -> Iterator[RunPlan]:
    """The runs that train a trial again, on its experiment's seed, seed + 1, ...

    `changes` are fields that differ from the trial's, by dotted name; if `training.epochs` is one, it replaces the
    search's own limit and, with `full`, the trial's best number of epochs.

    With the first seed and without `full`, a trial that was not stopped gives the same metrics again (on the same CPU
    and with the same versions); one that the scheduler stopped is trained to the end.

    Raises:
        UserError: The trial's experiment is impossible, or its best number of epochs is not known.
    """
    changes = dict(changes or {})
    own = _experiment(found, trial, changes)
    if changes and (problems := check_recipe(own.training)):
        raise SpecError(problems)
    epochs = None if "training.epochs" in changes else _epochs(found, trial, full=full)
    for seed in range(own.seed, own.seed + seeds):
        name = f"{trial.number:05d}-seed{seed}{'-full' * full}{_mark(changes)}"
        yield RunPlan(
            experiment=_experiment(found, trial, {**changes, "seed": seed}),
            folder=RunFolder(found.folder.winners / name),
            metric=found.objective.metric.name,
            epochs=epochs,
            full=full,
        )


def _epochs(found: Search, trial: TrialRecord, *, full: bool) -> int | None:
    """The number of epochs: the search's own limit or, without validation images, the trial's best epoch."""
    if not full:
        return found.spec.epochs
    best = trial.best(found.objective)
    if best is None:
        raise UserError(
            f"trial {trial.number} has no best epoch; choose a trial that has a {found.objective.metric.name}, "
            f"or set training.epochs=N"
        )
    return best.epoch


def _mark(changes: Mapping[str, Any]) -> str:
    """A suffix for the folder of a changed experiment; `experiment.yaml` has the changes."""
    other = {
        name: value for name, value in changes.items() if name != "data.path"
    }  # which is the same images elsewhere
    text = json.dumps(other, sort_keys=True, default=str)
    return f"-{hashlib.sha256(text.encode()).hexdigest()[:6]}" if other else ""


def _experiment(found: Search, trial: TrialRecord, changes: dict[str, Any]) -> Experiment:
    own: dict[str, Any] = {}
    if "training.threads" not in changes and found.spec.sample.training.threads == "auto":
        own = {"training.threads": max(1, int(found.spec.search.resources.cpu))}  # earlier versions recorded none
    try:
        return found.spec.experiment({**own, **trial.config, **changes})
    except ValidationError as error:
        raise SpecError(translate(error, Experiment, file=f"trial {trial.number} changed")) from None


def retrain(
    found: Search,
    trials: Iterable[TrialRecord],
    seeds: int,
    root: Path,
    observer: Observer,
    *,
    full: bool,
    changes: Mapping[str, Any] | None = None,
) -> list[Winner]:
    """Train winners. Finished runs are reused, interrupted ones are resumed.

    Args:
        found: The search.
        trials: The trials to train again.
        seeds: Runs per trial.
        root: The data directory, as torchvision's `root`.
        observer: Notified of everything.
        full: Train on validation images too, for the trial's best number of epochs unless `changes` sets another.
        changes: Fields that differ from the trials', by dotted name.

    Raises:
        UserError, WorkError, data.DataError, Interrupted: as `run` does.
    """
    path = (changes or {}).get("data.path")
    base = found.spec.sample if path is None else with_path(found.spec.sample, path)
    now = data.identify(base.data.source, root, observer.say)
    check_same_data(found.folder.path, recorded_data(found.folder), now, base.data.path, observer.say)
    todo = [(trial.number, list(plans(found, trial, seeds, full=full, changes=changes))) for trial in trials]
    return [Winner(number, tuple(_with_curves(plan, root, observer) for plan in own)) for number, own in todo]


def _with_curves(plan: RunPlan, root: Path, observer: Observer) -> RunResult:
    result = run_or_resume(plan, root, observer)
    write_curves(plan.folder, observer.say)
    return result


def run_or_resume(plan: RunPlan, root: Path, observer: Observer) -> RunResult:
    """Train a run, resume it if it was interrupted, or reuse it if it is finished.

    Raises:
        UserError, WorkError, data.DataError, Interrupted: as `run` does.
    """
    result = run(plan, root, observer, resume=plan.folder.exists)
    if not result.trained:
        observer.say(f"{plan.folder.name}: already finished; reusing it")
    if result.end is End.DIVERGED:
        observer.say(f"{plan.folder.name} diverged; left out of the statistics")
    return result
