"""Several seeds per trial (`search.seeds`): who is trained with another one, and how such a trial ends."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tune.record.pareto import best_first
from tune.record.status import Status
from tune.record.trial import SEEDS, TrialRecord
from tune.spec.options.schedulers import HalvingSpec
from tune.spec.search_settings import SearchSettings

SHARE = 3  # one in this many trials goes on to the next seed, with a scheduler that has no reduction factor


def trains_another(trial: TrialRecord, trials: Iterable[TrialRecord], settings: SearchSettings) -> bool:
    """Whether a trial, of which a seed has just run to its end, is trained with another.

    It is if it is among the best 1 / `reduction_factor` (rounded up) of the trials of which a seed has run to its end,
    by their means so far.
    """
    if trial.seed + 1 >= settings.seeds:
        return False
    compared = [other for other in trials if SEEDS in other.facts]
    ranking = best_first(
        {other.number: costs for other in compared if (costs := other.costs(settings.objective)) is not None}
    )
    return trial.number in ranking[: going_on(len(ranking), settings)]


def going_on(trials: int, settings: SearchSettings) -> int:
    """How many of so many trials are trained with another seed."""
    scheduler = settings.scheduler
    return math.ceil(trials / (scheduler.reduction_factor if isinstance(scheduler, HalvingSpec) else SHARE))


def outcome(trial: TrialRecord) -> tuple[Status, str]:
    """How a trial ends after its last seed: as its first did; those that did not run to their end are named."""
    first, *others = trial.facts[SEEDS]
    bad = [
        f"seed {number} {seed['status'].replace('_', ' ')}" + (f" ({seed['reason']})" if seed["reason"] else "")
        for number, seed in enumerate(others, start=2)
        if seed["status"] != Status.COMPLETED
    ]
    return Status(first["status"]), "; ".join([first["reason"], *bad])
