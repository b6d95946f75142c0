"""What every registered sampler and scheduler must do, those from outside too."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
import time
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from search_spaces import Config, config_key, parse_space
from tests.tune.search.samplers.proposing import FREE, Search, proposer
from tests.tune.search.simulation import SPACE, Simulation, metrics, noise, spec_of
from tests.tune.search.survival import assert_same, ending, killed_at, survive
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.samplers import SAMPLERS, Sampler, Task, sampler_of, too_odd
from tune.search.samplers.encoding import Encoding
from tune.search.samplers.optuna_samplers import OptunaSampler
from tune.search.schedulers import SCHEDULERS, scheduler_of
from tune.spec.options import samplers as options
from tune.spec.options.samplers import SamplerSpec


class OutsideSpec(SamplerSpec):
    """Of a sampler that is not ours."""

    name: Literal["outside"] = "outside"


class Outside(Sampler):
    """Proposes by the number alone, and some configurations twice."""

    def __init__(self, task: Task) -> None:
        self.space = task.space

    def proposals(self, trials: Sequence[TrialRecord], number: int) -> Iterator[Config]:
        for attempt in itertools.count():
            yield self.space.draw(random.Random(number // 2 + attempt))


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLERS, "outside", Outside)
    monkeypatch.setitem(options.SAMPLERS, "outside", OutsideSpec)


NAMES = [*SAMPLERS, "outside"]
OPTIONS: dict[str, dict[str, Any]] = {
    "grid": {"points": 40},
    "nsga2": {"population": 6},
    "gp": {"startup": 6},
    "tpe": {"startup": 6},
}
RUNNING = 4
ENDS = (Status.STOPPED, Status.DIVERGED, Status.COMPLETED, Status.FAILED, Status.INFEASIBLE, Status.OUT_OF_MEMORY)


def made(name: str, check: Any = lambda config: {}, raw: Mapping[str, Any] = FREE) -> Search:
    return proposer(check, name, raw, options=OPTIONS.get(name))


def test_the_suite_runs_over_all() -> None:
    assert len(NAMES) == 7
    assert len(SCHEDULERS) == 4


def outcome(number: int, config: Config) -> TrialRecord:
    """Every end in turn; the values of some trials are NaN from their second epoch on."""
    loss = 0.1 + noise(config_key(config))
    epochs = tuple(metrics(epoch, math.nan if number % 7 == 3 and epoch > 1 else loss / epoch) for epoch in (1, 2, 3))
    return TrialRecord(number, config, ENDS[number % len(ENDS)], epochs=epochs if number % 5 else ())


def parallel(search: Search, count: int) -> list[Config]:
    """Propose trials while four run, each of which ends as the fourth after it is proposed."""
    configs = [trial.config for trial in search.trials]
    while len(configs) < count:
        number = len(configs)
        search.trials = [
            outcome(one, config) if one <= number - RUNNING else TrialRecord(one, config, Status.RUNNING)
            for one, config in enumerate(configs)
        ]
        proposal = search.propose()
        assert proposal is not None
        configs.append(proposal.config)
    return configs


def narrow(config: Config) -> Mapping[str, Any] | None:
    return {} if config["width"] < 128 else None


@pytest.mark.parametrize("name", NAMES)
def test_new_valid_and_the_same_after_a_kill_whatever_trials_end_with(name: str) -> None:
    space, _ = parse_space(FREE, {})
    whole = parallel(made(name, narrow), 30)
    assert len({config_key(config) for config in whole}) == 30
    for config in whole:
        assert space.problems(config) == []  # every field in play, and no other
        assert config["width"] < 128
    for killed in (1, 6, 7, 13, 22, 29):
        again = made(name, narrow)
        again.trials = [TrialRecord(number, config, Status.RUNNING) for number, config in enumerate(whole[:killed])]
        assert parallel(again, 30) == whole


@pytest.mark.parametrize("name", NAMES)
def test_workers_are_sent_to_different_places(name: str) -> None:
    raw = {"x": {"float": [0.0, 1.0]}, "y": {"float": [0.0, 1.0]}}
    search = made(name, raw=raw)
    for number in range(16):
        proposal = search.propose()
        assert proposal is not None
        x, y = proposal.config["x"], proposal.config["y"]
        epochs = (metrics(1, 0.1 + (x - 0.4) ** 2 + (y - 0.6) ** 2),)
        search.trials.append(TrialRecord(number, proposal.config, Status.COMPLETED, epochs=epochs))
    places = []
    for number in range(16, 16 + RUNNING):
        proposal = search.propose()
        assert proposal is not None
        search.trials.append(TrialRecord(number, proposal.config, Status.RUNNING))
        places.append(Encoding(parse_space(raw, {})[0]).points([proposal.config])[0])
    assert min(np.abs(one - other).max() for one, other in itertools.combinations(places, 2)) > 0.002


@pytest.mark.parametrize("name", NAMES)
def test_a_space_of_one_point(name: str) -> None:
    search = made(name, raw={"lr": {"float": [0.1, 0.1]}, "width": {"int": [8, 8]}, "kind": {"choice": ["a"]}})
    proposal = search.propose()
    assert proposal is not None
    assert proposal.config == {"lr": 0.1, "width": 8, "kind": "a"}
    search.trials.append(TrialRecord(0, proposal.config, Status.COMPLETED, epochs=(metrics(1, 1.0),)))
    assert search.propose() is None


def tree(branches: int = 30) -> dict[str, Any]:
    """A choice of branches, each with fields of its own, one of which decides about a third."""
    raw: dict[str, Any] = {"kind": {"choice": [f"k{one}" for one in range(branches)]}}
    for one in range(branches):
        raw[f"lr{one}"] = {"float": [1e-4, 1.0], "log": True, "when": {"kind": f"k{one}"}}
        raw[f"deep{one}"] = {"choice": [True, False], "when": {"kind": f"k{one}"}}
        raw[f"width{one}"] = {"int": [1, 64], "when": {f"deep{one}": True}}
    return raw


@pytest.mark.parametrize("name", NAMES)
def test_one_huge_conditional_tree(name: str) -> None:
    space, problems = parse_space(tree(), {})
    assert not problems
    began = time.process_time()
    whole = parallel(made(name, raw=tree()), 20)
    assert time.process_time() - began < 20
    assert all(space.problems(config) == [] for config in whole)


@pytest.mark.parametrize("name", NAMES)
def test_a_grid_of_a_million_points_takes_neither_memory_nor_time(name: str) -> None:
    tracemalloc.start()
    began = time.process_time()
    whole = parallel(made(name, raw={"a": {"int": [1, 1000]}, "b": {"float": [0, 999], "step": 1}}), 20)
    seconds, (_, most) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len({config_key(config) for config in whole}) == 20
    assert most < 30e6
    assert seconds < 20


def test_gp_says_which_sampler_it_uses_instead(tmp_path: Path) -> None:
    said: list[str] = []
    spec = spec_of(tmp_path, SPACE, "search.sampler={name: gp, startup: 3}")
    sampler_of(spec, scheduler_of(spec), said.append)
    assert said == []
    odd, _ = parse_space(tree(), {})
    sampler = sampler_of(dataclasses.replace(spec, space=odd), scheduler_of(spec), said.append)
    assert isinstance(sampler, OptunaSampler)
    assert said == ["the sampler gp does not suit a space with 90 conditional fields; using tpe instead"]
    many, _ = parse_space({"kind": {"choice": [f"k{one}" for one in range(200)]}}, {})
    assert too_odd(many).startswith("200 coordinates")


SCHEDULES = {
    "asha": "{name: asha, max_t: 9}",
    "asha, promotion": "{name: asha, max_t: 9, type: promotion}",
    "asha, brackets": "{name: asha, max_t: 9, type: promotion, brackets: 2}",
    "hyperband": "{name: hyperband, max_t: 9}",
    "hyperband, stopping": "{name: hyperband, max_t: 9, type: stopping}",
    "median": "{name: median, max_t: 9, min_trials: 2}",
    "none": "{name: none}",
}


def test_every_scheduler_is_among_those_killed() -> None:
    assert {text.split(",")[0] for text in SCHEDULES} == set(SCHEDULERS)


@pytest.mark.parametrize("scheduler", SCHEDULES)
def test_a_kill_changes_no_decision_of_a_scheduler(tmp_path: Path, scheduler: str) -> None:
    """Trials that diverge, fail and are infeasible are among them."""
    chosen = ("search.sampler.name=random", f"search.scheduler={SCHEDULES[scheduler]}")
    spec = spec_of(tmp_path, SPACE, "search.trials=8", *chosen)
    quiet = survive(ending(spec), tmp_path / "quiet")
    for every in (4, 7):  # the last write of each of so many
        assert_same(survive(ending(spec), tmp_path / f"killed-{every}", [(every, "half")] * 40), quiet)


@pytest.mark.parametrize("name", NAMES)
def test_a_kill_changes_no_proposal_of_a_search(tmp_path: Path, name: str) -> None:
    options = ", ".join(f"{key}: {value}" for key, value in OPTIONS.get(name, {}).items())
    spec = spec_of(tmp_path, SPACE, "search.trials=14", f"search.sampler={{name: {name}, {options}}}")
    with killed_at(math.inf, "half") as writes:
        quiet = survive(ending(spec), tmp_path / "quiet")
        total = writes()
    kills = [(write, "half") for write in range(5, total, total // 5)]
    assert_same(survive(ending(spec), tmp_path / "killed", kills), quiet)


@pytest.mark.parametrize("scheduler", SCHEDULES)
def test_four_workers_end_every_trial(tmp_path: Path, scheduler: str) -> None:
    chosen = ("search.sampler.name=random", f"search.scheduler={SCHEDULES[scheduler]}")
    simulation = Simulation(spec_of(tmp_path, SPACE, "search.trials=16", *chosen), tmp_path / "s")
    simulation.run(workers=4)
    trials = simulation.ledger.trials.values()
    assert len(trials) == 16
    assert {trial.status for trial in trials} <= {Status.COMPLETED, Status.STOPPED}
    assert any(len(trial.epochs) == 9 for trial in trials)
