"""Warm starts: what means the same here is used once, makes no trials, and is not tried again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_spaces import Config, config_key
from tests.tune.search.simulation import SPACE, Simulation, falling, metrics, spec_of
from tune.record.opening import read_search
from tune.record.search_yaml import write_spec
from tune.record.status import Status
from tune.search.warm_start import WARM, WarmStart, _same_data, check_metric, records, warm_start
from tune.search.worker.messages import Report
from tune.spec import SpecError
from tune.spec.dotted import with_values

OTHER = SPACE.replace("{int: [8, 64], step: 8}", "{int: [8, 128], step: 8}").replace("trials: 12", "trials: 16")
MADE = {"data": "digest", "split": "hash"}


def finished(folder: Path, text: str = OTHER, *overrides: str, made: Any = MADE, curve: Any = falling) -> Simulation:
    """A search that has ended."""
    folder.mkdir()
    spec = spec_of(folder, text, *overrides)
    simulation = Simulation(spec, folder / "test", curve)
    write_spec(simulation.folder, spec, made)
    simulation.run()
    return simulation


def learned(folder: Path, other: Simulation, text: str = SPACE, *overrides: str, made: Any = MADE) -> WarmStart:
    """What a new search takes from another one, kept in its record as the runner does."""
    folder.mkdir(exist_ok=True)
    spec = spec_of(folder, text, *overrides)
    begun = Simulation(spec, folder / "new")
    found = warm_start(spec, read_search(other.folder), made, begun.record)
    begun.record.note(WARM, [*begun.record.facts.get(WARM, []), *found.rows])
    assert found.trials == len(found.rows) + found.left_out.total() == len(other.ledger.trials)
    return found


def test_what_fits_is_used_and_not_tried_again(tmp_path: Path) -> None:
    other = finished(tmp_path / "other")
    found = learned(tmp_path, other)
    fit = [t for t in other.ledger.trials.values() if t.config["training.batch_size"] <= 64]
    assert 0 < len(found.rows) == len(fit) < 16
    assert found.left_out == {"outside this space (training.batch_size)": 16 - len(fit)}
    assert f"using {len(fit)} of 16 trials of test" in str(found)
    warm = Simulation(spec_of(tmp_path), tmp_path / "new")
    warm.run()
    assert len(warm.ledger.trials) == 12  # theirs are no trials here
    assert min(warm.ledger.trials) == 0
    ours = {config_key(trial.config) for trial in warm.ledger.trials.values()}
    assert not ours & {config_key(row["config"]) for row in found.rows}
    cold = Simulation(spec_of(tmp_path), tmp_path / "cold")
    cold.run()
    assert [t.config for t in cold.ledger.trials.values()] != [t.config for t in warm.ledger.trials.values()]


def test_nothing_is_taken_twice(tmp_path: Path) -> None:
    """Neither with a second --warm-start, nor what this search has tried itself."""
    other = finished(tmp_path / "other")
    first = learned(tmp_path, other)
    again = learned(tmp_path, other)
    assert again.rows == []
    assert again.left_out["already known here"] == len(first.rows)
    same = finished(tmp_path / "same", SPACE)
    found = warm_start(spec_of(tmp_path), read_search(same.folder), MADE, same.record)
    assert found.left_out == {"already known here": 12}


def test_a_small_space_searched_elsewhere_is_exhausted(tmp_path: Path) -> None:
    text = SPACE.replace("{float: [1e-4, 1e-1], log: true}", "{choice: [0.1, 0.01]}").replace("[8, 64]", "[8, 16]")
    other = finished(tmp_path / "other", text)
    assert len(other.ledger.trials) == len(learned(tmp_path, other, text).rows) == 4
    warm = Simulation(spec_of(tmp_path, text), tmp_path / "new", falling)
    warm.run()
    assert warm.driver.exhausted
    assert not warm.ledger.trials


@pytest.mark.parametrize(
    ("override", "differs"),
    [
        ("data.name=fashion_mnist", "data.name"),
        ("data.normalize=none", "data.normalize"),
        ("data.augment=[flip]", "data.augment"),
        ("data.validation_fraction=0.2", "data.validation_fraction"),
        ("data.split_seed=1", "data.split_seed"),
        ("data.train_limit=500", "data.train_limit"),
        ("model.name=simple_cnn", "model.name"),
        ("training.optimizer.name=sgd", "training.optimizer.name"),
        ("training.optimizer.weight_decay=0.1", "training.optimizer.weight_decay"),
        ("training.epochs=8", "epochs per trial"),
        ("search.scheduler.max_t=3", "epochs per trial"),
        ("training.label_smoothing=0.1", "training.label_smoothing"),
        ("training.schedule={name: cosine}", "training.schedule.name"),
    ],
)
def test_what_is_fixed_must_be_the_same(tmp_path: Path, override: str, differs: str) -> None:
    """Values under another data set, model or recipe mean something else."""
    found = learned(tmp_path, finished(tmp_path / "other", SPACE), SPACE, override)
    assert found.rows == []
    (reason,) = found.left_out
    assert reason.startswith("with different ")
    assert differs in reason


@pytest.mark.parametrize("override", ["seed=7", "search.seed=7", "training.threads=2", "training.epochs=20"])
def test_what_changes_no_meaning_may_differ(tmp_path: Path, override: str) -> None:
    """20 epochs: the scheduler ends trials after 9 in both, and nothing is laid over all epochs."""
    assert len(learned(tmp_path, finished(tmp_path / "other", SPACE), SPACE, override).rows) == 12


@pytest.mark.parametrize("made", [{**MADE, "data": "another"}, {**MADE, "split": "another"}])
def test_other_images_are_left_out(tmp_path: Path, made: dict[str, str]) -> None:
    found = learned(tmp_path, finished(tmp_path / "other", SPACE), made=made)
    assert found.left_out == {"with other images": 12}


@pytest.mark.parametrize(("path", "same"), [("/data/one", True), ("/data/two", False)])
def test_before_images_were_recorded_their_folder_had_to_be_the_same(tmp_path: Path, path: str, same: bool) -> None:
    spec = spec_of(tmp_path)
    here, there = (
        replace(spec, base=with_values(spec.base, {"data": {"name": "folder", "image_size": 8, "path": folder}}))
        for folder in ("/data/one", path)
    )
    assert _same_data(here, there, MADE, {"split": "hash"}) is same
    assert _same_data(here, there, MADE, MADE)


def test_ends_that_say_nothing_here_are_left_out(tmp_path: Path) -> None:
    ends = {1: "out_of_memory", 2: "failed", 3: "diverged", 4: "infeasible"}

    def curve(trial: int, config: Config, epoch: int) -> Report:
        if trial not in ends:
            return falling(trial, config, epoch)
        return Report((metrics(1, 1.0),) if trial == 3 else (), ends[trial], "a reason")

    found = learned(tmp_path, finished(tmp_path / "other", SPACE, curve=curve))
    assert found.left_out == {"out of memory": 1, "failed": 1, "infeasible": 1}
    assert [row["status"] for row in found.rows].count(Status.DIVERGED) == 1


def test_searched_here_and_fixed_there_and_the_other_way_round(tmp_path: Path) -> None:
    fixed = finished(tmp_path / "fixed", SPACE, "training.batch_size=16")
    found = learned(tmp_path / "free", fixed)
    assert len(found.rows) == 12
    assert {row["config"]["training.batch_size"] for row in found.rows} == {16}
    text = SPACE.replace("{float: [1e-4, 1e-1], log: true}", "{choice: [0.1, 0.01]}").replace("[8, 64]", "[8, 16]")
    found = learned(tmp_path / "narrow", finished(tmp_path / "both", text), text, "training.batch_size=16")
    assert [set(row["config"]) for row in found.rows] == [{"training.optimizer.lr"}] * 2
    assert found.left_out == {"with different training.batch_size": 2}


def test_another_metric_is_refused(tmp_path: Path) -> None:
    other = finished(tmp_path / "other", SPACE)
    with pytest.raises(SpecError) as caught:
        check_metric(spec_of(tmp_path, SPACE, "search.metric=val_accuracy"), read_search(other.folder))
    assert [problem.field for problem in caught.value.problems] == ["--warm-start"]


def test_rows_become_trials_for_the_sampler() -> None:
    (trial,) = records([{"config": {"a": 1}, "status": "stopped", "values": [[1, 0.5], [2, 0.25]]}], "val_loss")
    assert trial.number == -1
    assert trial.epochs[1].values == {"val_loss": 0.25}
