"""Warm starts: what fits is used, makes no rows, and is not tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import config_key
from tests.tune.search.simulation import LOSS, SPACE, Simulation, falling, spec_of
from tune.record.search_yaml import write_search
from tune.search.warm_start import WARM, fitting, records, warm_trials
from tune.spec import SpecError

OTHER = SPACE.replace("{int: [8, 64], step: 8}", "{int: [8, 128], step: 8}").replace("trials: 12", "trials: 16")


def finished(folder: Path, text: str, *overrides: str) -> Simulation:
    folder.mkdir()
    spec = spec_of(folder, text, *overrides)
    simulation = Simulation(spec, folder / "test")
    write_search(simulation.folder, spec, {})
    simulation.run()
    return simulation


def test_what_fits_is_used_and_counts_against_duplicates(tmp_path: Path) -> None:
    other = finished(tmp_path / "other", OTHER)
    spec = spec_of(tmp_path, SPACE)
    rows = warm_trials(spec, other.folder)
    fit = [t for t in other.driver.ledger.trials.values() if t.config["training.batch_size"] <= 64]
    assert 0 < len(rows) == len(fit) < 16
    begun = Simulation(spec, tmp_path / "new")
    begun.record.note(WARM, rows)
    warm = Simulation(spec, tmp_path / "new")
    warm.run()
    assert len(warm.driver.ledger.trials) == 12  # theirs make no rows
    assert min(warm.driver.ledger.trials) == 0
    ours = {config_key(trial.config) for trial in warm.driver.ledger.trials.values()}
    assert not ours & {config_key(row["config"]) for row in rows}
    cold = Simulation(spec, tmp_path / "cold")
    cold.run()
    assert [t.config for t in cold.driver.ledger.trials.values()] != [
        t.config for t in warm.driver.ledger.trials.values()
    ]


def test_a_small_space_searched_elsewhere_is_exhausted(tmp_path: Path) -> None:
    text = SPACE.replace("{float: [1e-4, 1e-1], log: true}", "{choice: [0.1, 0.01]}").replace("[8, 64]", "[8, 16]")
    other = finished(tmp_path / "other", text)
    assert len(other.driver.ledger.trials) == 4
    spec = spec_of(tmp_path, text)
    Simulation(spec, tmp_path / "new").record.note(WARM, warm_trials(spec, other.folder))
    warm = Simulation(spec, tmp_path / "new", falling)
    warm.run()
    assert warm.driver.exhausted
    assert not warm.driver.ledger.trials


def test_fixed_fields_must_agree(tmp_path: Path) -> None:
    here = spec_of(tmp_path, SPACE, "training.batch_size=16")
    (tmp_path / "o").mkdir()
    there = spec_of(tmp_path / "o", SPACE)
    config = {"training.optimizer.lr": 0.01, "training.batch_size": 16}
    assert fitting(here, there, config) == {"training.optimizer.lr": 0.01}
    assert fitting(here, there, {**config, "training.batch_size": 24}) is None
    assert fitting(there, here, {"training.optimizer.lr": 0.01}) == config  # fixed there, searched here


def test_another_metric_is_refused(tmp_path: Path) -> None:
    other = finished(tmp_path / "other", SPACE)
    spec = spec_of(tmp_path, SPACE, "search.metric=val_accuracy")
    with pytest.raises(
        SpecError, match="was judged by val_loss, this search by val_accuracy; legal: a search by the same"
    ):
        warm_trials(spec, other.folder)


def test_rows_become_trials_of_the_view(tmp_path: Path) -> None:
    (trial,) = records([{"config": {"a": 1}, "status": "stopped", "values": [[1, 0.5], [2, 0.25]]}], "val_loss")
    assert trial.number == -1
    assert trial.best(LOSS) == trial.epochs[1]
