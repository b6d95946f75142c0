"""Winners: which trials, for how many epochs, and that the first seed is the trial itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.tune.runs.folders import SPACE, Quiet, search_folder
from tune.errors import UserError
from tune.record.opening import read_search
from tune.runs.retrain import chosen, plans, retrain, spread
from tune.runs.run import Interrupted
from tune.spec import SpecError


def test_the_best_that_neither_failed_nor_diverged(tmp_path: Path) -> None:
    found = read_search(search_folder(tmp_path / "s"))
    assert [trial.number for trial in chosen(found, 2, None)] == [2, 0]
    assert [trial.number for trial in chosen(found, 9, None)] == [2, 0, 1]
    assert [trial.number for trial in chosen(found, 1, 3)] == [3]


def test_epochs_and_seeds(tmp_path: Path) -> None:
    found = read_search(search_folder(tmp_path / "s", SPACE.replace("threads: 1", "threads: 2")))
    first, second = plans(found, found.trials[1], 2, full=False)
    assert (first.experiment.seed, second.experiment.seed) == (0, 1)
    assert first.last_epoch == 3  # max_t, though the scheduler stopped the trial after 1
    assert first.experiment.training.epochs == 4  # the schedule stays laid over these
    assert first.experiment.training.threads == 2
    (full,) = plans(found, found.trials[2], 1, full=True)
    assert full.last_epoch == 2
    assert full.folder.path.name == "00002-seed0-full"


def test_nothing_to_retrain(tmp_path: Path) -> None:
    found = read_search(search_folder(tmp_path / "s"))
    waiting = dataclasses.replace(found.trials[4], number=0)
    with pytest.raises(UserError, match="no trial has a val_loss"):
        chosen(dataclasses.replace(found, trials=(waiting,)), 1, None)


def test_an_interrupted_winner_goes_on(tmp_path: Path) -> None:
    found = read_search(search_folder(tmp_path / "s"))

    class Impatient(Quiet):
        def say(self, text: str) -> None:
            super().say(text)
            if text.startswith("epoch 2/"):
                raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        retrain(found, chosen(found, 1, None), 1, tmp_path, Impatient(), full=False)
    screen = Quiet()
    (winner,) = retrain(found, chosen(found, 1, None), 1, tmp_path, screen, full=False)
    assert winner.runs[0].trained == 1
    assert "00002-seed0: resuming after epoch 2" in screen.lines[0]


def test_spread() -> None:
    assert spread([1.0, 3.0]) == {"n": 2, "mean": 2.0, "std": pytest.approx(2**0.5), "min": 1.0, "max": 3.0}
    assert spread([1.0])["std"] is None


def test_changed_fields_make_a_folder_of_their_own(tmp_path: Path) -> None:
    found = read_search(search_folder(tmp_path / "s"))
    (trial,) = chosen(found, 1, None)
    (own,) = plans(found, trial, 1, full=False)
    (longer,) = plans(found, trial, 1, full=False, changes={"training.epochs": 30, "training.batch_size": 16})
    assert longer.folder.path.name.startswith(f"{own.folder.path.name}-")
    assert (longer.experiment.training.epochs, longer.experiment.training.batch_size) == (30, 16)
    assert longer.epochs is None  # the search's limit counts no more
    (every_image,) = plans(found, trial, 1, full=True, changes={"training.epochs": 30})
    assert every_image.last_epoch == 30  # asked for by name: not the trial's best number
    with pytest.raises(SpecError, match=r"training\.epochs: must be at least 1 \(got 0\)"):
        list(plans(found, trial, 1, full=False, changes={"training.epochs": 0}))
    with pytest.raises(SpecError, match=r"training\.schedule\.step_size: must be below training\.epochs=30"):
        list(
            plans(
                found,
                trial,
                1,
                full=False,
                changes={"training.epochs": 30, "training.schedule": {"name": "step", "step_size": 30}},
            )
        )
