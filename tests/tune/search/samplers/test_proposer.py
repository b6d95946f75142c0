"""Proposals: new, possible, wanted, and the same after a reload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import data
from search_spaces import Config, config_key
from tests.tune.search.samplers.proposing import Search, proposer
from tests.tune.search.simulation import SPACE, metrics, spec_of
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.feasible import Feasibility
from tune.spec.search import derived_seed


def loss(config: Config) -> float:
    return float(abs(config["lr"] - 0.01) * 10 + config["width"] / 256)


def ended(number: int, config: Config) -> TrialRecord:
    return TrialRecord(number, config, Status.COMPLETED, epochs=(metrics(1, loss(config)),))


def run(made: Search, count: int) -> list[Config]:
    configs = []
    for _ in range(count):
        proposal = made.propose()
        assert proposal is not None
        made.trials.append(ended(len(made.trials), proposal.config))
        configs.append(proposal.config)
    return configs


@pytest.mark.parametrize("name", ["gp", "tpe"])
def test_a_rebuilt_sampler_proposes_the_same(name: str) -> None:
    """Killed after any number of trials, the sampler goes on as if it had lived; others in test_conformance.py."""
    whole = run(proposer(name=name), 40)
    assert len({config_key(config) for config in whole}) == 40
    for killed in (1, 10, 11, 25, 39):
        again = proposer(name=name)
        again.trials = [ended(number, config) for number, config in enumerate(whole[:killed])]
        assert run(again, 40 - killed) == whole[killed:]


def test_another_seed_proposes_others() -> None:
    assert run(proposer(seed=1), 5) != run(proposer(seed=2), 5)


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_a_sampler_learns(name: str) -> None:
    """After 60 trials on a bowl, its proposals are better than random ones."""
    made = run(proposer(name=name), 60)
    late = sorted(loss(config) for config in made[40:])
    random = sorted(loss(config) for config in run(proposer(name="random"), 60)[40:])
    assert late[10] < random[10] / 1.5


def test_values_are_rounded_before_anything_sees_them() -> None:
    for config in run(proposer(), 30):
        assert float(f"{config['lr']:.6g}") == config["lr"]
        if "momentum" in config:
            assert config["momentum"] * 20 == pytest.approx(round(config["momentum"] * 20))
        assert ("momentum" in config) == (config["kind"] in ("a", "b"))


def test_impossible_draws_are_drawn_again_and_leave_no_trace() -> None:
    asked: list[Config] = []

    def small(config: Config) -> Mapping[str, Any] | None:
        asked.append(config)
        return {"width": config["width"]} if config["width"] <= 64 else None

    made = proposer(small)
    configs = run(made, 20)
    assert all(config["width"] <= 64 for config in configs)
    assert len(asked) > 20
    again = proposer(small)
    again.trials = [ended(number, config) for number, config in enumerate(configs[:10])]
    assert run(again, 10) == configs[10:]


def test_the_last_point_of_a_finite_space_is_found_and_then_none() -> None:
    raw = {"a": {"int": [1, 40]}, "b": {"int": [1, 25]}}
    made = proposer(lambda config: {} if (config["a"] + config["b"]) % 50 == 1 else None, raw=raw)
    possible = sum((a + b) % 50 == 1 for a in range(1, 41) for b in range(1, 26))
    found: list[str] = []
    while (proposal := made.propose()) is not None:
        made.trials.append(TrialRecord(len(found), proposal.config, Status.RUNNING))
        found.append(config_key(proposal.config))
    assert len(set(found)) == len(found) == possible > 10


def test_an_endless_space_with_nothing_possible_counts_as_exhausted() -> None:
    assert proposer(lambda config: None).propose() is None


def proposals_in_the_bad_half(name: str, status: Status) -> int:
    """Of 40 late proposals. Above 0.5 a trial reaches epoch 7, looks best until then, and ends with this status."""
    made = proposer(name=name, raw={"lr": {"float": [0.0, 1.0]}})
    bad = 0
    for number in range(70):
        proposal = made.propose()
        assert proposal is not None
        lr = proposal.config["lr"]
        last = 7 if lr > 0.5 else 2
        epochs = tuple(metrics(epoch, 1.0 + lr - 0.1 * epoch) for epoch in range(1, last + 1))
        ends = status if lr > 0.5 else Status.STOPPED
        made.trials.append(TrialRecord(number, proposal.config, ends, epochs=epochs))
        bad += number >= 30 and lr > 0.5
    return bad


def test_bad_ends_keep_the_sampler_away() -> None:
    """As plain PRUNED, reaching far before diverging would attract TPE; the other compares trials at equal epochs."""
    assert (
        proposals_in_the_bad_half("tpe", Status.DIVERGED) < 10 < 18 < proposals_in_the_bad_half("tpe", Status.STOPPED)
    )
    assert proposals_in_the_bad_half("gp", Status.DIVERGED) < 10  # of 40


def test_constraints_are_known_before_anything_is_trained(tmp_path: Path) -> None:
    text = SPACE.replace("{name: mnist_mlr}", "{name: simple_cnn}").replace(
        "  training.batch_size: {int: [8, 64], step: 8}",
        "  model.hidden_dim: {int: [16, 512], step: 16}\nconstraints: {parameters: {max: 100_000}, mult_adds: {min: 1000}}",
    )
    check = Feasibility(spec_of(tmp_path, text), tmp_path)
    small = check({"training.optimizer.lr": 0.01, "model.hidden_dim": 16})
    # 8x8 digits: convolutions 1-32-64 (3x3, bias), 64*2*2 = 256 features, 256-h, h-10
    assert small is not None
    assert small["parameters"] == (32 * 9 + 32) + (64 * 32 * 9 + 64) + (256 * 16 + 16) + (16 * 10 + 10)
    assert check({"training.optimizer.lr": 0.01, "model.hidden_dim": 512}) is None


def test_a_data_set_is_inspected_once_whatever_is_done_to_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspected = []

    def counting(source: data.Source, root: Path) -> data.DatasetInfo:
        inspected.append(source)
        return inspect(source, root)

    inspect = data.inspect
    check = Feasibility(spec_of(tmp_path), tmp_path)
    monkeypatch.setattr(data, "inspect", counting)
    for augment in (["flip"], ["crop"], []):
        for normalize in ("half", "none"):
            facts = check({"training.optimizer.lr": 0.01, "data.augment": augment, "data.normalize": normalize})
            assert facts is not None
            assert set(facts) == {"parameters", "mult_adds"}
    assert len(inspected) == 1


def test_seeds_differ_with_every_part() -> None:
    seeds = {derived_seed(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000
    assert derived_seed(1, 2) == derived_seed(1, 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gp", ["random start"] * 8 + ["explore or exploit"] * 8),
        ("tpe", ["random start"] * 10 + ["tpe"] * 6),
        ("random", ["random"] * 16),
        ("qmc", ["quasi-random"] * 16),
        ("grid", ["grid"] * 16),
        ("nsga2", ["random start"] * 10 + ["nsga2"] * 6),
    ],
)
def test_each_trial_tells_how_it_was_found(name: str, expected: list[str]) -> None:
    options = {"grid": {"points": 5}, "nsga2": {"population": 10}}.get(name)
    search = proposer(name=name, options=options)
    for number in range(len(expected)):
        proposal = search.propose()
        assert proposal is not None
        ended = (metrics(9, loss(proposal.config)),)
        trial = TrialRecord(number, proposal.config, Status.COMPLETED, epochs=ended, facts=proposal.facts)
        search.trials.append(trial)
        if expected[number] == "explore or exploit":
            assert trial.proposed in ("explore", "exploit")
        else:
            assert trial.proposed == expected[number]


def test_those_that_were_given_come_first() -> None:
    search = proposer()
    given = {"lr": 0.01, "width": 32, "kind": None}
    proposal = search.made.propose([], 0, [given])
    assert proposal is not None
    assert proposal.facts["proposed"] == "first"
    assert TrialRecord(0, given, Status.WAITING, facts={"request": "x"}).proposed == "by hand"
    assert TrialRecord(0, given, Status.WAITING).proposed == ""  # recorded by an earlier version
