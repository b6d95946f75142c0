"""Constraints that are checked before training: what samplers learn of them, and spaces in which nothing meets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import Config
from tests.tune.search.simulation import SPACE, Simulation, metrics, spec_of
from tests.tune.search.test_proposer import Search, proposer
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.driver import NoTrial
from tune.search.feasible import Feasibility
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
