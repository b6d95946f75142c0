"""How many epochs a search is expected to take: its scheduler, on trials whose ranks do not change as they train."""

from __future__ import annotations

import random
import statistics
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tune.search.replicates import going_on
from tune.search.schedulers import scheduler_of
from tune.search.schedulers.none import NoStopping
from tune.search.schedulers.verdict import Action, Scheduler
from tune.spec.search import SearchSpec
from tune.spec.search_settings import SearchSettings

ROUNDS = 10  # searches in which trials come in random orders, of which the mean is taken
EPOCHS = 200  # looks at a trial that is judged at every epoch
MOST = 200  # trials of such a search; a larger one is expected to go on in the same way


@dataclass(frozen=True)
class Expected:
    """What a search is expected to take.

    Attributes:
        epochs: Of all trials and seeds, as expected.
        most: The same if no trial is stopped early, and all are trained with every seed.
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
    rungs = sorted({epoch for _, reached in searches for epoch in reached})
    most = round(trials * statistics.fmean(lengths)) if len(set(lengths)) > 1 else trials * lengths[0]
    return Expected(
        scale * statistics.fmean(epochs for epochs, _ in searches),
        most * spec.search.seeds,
        {epoch: scale * statistics.fmean(reached[epoch] for _, reached in searches) for epoch in rungs},
    )


def _simulated(
    spec: SearchSpec, trials: int, workers: int, lengths: Sequence[int], index: int
) -> tuple[int, Counter[int]]:
    """The epochs of one search, and how many trials reach each epoch at which they are judged."""
    source = random.Random(index)
    scheduler = scheduler_of(spec)
    ranks = source.sample(range(trials), trials)
    ends = [min(source.choice(lengths), spec.longest) for _ in range(trials)]
    looks = _looks(scheduler, spec.longest)
    done, reached = [0] * trials, Counter[int]()
    live: list[int] = []
    ended: list[int] = []  # those that ran to their end, in order
    drawn = 0
    while True:
        while len(live) < workers:
            number = scheduler.promote(last=False)
            if number is None and drawn < trials:
                number, drawn = drawn, drawn + 1
            if number is None and not live:
                number = scheduler.promote(last=True)
            if number is None:
                break
            live.append(number)
        if not live:
            spent = sum(done) + _further(spec.search, [(ranks[number], done[number]) for number in ended])
            return spent, Counter({epoch: reached[epoch] for epoch, _ in scheduler.rungs})
        until = {number: min(_next_look(looks, done[number]), ends[number]) for number in live}
        step = min(until[number] - done[number] for number in live)
        for number in list(live):  # as many epochs of each as nothing is decided in
            done[number] += step
            action = Action.CONTINUE
            if done[number] == until[number]:
                reached[done[number]] += 1
                action = scheduler.judge(number, done[number], float(ranks[number])).action
            if done[number] >= ends[number]:
                ended.append(number)
            if action is not Action.CONTINUE or done[number] >= ends[number]:
                live.remove(number)


def _further(settings: SearchSettings, ended: Sequence[tuple[int, int]]) -> int:
    """The epochs of further seeds, from the rank and the epochs of each trial that ran to its end, in order."""
    best = min if settings.objective.metric.goal == "min" else max
    epochs, seen = 0, list[int]()
    for rank, length in ended if settings.seeds > 1 else ():
        seen.append(rank)
        better = sum(best(other, rank) != rank for other in seen)
        epochs += (settings.seeds - 1) * length if better < going_on(len(seen), settings) else 0
    return epochs


def _looks(scheduler: Scheduler, longest: int) -> list[int]:
    """The epochs at which trials are judged; of very long trials that are judged at every epoch, some."""
    if isinstance(scheduler, NoStopping):
        return [longest]
    return [epoch for epoch, _ in scheduler.rungs] or [*range(1, longest, max(longest // EPOCHS, 1)), longest]


def _next_look(looks: list[int], done: int) -> int:
    position = bisect_right(looks, done)
    return looks[position] if position < len(looks) else sys.maxsize
