"""A finished run goes on for more epochs, where that is the same training; where it is not, it says so."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.tune.runs.folders import Quiet, plan, trained
from tune.record import RunFolder
from tune.runs.info import read_run
from tune.runs.run import Interrupted, run
from tune.spec import SpecError
from tune.training import End

CONTINUABLE = [
    "training.schedule={name: constant}",
    "training.schedule={name: step, step_size: 1}",
    "training.schedule={name: multistep, milestones: [1]}",
    "training.schedule={name: plateau, patience: 0}",
]


def table(folder: RunFolder) -> pd.DataFrame:
    return pd.read_parquet(folder.epochs_table).drop(columns="seconds")


@pytest.mark.parametrize("schedule", CONTINUABLE)
def test_more_epochs_come_to_what_so_many_from_the_start_do(tmp_path: Path, schedule: str) -> None:
    fields = (schedule, "training.averaging={name: ema, decay: 0.9}", "training.optimizer={name: sgd, momentum: 0.9}")
    whole = trained(tmp_path, *fields, "training.epochs=5", name="whole")
    trained(tmp_path, *fields, "training.epochs=2", name="short")
    longer = run(plan(tmp_path, *fields, "training.epochs=5", name="short"), tmp_path, Quiet(), resume=True)
    assert (longer.end, longer.trained) == (End.EPOCHS, 3)
    assert table(longer.folder).equals(table(whole.folder))
    assert longer.folder.weights.read_bytes() == whole.folder.weights.read_bytes()
    assert read_run(longer.folder)[0] == read_run(whole.folder)[0]


def test_the_folder_is_one_of_a_longer_run_from_then_on(tmp_path: Path) -> None:
    constant = "training.schedule={name: constant}"
    first = trained(tmp_path, constant, "training.epochs=1")
    _, begun_with = read_run(first.folder)

    class Impatient(Quiet):
        def say(self, text: str) -> None:
            if text.startswith("epoch 2/"):
                raise KeyboardInterrupt

    longer = plan(tmp_path, constant, "training.epochs=3")
    with pytest.raises(Interrupted):
        run(longer, tmp_path, Impatient(), resume=True)
    experiment, info = read_run(first.folder)
    assert experiment.training.epochs == 3
    assert info == begun_with
    assert run(longer, tmp_path, Quiet(), resume=True).trained == 1
    with pytest.raises(SpecError, match=r"training\.epochs: "):
        run(plan(tmp_path, constant, "training.epochs=1"), tmp_path, Quiet(), resume=True)


@pytest.mark.parametrize(
    ("fields", "culprit"),
    [
        ("training.schedule={name: cosine}", "cosine"),
        ("training.schedule={name: onecycle}", "onecycle"),
        ("training={schedule: {name: constant}, averaging: {name: swa}, threads: 1}", "swa"),
        ("training={schedule: {name: cosine}, averaging: {name: swa}, threads: 1}", "cosine and swa"),
    ],
)
def test_what_is_laid_over_all_epochs_refuses_more(tmp_path: Path, fields: str, culprit: str) -> None:
    result = trained(tmp_path, fields, "training.epochs=1")
    before = {path: path.read_bytes() for path in result.folder.path.iterdir()}
    with pytest.raises(SpecError, match=rf"training\.epochs: .*{culprit}"):
        run(plan(tmp_path, fields, "training.epochs=2"), tmp_path, Quiet(), resume=True)
    assert {path: path.read_bytes() for path in result.folder.path.iterdir()} == before


def test_nothing_else_may_change_with_the_epochs(tmp_path: Path) -> None:
    constant = "training.schedule={name: constant}"
    trained(tmp_path, constant, "training.epochs=1")
    with pytest.raises(SpecError, match=r"training\.optimizer\.lr: "):
        run(plan(tmp_path, constant, "training.epochs=2", "training.optimizer.lr=0.02"), tmp_path, Quiet(), resume=True)
