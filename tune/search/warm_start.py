"""Warm starts: another search's trials, as far as they fit, for the sampler to learn from.

They make no rows and stand at no rung here, but no configuration of theirs is tried again. They are copied into the
record when the search begins, so that a resume needs the other search no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from search_spaces import Config
from tune.record.folder import SearchFolder
from tune.record.search_yaml import read_search
from tune.record.status import Status
from tune.record.storage import open_record
from tune.record.study import TrialRecord
from tune.spec.dotted import flatten, get_dotted
from tune.spec.errors import Problem, SpecError
from tune.spec.search import SearchSpec
from tune.training import EpochMetrics

WARM = "warm"  # the note in the record

USED = (Status.COMPLETED, Status.STOPPED, Status.DIVERGED, Status.OUT_OF_MEMORY)


def warm_trials(spec: SearchSpec, other: SearchFolder) -> list[dict[str, Any]]:
    """The other search's trials that fit, as plain values for the record.

    Raises:
        SpecError: the other search was judged by another metric.
    """
    theirs = read_search(other)
    if theirs.search.metric != spec.search.metric:
        message = f"{other.name} was judged by {theirs.search.metric}, this search by {spec.search.metric}"
        raise SpecError([Problem("--warm-start", f"{message}; legal: a search by the same metric")])
    with closing(open_record(other, theirs.search.objective)) as record:
        trials = record.trials()
    rows = []
    for trial in trials:
        config = fitting(spec, theirs, trial.config) if trial.status in USED else None
        if config is not None:
            rows.append(_row(trial, config, spec.search.metric))
    return rows


def fitting(spec: SearchSpec, theirs: SearchSpec, config: Config) -> Config | None:
    """A configuration of another search as one of this space, or None.

    A field that was fixed there counts with its value; one that is fixed here must have had the same value there.
    """
    full = {**flatten(theirs.base), **config}
    candidate = {field: full[field] for field in spec.space.domains if full.get(field) is not None}
    candidate = spec.space.canonical(candidate)
    if spec.space.problems(candidate):
        return None
    elsewhere = [field for field in config if field not in spec.space.domains]
    return candidate if all(get_dotted(spec.base, field) == full[field] for field in elsewhere) else None


def _row(trial: TrialRecord, config: Config, metric: str) -> dict[str, Any]:
    values = [[epoch.epoch, epoch.values[metric]] for epoch in trial.epochs if metric in epoch.values]
    return {"config": config, "status": str(trial.status), "values": values}


def records(rows: Iterable[Mapping[str, Any]], metric: str) -> list[TrialRecord]:
    """Rows of the record's note as trials with negative numbers, for the sampler's view alone."""
    return [
        TrialRecord(
            number=-1 - index,
            config=dict(row["config"]),
            status=Status(row["status"]),
            epochs=tuple(EpochMetrics(int(epoch), {metric: float(value)}, 0.0, 0.0) for epoch, value in row["values"]),
        )
        for index, row in enumerate(rows)
    ]
