"""Constraints that are checked before training: what samplers learn of them, and spaces in which nothing meets them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from search_spaces import Config
from tests.tune.search.samplers.proposing import Search, proposer
from tests.tune.search.simulation import LOSS, SPACE, Simulation, metrics, spec_of
from tests.tune.search.survival import survive
from tune.record.status import Status
from tune.record.tables import trials_table
from tune.record.trial import TrialRecord
from tune.search import feasible
from tune.search.driver import NoTrial
from tune.search.feasible import Feasibility, Latencies
from tune.search.samplers.proposer import REFUSED, Proposer

NETWORK = SPACE.replace("{name: mnist_mlr}", "{name: simple_cnn}").replace(
    "  training.batch_size: {int: [8, 64], step: 8}", "  model.hidden_dim: {int: [16, 512], step: 16}"
)
LEAST = (32 * 9 + 32) + (64 * 32 * 9 + 64) + (256 * 16 + 16) + (16 * 10 + 10)  # with 16 hidden units


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("parameters", LEAST),
        ("model_bytes", 4 * LEAST),
        ("activation_bytes", 4 * (32 * 8 * 8 + 64 * 4 * 4 + 16 + 10)),
    ],
)
def test_a_space_in_which_nothing_meets_the_constraints_ends_at_once_and_says_why(
    tmp_path: Path, name: str, least: int
) -> None:
    spec = spec_of(tmp_path, NETWORK + f"constraints: {{{name}: {{max: 900}}}}\n")
    simulation = Simulation(spec, tmp_path / "s")
    check = Feasibility(spec, tmp_path)
    sampler = simulation.ledger.proposer._sampler
    simulation.ledger.proposer = Proposer(spec.space, sampler, spec.seed, check, lambda: check.why_not)
    assert simulation.driver.next() is NoTrial.DONE
    assert simulation.driver.halt == (
        "failed: no configuration meets the constraints: "
        f"constraints.{name} allows at most 900, the nearest value was {least}"
    )
    assert not simulation.ledger.trials


def narrow(config: Config) -> dict[str, int] | None:
    return {} if config["x"] < 0.2 else None


def refused(name: str, told: bool) -> int:
    """How often 30 late draws had to be drawn again."""
    search: Search = proposer(narrow, name, {"x": {"float": [0.0, 1.0]}})
    again = 0
    for number in range(40):
        proposal = search.propose()
        assert proposal is not None
        facts = dict(proposal.facts)
        again += number >= 10 and len(facts.get(REFUSED, ()))
        epochs = (metrics(1, 1.0 - proposal.config["x"]),)  # the best would be beyond the limit
        facts = facts if told else {}
        search.trials.append(TrialRecord(number, proposal.config, Status.COMPLETED, epochs=epochs, facts=facts))
    return again


def test_a_sampler_learns_what_the_constraints_refuse() -> None:
    assert refused("tpe", told=True) < refused("tpe", told=False) / 2


def latency_search(tmp_path: Path, text: str = "", name: str = "s") -> tuple[Simulation, Feasibility]:
    """A search whose models may take 2 ms, with the real check."""
    spec = spec_of(tmp_path, NETWORK + f"constraints: {{latency_ms: {{max: 2}}{text}}}\n")
    simulation = Simulation(spec, tmp_path / name)
    check = Feasibility(spec, tmp_path, Latencies(simulation.record))
    sampler = simulation.ledger.proposer._sampler
    simulation.ledger.proposer = Proposer(spec.space, sampler, spec.seed, check, lambda: check.why_not)
    return simulation, check


def test_slow_models_are_refused_and_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a resumed search: what was measured is in the record."""
    measured: list[int] = []

    def measure(model: Any, input_shape: tuple[int, int, int], classes: int) -> float:
        measured.append(model.hidden_dim)
        return float(model.hidden_dim / 128)

    monkeypatch.setattr(feasible, "_measured", measure)
    simulation, _ = latency_search(tmp_path)
    simulation.run()
    trials = simulation.record.trials()
    assert len(trials) == 12
    assert all(trial.facts["latency_ms"] == trial.config["model.hidden_dim"] / 128 <= 2 for trial in trials)
    told = [config["model.hidden_dim"] for trial in trials for config in trial.facts.get(REFUSED, ())]
    assert told
    assert min(told) > 256
    assert len(measured) == len(set(measured))
    table = trials_table(trials, [], LOSS, simulation.folder)
    assert table["latency_ms"].tolist() == [trial.facts["latency_ms"] for trial in trials]
    before = len(measured)
    resumed, check = latency_search(tmp_path)
    for trial in resumed.record.trials():
        assert check(trial.config)
    assert len(measured) == before


@pytest.mark.parametrize(("how", "first"), [("before", 2), ("half", 3), ("after", 4)])
def test_a_kill_between_measuring_and_noting_turns_no_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, first: int
) -> None:
    """A model that is measured again may get another value; what was decided by the first one stays."""
    times: Counter[int] = Counter()

    def measure(model: Any, input_shape: tuple[int, int, int], classes: int) -> float:
        times[model.hidden_dim] += 1
        return float(model.hidden_dim / 128 + times[model.hidden_dim] % 2)  # odd times are slow: many are at the limit

    def begin(folder: Path) -> Simulation:
        return latency_search(tmp_path, name=folder.name)[0]

    monkeypatch.setattr(feasible, "_measured", measure)
    turned = 0
    for write in range(first, 60, 3):
        times.clear()
        simulation = survive(begin, tmp_path / f"killed-{write}", [(write, how)])
        spec, record = simulation.ledger.spec, simulation.record
        turned += max(times.values()) > 1
        noted = {key: value for key, value in record.facts.items() if key.startswith(feasible.NOTE)}
        assert len(noted) == len(times)
        known = Latencies(record)
        decided = [(config, False) for trial in record.trials() for config in trial.facts.get(REFUSED, ())]
        decided += [(trial.config, True) for trial in record.trials()]
        assert len(record.trials()) == 12
        for config, allowed in decided:
            assert (known.of(spec.experiment(config).model, (1, 8, 8), 10) <= 2) is allowed
    assert turned > 1 if how != "after" else turned == 0


def test_a_model_that_breaks_another_constraint_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feasible, "_measured", lambda *model: pytest.fail("it was measured"))
    simulation, _ = latency_search(tmp_path, ", parameters: {max: 900}")
    assert simulation.driver.next() is NoTrial.DONE
    assert "constraints.parameters allows at most 900" in simulation.driver.halt


def test_a_space_in_which_every_model_is_too_slow_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feasible, "_measured", lambda model, *shape: 3 + model.hidden_dim / 100)
    simulation, _ = latency_search(tmp_path)
    assert simulation.driver.next() is NoTrial.DONE
    assert simulation.driver.halt.endswith("constraints.latency_ms allows at most 2, the nearest value was 3.16")


def test_a_model_is_really_measured(tmp_path: Path) -> None:
    simulation, _ = latency_search(tmp_path)
    spec = simulation.ledger.spec
    model = spec.experiment(spec.example).model
    found = Latencies(simulation.record).of(model, (1, 8, 8), 10)
    assert 0 < found < 1000
    assert Latencies(simulation.record).of(model, (1, 8, 8), 10) == found
