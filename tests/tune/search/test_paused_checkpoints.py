"""Which paused trials keep their checkpoints."""

from __future__ import annotations

from pathlib import Path

from tests.tune.search.simulation import LOSS, metrics
from tune.record.folder import SearchFolder
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.retention import Retention
from tune.spec.search_settings import RetentionSpec


def paused(number: int, loss: float, epochs: int = 1) -> TrialRecord:
    past = tuple(metrics(epoch, loss) for epoch in range(1, epochs + 1))
    return TrialRecord(number, {}, Status.PAUSED, epochs=past)


def checkpoint(folder: SearchFolder, number: int) -> None:
    folder.trial(number).mkdir()
    (folder.trial(number) / "last-a.pt").touch()


def having(folder: SearchFolder) -> set[int]:
    return {int(path.parent.name.removeprefix("trial_")) for path in folder.path.glob("trial_*/last-*.pt")}


def test_the_bound_counts_those_that_have_one_also_after_a_restart(tmp_path: Path) -> None:
    """Trial 1 lost its checkpoint to better ones; when these are promoted, others take their places, not trial 1."""
    folder, trials = SearchFolder(tmp_path), [paused(0, 0.1), paused(1, 0.3), paused(2, 0.2)]
    retention = Retention(folder, RetentionSpec(paused=2), LOSS)
    for trial in trials:
        checkpoint(folder, trial.number)
    retention.paused(trials)
    assert having(folder) == {0, 2}

    left = [trials[1], paused(3, 0.5), paused(4, 0.6)]  # trials 0 and 2 are promoted, two more come to the rung
    for trial in left[1:]:
        checkpoint(folder, trial.number)
    retention.paused(left)
    Retention(folder, RetentionSpec(paused=2), LOSS).restore(left)
    assert having(folder) == {0, 2, 3, 4}


def test_a_trial_that_has_trained_its_epochs_again_may_keep_its_next_checkpoint(tmp_path: Path) -> None:
    folder, retention = SearchFolder(tmp_path), Retention(SearchFolder(tmp_path), RetentionSpec(paused=1), LOSS)
    for number in (0, 1):
        checkpoint(folder, number)
    retention.paused([paused(0, 0.1), paused(1, 0.3)])
    assert having(folder) == {0}
    checkpoint(folder, 1)
    retention.paused([paused(0, 0.1), paused(1, 0.2, epochs=3)])  # with most epochs it comes first
    assert having(folder) == {1}
