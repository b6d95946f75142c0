"""What to try next: each sentence follows from figures made for it, and is not said where they do not support it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.tune.report.searches import SPACE, Made, in_memory
from tune.record.status import Status
from tune.report.advice import judgement, next_steps
from tune.report.findings import Findings
from tune.report.summary import paragraph

LR = "training.optimizer.lr"


def steps(path: Path, trials: Sequence[Made], text: str = SPACE) -> str:
    return "\n".join(next_steps(Findings(in_memory(path, trials, text))))


def spread(number: int = 12) -> list[Made]:
    """Trials whose best are in the middle of the range of every field, and best before their last epoch."""
    middle = 0.003
    return [
        Made(
            [
                0.5 + 0.1 * abs(place - number / 2),
                0.4 + 0.1 * abs(place - number / 2),
                0.45 + 0.1 * abs(place - number / 2),
            ],
            config={LR: middle * 1.3 ** (place - number // 2)},
        )
        for place in range(number)
    ]


def test_nothing_is_said_without_a_reason(tmp_path: Path) -> None:
    assert steps(tmp_path, spread()) == ""
    assert steps(tmp_path, []) == ""
    assert steps(tmp_path, [Made([0.5])]) == ""


def test_the_best_at_the_edge_of_a_range_widen_it(tmp_path: Path) -> None:
    low = [Made([10 * lr, 1.0], config={LR: lr}) for lr in (1e-4 * 1.2**n for n in range(10))]
    assert "Also search lr below 0.0001, say down to 3.3e-05: the 3 best trials" in steps(tmp_path, low)
    high = [Made([1 - 9 * lr, 1.0], config={LR: lr}) for lr in (0.1 / 1.2**n for n in range(10))]
    assert "Also search lr above 0.1, say up to 0.3: the 3 best trials" in steps(tmp_path, high)
    assert "Also search" not in steps(tmp_path, low[:5]), "too few trials to tell"


def test_no_value_is_proposed_that_the_field_forbids(tmp_path: Path) -> None:
    """The best momentums are the largest, but one above 1 is not possible."""
    sgd = {"training.optimizer.name": "sgd"}
    trials = [
        Made([2 - m, 3.0], config={**sgd, "training.optimizer.momentum": m})
        for m in (0.8 + 0.019 * n for n in range(11))
    ]
    assert "momentum" not in steps(tmp_path, trials)


def test_the_value_from_which_trials_diverged(tmp_path: Path) -> None:
    bad = [Made([float("nan")], Status.DIVERGED, "epoch 1", {LR: lr}) for lr in (0.04, 0.06, 0.09)]
    good = [Made([0.5, 0.6], config={LR: 0.05})]
    assert "Keep lr below 0.04: from there on, 3 of 4 trials diverged." in steps(tmp_path, [*spread(), *bad, *good])
    assert "since 1 trial diverged" in steps(tmp_path, [*spread(), bad[0]])


def test_out_of_memory_and_failures_are_named(tmp_path: Path) -> None:
    large = [Made([], Status.OUT_OF_MEMORY, "CUDA", {"model.hidden_dim": size}) for size in (30, 32)]
    assert "Keep hidden_dim below 30: from there on, 2 of 2 trials ran out of memory." in steps(
        tmp_path, [*spread(), *large]
    )
    failed = Made([], Status.FAILED, "DataError: broken.png cannot be read")
    assert "Find out why 2 trials failed (DataError: broken.png cannot be read)." in steps(tmp_path, [failed, failed])


def ranked(orders: Sequence[Sequence[int]]) -> list[Made]:
    """Trials whose ranks in each epoch are these."""
    epochs = len(orders)
    return [Made([(epochs - e) + 0.01 * orders[e][trial] for e in range(epochs)]) for trial in range(len(orders[0]))]


@pytest.mark.parametrize(
    ("orders", "grace", "step", "told"),
    [
        ([[7, 0, 6, 1, 5, 2, 4, 3], [*range(8)], [*range(8)], [*range(8)]], 1, "Raise search.scheduler.grace_period from 1 to 2", "too short"),
        ([[*range(8)]] * 4, 3, "Lower search.scheduler.grace_period from 3 to 1", "longer than needed"),
        ([[*range(8)]] * 4, 1, "", "right"),
        ([[*range(5)]] * 4, 3, "", "too few"),
    ],
)  # fmt: skip
def test_the_grace_period(tmp_path: Path, orders: list[list[int]], grace: int, step: str, told: str) -> None:
    found = Findings(in_memory(tmp_path, ranked(orders), SPACE.replace("grace_period: 1", f"grace_period: {grace}")))
    said = [line for line in next_steps(found) if "grace_period" in line]
    assert [line.partition(":")[0] for line in said] == ([step] if step else [])
    assert told in judgement(found)


def test_trials_that_still_improved_get_more_epochs(tmp_path: Path) -> None:
    assert "Train for more epochs" in steps(tmp_path, ranked([[*range(8)]] * 4))
    stopped = [Made([0.5, 0.4]) for _ in range(4)]
    assert "Train for more epochs" not in steps(tmp_path, stopped), "nobody reached the last of 4 epochs"


def test_a_field_without_influence_is_fixed_and_a_late_best_asks_for_more(tmp_path: Path) -> None:
    trials = [
        Made([1 + abs(n % 7 - 3), 9.0], config={LR: 0.001 * (1 + n % 7), "training.optimizer.name": ("adam", "sgd")[n % 2]})
        for n in range(40)
    ]  # fmt: skip
    said = steps(tmp_path, trials)
    assert "Fix the fields that hardly mattered, at the best trial's values: " in said
    assert "optimizer.name=" in said
    assert "lr=" not in said
    assert "Add trials" not in said
    assert "Add trials (--extend)" in steps(tmp_path, [*trials, Made([0.5, 9.0])])


def test_the_paragraph(tmp_path: Path) -> None:
    words = " ".join(paragraph(Findings(in_memory(tmp_path, [*spread(10), Made([0.9], Status.STOPPED, "asha: 0.9")]))))
    assert "This search tried 11 configurations of 4 fields (hidden_dim, lr, optimizer.name and momentum)" in words
    assert "Of these, 10 ran to completion and 1 was stopped early." in words
    assert "30 percent" not in words
    assert "in 31 epochs, 30 % fewer than without early stopping." in words
    assert "The best is trial 5, in epoch 2: val_loss 0.4000, val_accuracy 60.00 %, with 1,000 parameters." in words
    assert "has tried no configuration" in " ".join(paragraph(Findings(in_memory(tmp_path, []))))
