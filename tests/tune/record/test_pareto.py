"""Ranks, crowding distances and hypervolumes against their definitions."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.record.pareto import best_first, crowding, dominators, front_of, hypervolume, ranks

Point = tuple[float, ...]
COSTS = st.integers(0, 6).map(float)  # few values, so that many are equal
POINTS = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[COSTS] * width), max_size=14))


def dominates(one: Point, other: Point) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@given(points=POINTS)
def test_ranks_are_those_of_the_definition(points: list[Point]) -> None:
    """Rank 1: dominated by none. Rank n: dominated by none once all of lower rank are taken away."""
    left, rank = set(range(len(points))), 1
    expected: dict[int, int] = {}
    while left:
        front = {i for i in left if not any(dominates(points[j], points[i]) for j in left)}
        expected |= dict.fromkeys(front, rank)
        left, rank = left - front, rank + 1
    assert ranks(points) == [expected[i] for i in range(len(points))]
    assert front_of(dict(enumerate(points))) == sorted(
        (i for i in expected if expected[i] == 1), key=lambda i: (points[i], i)
    )
    for point in points:
        assert dominators(point, points) == sum(dominates(other, point) for other in points)


@given(points=POINTS)
def test_the_order_is_by_rank_and_does_not_depend_on_how_trials_come(points: list[Point]) -> None:
    order = best_first(dict(enumerate(points)))
    assert sorted(order) == list(range(len(points)))
    in_order = [ranks(points)[number] for number in order]
    assert in_order == sorted(in_order)
    assert best_first(dict(reversed(list(enumerate(points))))) == order


def test_crowding_distances_by_hand() -> None:
    """Between neighbours in each objective, as a share of its range; the ends come first, and copies last."""
    front = [(0.0, 10.0), (1.0, 6.0), (2.0, 5.0), (8.0, 1.0), (10.0, 0.0), (2.0, 5.0)]
    assert crowding(front) == pytest.approx([math.inf, 0.2 + 0.5, 0.7 + 0.5, 0.8 + 0.5, math.inf, 0.0])
    assert best_first(dict(enumerate(front))) == [0, 4, 3, 2, 1, 5]


@given(points=st.lists(st.tuples(COSTS, COSTS), min_size=2, max_size=10))
def test_the_hypervolume_is_the_area_that_is_dominated(points: list[Point]) -> None:
    """Counted in cells of a grid with a line at each value."""
    widths = [max(values) - min(values) for values in zip(*points, strict=True)]
    found = hypervolume(dict(enumerate(points)))
    if not all(widths):
        assert found is None
        return
    axes = [sorted(set(values)) for values in zip(*points, strict=True)]
    cells = itertools.product(*(itertools.pairwise(axis) for axis in axes))
    area = sum(
        (right - left) * (top - low)
        for (left, right), (low, top) in cells
        if any(x <= left and y <= low for x, y in points)
    )
    assert found == pytest.approx(area / math.prod(widths))
