"""The benchmark of search quality counts what it says it counts."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

import pytest

from search_spaces import Config, config_key, parse_space
from tests.benchmarks.problems import CAP, Live, Problem, Trained
from tests.benchmarks.search_methods import METHODS, EnoughError, Meter
from tests.benchmarks.search_quality import summary

EPOCHS = 9


def curve(config: Config) -> Sequence[float]:
    """Better the nearer x is to .7; diverges for the largest."""
    if config["x"] > 0.95:
        return [math.inf]
    return [abs(config["x"] - 0.7) + 1 / epoch for epoch in range(1, EPOCHS + 1)]


def line(goals: tuple[float, ...], rows: int = 0) -> Problem:
    """One field, with a table of so many configurations."""
    space, problems = parse_space({"x": {"float": [0, 1]}}, {})
    assert not problems
    return Problem("line", space, EPOCHS, goals, curve, tuple({"x": index / rows} for index in range(rows)))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_reaches_a_target_in_the_end(method: str, workers: int) -> None:
    meter = Meter(line((0.5, 1 / 9 + 0.05)))
    with pytest.raises(EnoughError):
        METHODS[method](meter, 0, workers)
    first, second = meter.reached
    assert first is not None
    assert second is not None
    assert 3 <= first <= second < CAP  # 1/3 + 1/6 is reached after three epochs at the earliest
    assert second >= EPOCHS


@pytest.mark.parametrize("method", METHODS)
def test_a_table_is_searched_without_trying_a_configuration_twice(method: str) -> None:
    meter = Meter(line((0.0, -1.0), rows=20))  # neither can be reached
    with contextlib.suppress(EnoughError):
        METHODS[method](meter, 0, 1)
    assert meter.reached == [None, None]
    assert len(meter.taken) == 20
    assert meter.taken == {config_key({"x": index / 20}) for index in range(20)}


def test_nine_methods_are_compared() -> None:
    assert len(METHODS) == 9


def test_screening_trains_50_for_3_epochs_and_3_to_the_end() -> None:
    meter = Meter(line((-1.0, -1.0), rows=60))
    with pytest.raises(EnoughError):
        METHODS["screening"](meter, 0, 1)
    diverged = sum(x > 0.95 for x in (index / 60 for index in range(60)))
    # 60 configurations: one round of 50, then 10 of the next until none is left.
    assert 50 * 3 + 3 * (EPOCHS - 3) - 2 * diverged <= meter.spent <= 50 * 3 + 3 * (EPOCHS - 3)


def test_a_proposal_stands_for_the_nearest_configuration_that_is_left() -> None:
    task = line((0.0,), rows=10)
    assert task.place({"x": 0.42}, set()) == {"x": 0.4}
    assert task.place({"x": 0.42}, {config_key({"x": 0.4})}) == {"x": 0.5}
    assert task.place({"x": 0.42}, {config_key(row) for row in task.rows}) is None


def test_a_field_that_does_not_matter_does_not_choose_what_a_proposal_stands_for() -> None:
    """`z` is chosen such that the row with the nearest z has the most distant x."""
    space, _ = parse_space({"x": {"float": [0, 1]}, "z": {"float": [0, 1]}}, {})
    rows = tuple({"x": index / 40, "z": (17 * index % 40) / 40} for index in range(40))
    task = Problem("plane", space, EPOCHS, (0.0,), curve, rows)
    for x in (0.1, 0.3, 0.5):
        placed = task.place({"x": x, "z": 0.5}, set())
        assert placed is not None
        assert abs(placed["x"] - x) <= 1 / 40


def test_the_summary_compares_medians_with_those_of_stock() -> None:
    def rows(method: str, task: str, epochs: list[int]) -> list[dict[str, object]]:
        return [
            {
                "method": method,
                "workers": 1,
                "task": task,
                "epochs_1_percent": number,
                "epochs_0.2_percent": 2 * number,
                "ms_per_suggestion": 1.0,
                "commit": task * 7,
            }
            for number in epochs
        ]

    stock = rows("stock", "a", [100, 100, 100]) + rows("stock", "b", [200, 200, 200])
    ours = rows("gp", "a", [10, 10, 500]) + rows("gp", "b", [80, 80, 80])
    found = {line["method"]: line for line in summary(stock + ours)}
    assert found["stock"]["epochs_1_percent"] == 1
    assert found["gp"]["epochs_1_percent"] == pytest.approx(math.sqrt(0.1 * 0.4))
    assert found["gp"]["epochs_1_percent_worst"] == 0.4
    assert found["gp"]["epochs_1_percent_medians"] == "a 10, b 80"
    assert found["gp"]["commit"] == "aaaaaaa; bbbbbbb"
    assert found["gp"]["epochs_1_percent_low"] <= 0.2 <= found["gp"]["epochs_1_percent_high"]


def test_a_live_search_trains_what_is_proposed_and_only_as_far_as_it_is_asked() -> None:
    class Training:
        epochs = 0
        end = None

        def run_epoch(self) -> Training:
            self.epochs += 1
            return self

        def to_dict(self) -> dict[str, float | None]:
            return {"val_loss": None if self.epochs == 3 else 1 / self.epochs}

    begun: list[tuple[Config, Training]] = []

    def begin(config: Config) -> Trained:
        begun.append((config, Training()))
        return Trained(begun[-1][1])

    task = Live(line((0.0,), rows=10), begin, lambda config: None if config["x"] < 0.15 else config)
    assert not begun
    assert task.trials == CAP
    assert task.place({"x": 0.42}, set()) == {"x": 0.42}  # not the row .4
    assert task.place({"x": 0.11}, set()) == {"x": 0.1}  # cannot be built
    losses = task.curve({"x": 0.42})
    assert losses[1] == 0.5
    assert losses[0] == 1
    assert [(config, training.epochs) for config, training in begun] == [({"x": 0.42}, 2)]
    assert losses[2] == math.inf
    assert len(losses) == 3
