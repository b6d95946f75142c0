"""Comparing trials by several objectives: non-dominated ranks, crowding distances, the front and its hypervolume.

A point has the costs of one trial, one for each objective; small is good. One point dominates another if it is nowhere
worse and somewhere better. Ranks and hypervolumes are Optuna's, which it keeps in modules of its own (optuna >=5,<6).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume
from optuna.study._multi_objective import _fast_non_domination_rank

from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.spec.metric import Objective

Point = tuple[float, ...]


def ranks(points: Sequence[Point]) -> list[int]:
    """The non-dominated rank of each point (Deb et al. 2002, section III A).

    Those that no other dominates have rank 1; those that only these dominate have rank 2, and so on.
    """
    return [int(rank) + 1 for rank in _fast_non_domination_rank(np.asarray(points, dtype=float))] if points else []


def crowding(points: Sequence[Point]) -> list[float]:
    """The crowding distance of each point of a front (section III B): how far its neighbours are in each objective.

    Large is good: such a point is unlike the others. The ends of each objective are infinitely far from others. Of
    equal points only the first counts, so that copies do not drive out others; the distance of its copies is 0.
    """
    distances = dict.fromkeys(points, 0.0)
    for axis in range(len(points[0]) if points else 0):
        ordered = sorted(distances, key=lambda point: (point[axis], point))
        low, high = ordered[0][axis], ordered[-1][axis]
        if high <= low:
            continue
        distances[ordered[0]] = distances[ordered[-1]] = math.inf
        for before, point, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
            distances[point] += (after[axis] - before[axis]) / (high - low)
    return [distances.pop(point, 0.0) for point in points]


def best_first(points: Mapping[int, Point]) -> list[int]:
    """Trials by the non-dominated rank of their points, then by crowding distance, then by number.

    With a single objective: by their costs, then by number.
    """
    if all(len(point) == 1 for point in points.values()):
        return sorted(points, key=lambda number: (points[number], number))
    numbers = sorted(points)
    ranked = dict(zip(numbers, ranks([points[number] for number in numbers]), strict=True))
    order: list[int] = []
    for rank in sorted(set(ranked.values())):
        front = [number for number in numbers if ranked[number] == rank]
        distances = dict(zip(front, crowding([points[number] for number in front]), strict=True))
        order += sorted(front, key=lambda number: (-distances[number], number))
    return order


def dominators(point: Point, others: Iterable[Point]) -> int:
    """How many of the others dominate a point."""
    return sum(other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in others)


# -- trials


def points_of(trials: Iterable[TrialRecord], objective: Objective) -> dict[int, Point]:
    """The points of the trials that can be compared: those that have a value of each objective and may win."""
    found = {trial.number: trial.costs(objective) for trial in trials if _may_win(trial)}
    return {number: costs for number, costs in found.items() if costs is not None}


def _may_win(trial: TrialRecord) -> bool:
    return not trial.status.bad and trial.status is not Status.FAILED


def rank_of(points: Mapping[int, Point]) -> dict[int, int]:
    """The rank of each trial; those with rank 1 are the front."""
    return dict(zip(points, ranks(list(points.values())), strict=True))


def front_of(points: Mapping[int, Point]) -> list[int]:
    """The trials that no other dominates, by their first objective, best first."""
    return sorted(
        (number for number, rank in rank_of(points).items() if rank == 1), key=lambda number: (points[number], number)
    )


def hypervolume(points: Mapping[int, Point]) -> float | None:
    """How much of the box between the best and the worst value of each objective the front dominates, from 0 to 1.

    The reference point is the worst value of each objective over all these trials, so that no unit matters; it moves
    when trials are worse than all before. None where the trials do not differ in every objective.
    """
    values: NDArray[np.float64] = np.asarray(list(points.values()), dtype=float)
    if len(values) < 2 or not np.all(np.ptp(values, axis=0) > 0):
        return None
    scaled = (values - values.min(axis=0)) / np.ptp(values, axis=0)
    return float(compute_hypervolume(scaled, np.ones(values.shape[1])))
