"""Grid search: every point once, whatever the conditions, and none of millions listed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import config_key, parse_space
from tests.tune.search.simulation import SPACE, Simulation, spec_of
from tune.search.samplers.grid import Grid, shuffled


def grid(raw: Mapping[str, Any], points: int | None = None) -> Grid:
    space, problems = parse_space(raw, {})
    assert not problems
    return Grid(space, lambda field, domain: points if domain.size is None else None)


@given(size=st.integers(1, 400), seed=st.integers(0, 9))
def test_shuffled_is_a_permutation(size: int, seed: int) -> None:
    order = [shuffled(index, size, seed) for index in range(size)]
    assert sorted(order) == list(range(size))
    assert size < 50 or order != sorted(order)


def test_conditions_make_no_point_twice() -> None:
    raw = {
        "kind": {"choice": ["a", "b", "c"]},
        "deep": {"choice": [True, False], "when": {"kind": ["a", "b"]}},
        "width": {"int": [1, 4], "when": {"deep": True}},
        "rate": {"float": [0, 1], "step": 0.25},
    }
    space, _ = parse_space(raw, {})
    ours = grid(raw)
    assert ours.size == 2 * (4 + 1) * 5 + 5
    found = [config_key(ours[index]) for index in range(ours.size)]
    assert sorted(found) == sorted(map(config_key, space.enumerate()))


def test_a_range_without_steps_has_as_many_points_as_asked_for() -> None:
    ours = grid({"lr": {"float": [1e-4, 1e-2], "log": True}, "beta": {"float": [0.5, 0.9]}}, 3)
    found = [ours[index] for index in range(ours.size)]
    assert {config["lr"] for config in found} == {1e-4, 1e-3, 1e-2}
    assert {config["beta"] for config in found} == {0.5, 0.7, 0.9}
    assert len(found) == 9
    assert grid({"lr": {"float": [1e-4, 1e-2], "log": True}}, 1)[0] == {"lr": 1e-3}


def test_a_huge_grid_is_not_listed() -> None:
    ours = grid({f"x{one}": {"int": [1, 10**6]} for one in range(10)})
    assert ours.size == 10**60
    assert ours[10**60 - 1] == {f"x{one}": 10**6 for one in range(10)}
    assert 0 <= shuffled(10**59, 10**60, 1) < 10**60


@pytest.mark.parametrize("workers", [1, 4])
def test_the_search_ends_with_the_grid_and_says_so(tmp_path: Path, workers: int) -> None:
    grid = "search.sampler={name: grid, points: {training.optimizer.lr: 2, training.batch_size: 3}}"
    simulation = Simulation(spec_of(tmp_path, SPACE, grid), tmp_path / "s", trials=100)
    simulation.run(workers)
    configs = {tuple(trial.config.values()) for trial in simulation.ledger.trials.values()}
    assert configs == {(lr, batch) for lr in (1e-4, 1e-1) for batch in (8, 40, 64)}
    assert "the space is exhausted: every point of the grid has been tried (6 trials)" in simulation.said
