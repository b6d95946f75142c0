"""How many epochs a search is expected to take: its scheduler, on trials whose ranks do not change as they train."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tune.search.schedulers import scheduler_of
from tune.search.schedulers.verdict import Action
from tune.spec.search import SearchSpec

ROUNDS = 10  # searches in which trials come in random orders, of which the mean is taken
MOST = 200  # trials of such a search; a larger one is expected to go on in the same way


@dataclass(frozen=True)
class Expected:
    """What a search is expected to take.

    Attributes:
        epochs: Of all trials, as expected.
        most: The same if no trial is stopped early.
        rungs: Epochs at which trials are judged, each with the number of trials expected to get there.
    """

    epochs: float
    most: int
    rungs: dict[int, float]


def expected(
    spec: SearchSpec, trials: int, workers: int, lengths: Sequence[int] = (), *, rounds: int = ROUNDS
) -> Expected:
    """What a search is expected to take.

    Args:
        spec: The search.
        trials: Its number of trials.
        workers: Trials at the same time.
        lengths: Epochs of some configurations drawn at random; empty if all have the same.
        rounds: How often to simulate the search.
    """
    lengths = list(lengths) or [spec.longest]
    some = min(trials, MOST)
    searches = [_simulated(spec, some, max(min(workers, some), 1), lengths, index) for index in range(rounds)]
    scale = trials / some if some else 0.0
    rungs = sorted({epoch for reached, judged in searches for epoch in judged})
    return Expected(
        scale * statistics.fmean(reached.total() for reached, _ in searches),
        round(trials * statistics.fmean(lengths)) if len(set(lengths)) > 1 else trials * lengths[0],
        {epoch: scale * statistics.fmean(reached[epoch] for reached, _ in searches) for epoch in rungs},
    )


def _simulated(
    spec: SearchSpec, trials: int, workers: int, lengths: Sequence[int], index: int
) -> tuple[Counter[int], list[int]]:
    """How many trials reach each epoch in one search, and at which epochs they are judged."""
    source = random.Random(index)
    scheduler = scheduler_of(spec)
    ranks = source.sample(range(trials), trials)
    ends = [min(source.choice(lengths), spec.longest) for _ in range(trials)]
    done, reached = [0] * trials, Counter[int]()
    live: list[int] = []
    drawn = 0
    while True:
        while len(live) < workers:
            number = scheduler.promote(last=False) if scheduler else None
            if number is None and drawn < trials:
                number, drawn = drawn, drawn + 1
            if number is None and not live and scheduler:
                number = scheduler.promote(last=True)
            if number is None:
                break
            live.append(number)
        if not live:
            return reached, [epoch for epoch, _ in scheduler.rungs] if scheduler else []
        for number in list(live):  # an epoch of each
            done[number] += 1
            reached[done[number]] += 1
            action = Action.CONTINUE
            if scheduler:
                action = scheduler.judge(number, done[number], float(ranks[number])).action
            if action is not Action.CONTINUE or done[number] >= ends[number]:
                live.remove(number)
