"""`stop`, `add` and `set` on searches that do not run: what is left for the driver, and what is refused."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import SPACE, search_folder
from tune.record import SearchFolder
from tune.record.opening import open_record
from tune.spec.metric import METRICS, Objective


@pytest.fixture
def search(tmp_path: Path) -> SearchFolder:
    return search_folder(tmp_path / "checkpoints" / "hidden")


def test_a_resting_search_is_asked_and_tells_so(imagetune: Command, search: SearchFolder) -> None:
    assert imagetune("set", "hidden", "search.concurrent=4", "search.stop.plateau=3").code == 0
    asked = imagetune("stop", "hidden", "--trial", "4")
    assert (asked.code, asked.err) == (0, "")
    assert asked.out.strip().endswith("takes effect when the search is resumed")
    added = imagetune("add", "hidden", "model.hidden_dim=9", "--json").document
    assert (added["search"], added["action"], added["taken"], added["result"]) == ("hidden", "add", "", "")
    assert added["values"]["model.hidden_dim"] == 9
    assert 1e-4 <= added["values"]["training.optimizer.lr"] <= 1e-1  # drawn
    assert imagetune("stop", "hidden").code == 0
    status = imagetune("status", "hidden", "--json").document
    assert [request["action"] for request in status["requests"]] == ["set", "stop_trial", "add", "stop"]
    assert status["requests"][0]["text"] == "set search.concurrent=4 search.stop.plateau=3"
    assert imagetune("status", "hidden").out.count("at the next --resume") == 4


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["stop", "hidden", "--trial", "9"], ["hidden has no trial 9; it has trials 0 to 4"]),
        (["stop", "hidden", "--trial", "1"], ["trial 1 of hidden has already ended: stopped"]),
        (["stop", "hiden"], ["'hiden' is not a search"]),
        (
            ["add", "hidden", "model.hidden_dim=99", "training.optimizer.lrr=1"],
            ["override: training.optimizer.lrr: unknown field; did you mean", "override: model.hidden_dim: must be"],
        ),
        (["add", "hidden", "training.epochs=9"], ["override: training.epochs: unknown field"]),
        (
            ["add", "hidden", "model.hidden_dim=16", "training.optimizer.lr=0.002"],
            ["trial 1 of hidden already has this configuration"],
        ),
        (
            ["set", "hidden", "search.trials=0", "search.metric=val_accuracy", "search.stop.target.val_kl=1"],
            ["override: search.metric: cannot be set", "override: search.trials: must be at least 1 (got 0)"],
        ),
        (["set", "hidden", "search.stop.target.val_kl=1"], ["search.stop.target.val_kl: must be a metric of"]),
        (["set", "hidden", "concurrent=2"], ["concurrent: cannot be set", "did you mean search.concurrent?"]),
        (["set", "hidden"], ["nothing to set"]),
    ],
)
def test_what_is_refused_is_told_and_nothing_is_written(
    imagetune: Command, search: SearchFolder, words: list[str], lines: list[str]
) -> None:
    outcome = imagetune(*words)
    assert (outcome.code, outcome.out) == (2, "")
    for line in lines:
        assert line in outcome.err
    assert not search.requests.exists()


def test_no_other_setting_is_suggested_for_one_that_exists(imagetune: Command, search: SearchFolder) -> None:
    outcome = imagetune("set", "hidden", "search.seeds=3", "search.sampler.name=gp")
    assert outcome.code == 2
    assert outcome.err.count("cannot be set on an existing search; only search.trials") == 2
    assert "did you mean" not in outcome.err


def test_a_configuration_that_is_asked_for_is_not_asked_for_again(imagetune: Command, search: SearchFolder) -> None:
    words = ("add", "hidden", "model.hidden_dim=9", "training.optimizer.lr=0.01")
    assert imagetune(*words).code == 0
    again = imagetune(*words)
    assert again.code == 2
    assert "a requested trial of hidden already has this configuration" in again.err


def test_constraints_are_checked(imagetune: Command, tmp_path: Path) -> None:
    search_folder(tmp_path / "checkpoints" / "small", SPACE + "constraints: {parameters: {max: 1000}}\n")
    outcome = imagetune("add", "small", "model.hidden_dim=32")
    assert outcome.code == 2
    assert "must have at most 1000 parameters by constraints.parameters" in outcome.err
    assert imagetune("add", "small", "model.hidden_dim=8").code == 0


def test_a_search_that_has_ended_cannot_be_stopped(imagetune: Command, search: SearchFolder) -> None:
    with closing(open_record(search, Objective(METRICS["val_loss"]))) as record:
        record.note("state", {"state": "stopped", "reason": "stopped by hand"})
    outcome = imagetune("stop", "hidden")
    assert outcome.code == 2
    assert "hidden is not running: stopped by hand; there is nothing to stop" in outcome.err


def test_status_of_a_search_with_more_trials_than_are_asked_for_now(imagetune: Command, search: SearchFolder) -> None:
    for asked, told in ((6, "5 of 6 trials: "), (5, "5 of 5 trials: "), (2, "5 trials: ")):
        with closing(open_record(search, Objective(METRICS["val_loss"]))) as record:
            record.note("trials", asked)
        assert imagetune("status", "hidden").out.splitlines()[1].startswith(told)


def test_what_it_took_stands_beside_the_estimate(imagetune: Command, search: SearchFolder) -> None:
    """Nine epochs of half a second."""
    assert imagetune("status", "hidden", "--json").document["took"] == {"epochs": 9, "seconds": 4.5}
    with closing(open_record(search, Objective(METRICS["val_loss"]))) as record:
        record.note("estimate", {"trials": 4, "epochs": 8, "most": 12, "seconds": 4.0})
    out = imagetune("status", "hidden").out
    assert "trained: 9 epochs in 4 s, all trials together" in out
    assert "estimated for 4 trials: 8 (at most 12) in 4 s" in out
