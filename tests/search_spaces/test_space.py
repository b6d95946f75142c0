"""Spaces: conditions, canonical configurations, and everything that a space contains."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Config, Space, config_key, parse_space
from search_spaces.domains import among
from tests.search_spaces.strategies import FIXED, finite, spaces

OPTIMIZERS = {
    "momentum": {"float": [0.8, 0.9], "step": 0.1, "when": {"optimizer": "sgd"}},
    "nesterov": {"choice": [True, False], "when": {"momentum": 0.9}},
    "optimizer": {"choice": ["adam", "sgd", "rmsprop"]},
    "amsgrad": {"choice": [True, False], "when": {"optimizer": ["adam", "rmsprop"], "fast": False}},
}


def space(raw: Any, **fixed: Any) -> Space:
    made, problems = parse_space(raw, fixed)
    assert problems == []
    return made


def problems(raw: Any, **fixed: Any) -> list[tuple[str, str]]:
    return parse_space(raw, fixed)[1]


def test_parents_come_before_their_children_and_else_the_order_is_kept() -> None:
    assert list(space(OPTIMIZERS, fast=False).domains) == ["optimizer", "momentum", "amsgrad", "nesterov"]


def test_an_idle_parent_makes_its_children_idle() -> None:
    optimizers = space(OPTIMIZERS, fast=False)
    idle = {"optimizer": "adam", "momentum": 0.9, "nesterov": True, "amsgrad": False}
    assert optimizers.canonical(idle) == {"optimizer": "adam", "amsgrad": False}
    assert optimizers.canonical({**idle, "optimizer": "sgd"}) == {"optimizer": "sgd", "momentum": 0.9, "nesterov": True}


def test_a_condition_on_a_fixed_field() -> None:
    assert "amsgrad" not in space(OPTIMIZERS, fast=True).canonical({"optimizer": "adam", "amsgrad": True})


def test_a_condition_on_a_field_whose_values_are_lists() -> None:
    made = space({"sizes": {"choice": [[16, 32], [32]]}, "x": {"int": [0, 1], "when": {"sizes": [[16, 32]]}}})
    assert made.canonical({"sizes": [16, 32], "x": 1}) == {"sizes": [16, 32], "x": 1}
    assert made.canonical({"sizes": [32], "x": 1}) == {"sizes": [32]}


def test_true_is_not_one_in_a_condition() -> None:
    made = space({"a": {"choice": [1, True]}, "b": {"int": [0, 1], "when": {"a": 1}}})
    assert made.canonical({"a": True, "b": 0}) == {"a": True}
    assert made.canonical({"a": 1, "b": 0}) == {"a": 1, "b": 0}


def test_everything_in_the_example_space() -> None:
    found = list(space(OPTIMIZERS, fast=False).enumerate())
    # adam and rmsprop with two amsgrads each; sgd with momentum 0.8, or 0.9 with two nesterovs
    assert len(found) == 2 * 2 + 1 + 2
    assert space(OPTIMIZERS, fast=False).size_limit == 3 * 2 * 2 * 2


def test_premises_reach_through_chains() -> None:
    made = space(OPTIMIZERS, fast=False)
    assert made.premises("nesterov") == {"momentum": (0.9,), "optimizer": ("sgd",)}
    assert made.premises("amsgrad") == {"optimizer": ("adam", "rmsprop"), "fast": (False,)}
    assert made.premises("optimizer") == {}
    assert made.fill({"optimizer": "sgd", "momentum": 0.9}) == {"optimizer": "sgd", "momentum": 0.9, "nesterov": True}


def test_what_keeps_a_field_out_for_ever() -> None:
    made = space(OPTIMIZERS, fast=True)
    assert made.blocker("amsgrad") == "fast"
    assert made.blocker("momentum") is None
    contradiction = OPTIMIZERS | {"both": {"int": [0, 1], "when": {"momentum": 0.8, "optimizer": "adam"}}}
    assert space(contradiction, fast=False).blocker("both") == "optimizer"
    below = contradiction | {"below": {"int": [0, 1], "when": {"both": 1}}}
    assert space(below, fast=False).blocker("below") == "optimizer"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (3, [("", "must be a mapping of dotted field names to domains (got 3)")]),
        (
            {"a": 3, "b": {"int": [2, 1]}},
            [("a", "3 is not a domain"), ("b", "low must be at most high (got low 2, high 1)")],
        ),
        ({"a": {"int": [0, 1], "when": {"a": 1}}}, [("a", "its `when` conditions form a cycle")]),
        (
            {
                "a": {"int": [0, 1], "when": {"b": 1}},
                "b": {"int": [0, 1], "when": {"c": 1}},
                "c": {"int": [0, 1], "when": {"a": 1}},
                "beyond": {"int": [0, 1], "when": {"a": 1}},
            },
            [(field, "its `when` conditions form a cycle") for field in "abc"],
        ),
        (
            {"a": {"int": [0, 1], "when": {"b": 1}}},
            [("a", "when: b: unknown field")],
        ),
        (
            {"a": {"int": [0, 1], "when": {"fixd": 1}}},
            [("a", "when: fixd: unknown field; did you mean fixed?")],
        ),
        (
            {"a": {"int": [0, 4], "step": 2}, "b": {"int": [0, 1], "when": {"a": [0, 1, 5, True, "0"]}}},
            [
                ("b", f"when: a is never {value}; it is a whole number from 0 to 4 in steps of 2")
                for value in ("1", "5", "true", "'0'")
            ],
        ),
        (
            {"a": {"choice": ["x", 1]}, "b": {"int": [0, 1], "when": {"a": [1.0, True, "y"]}}},
            [("b", f"when: a is never {value}; it is one of 'x', 1") for value in ("true", "'y'")],
        ),
        (
            {"a": {"float": [0, 1]}, "b": {"int": [0, 1], "when": {"a": 0.5}}},
            [("b", "when: a is continuous and has a given value only by chance; give it a step")],
        ),
        (
            {"a": {"float": [0, 1], "step": 0.1}, "b": {"int": [0, 1], "when": {"a": [0.3, 0.30000000001]}}},
            [("b", "when: a is never 0.30000000001; it is from 0 to 1 in steps of 0.1")],
        ),
        ({"a": 3, "b": {"int": [0, 1], "when": {"a": 1}}}, [("a", "3 is not a domain")]),
    ],
)
def test_all_that_is_wrong_with_a_space(raw: Any, expected: list[tuple[str, str]]) -> None:
    found = problems(raw, fixed="here")
    assert [field for field, _ in found] == [field for field, _ in expected]
    for (_, text), (_, start) in zip(found, expected, strict=True):
        assert re.match(re.escape(start), text) or start in text


def test_configurations_named_by_hand() -> None:
    made = space(OPTIMIZERS, fast=False)
    assert made.problems({"optimizer": "sgd", "momentum": 0.8}) == []
    assert made.problems({"optimizer": "adam", "amsgrad": True}) == []
    assert made.problems({"optimizer": "sgdd", "momentm": 0.8}) == [
        (
            "momentm",
            "unknown field; did you mean momentum? Valid fields here: amsgrad, momentum, nesterov, optimizer",
        ),
        ("optimizer", "must be one of 'adam', 'sgd', 'rmsprop' (got 'sgdd')"),
        ("amsgrad", "is required: one of true, false"),
    ]
    assert made.problems({"optimizer": "sgd", "momentum": 0.85, "amsgrad": True}) == [
        ("momentum", "must be from 0.8 to 0.9 in steps of 0.1 (got 0.85)"),
        ("amsgrad", "must be left out, since its `when` is not met (got true)"),
    ]
    assert made.problems({}) == [
        ("optimizer", "is required: one of 'adam', 'sgd', 'rmsprop'"),
        ("amsgrad", "is required: one of true, false"),
    ]


def test_null_is_a_value_and_not_the_lack_of_one() -> None:
    made = space({"a": {"choice": [None, 1]}, "b": {"int": [0, 1], "when": {"a": None}}})
    assert made.problems({}) == [
        ("a", "is required: one of null, 1"),
        ("b", "is required: a whole number from 0 to 1"),
    ]
    assert made.problems({"a": None, "b": None}) == [("b", "must be a whole number from 0 to 1 (got null)")]
    assert made.problems({"a": 1}) == []
    assert made.canonical({"a": None, "b": 1}) == {"a": None, "b": 1}


def test_one_key_for_equal_configurations_and_another_for_others() -> None:
    assert config_key({"a": 1, "b": [True]}) == config_key({"b": [True], "a": 1})
    different: list[Config] = [{}, {"a": 1}, {"a": True}, {"a": "1"}, {"a": None}, {"a": [1]}, {"b": 1}]
    assert len({config_key(config) for config in different}) == len(different)


# -- for all spaces


def expand(space: Space, fields: list[str], config: Config) -> Iterator[Config]:
    """Every configuration, by growing it field by field: brute force beside `Space.enumerate`."""
    if not fields:
        yield config
        return
    field, *rest = fields
    for parent, values in space.domains[field].when:
        if not among(config.get(parent, FIXED.get(parent) if parent in FIXED else object()), values):
            yield from expand(space, rest, config)
            return
    for value in space.domains[field].values():
        yield from expand(space, rest, {**config, field: value})


@given(spaces(finite))
@settings(max_examples=60, deadline=None)
def test_enumerating_gives_every_configuration_once(space: Space) -> None:
    brute = [config_key(config) for config in expand(space, list(space.domains), {})]
    found = [config_key(config) for config in space.enumerate()]
    assert len(found) == len(set(found)) == len(brute)
    assert set(found) == set(brute)
    assert space.size_limit is not None
    assert len(found) <= space.size_limit


@given(spaces(finite), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_draws_are_among_the_enumerated(space: Space, seed: int) -> None:
    keys = {config_key(config) for config in space.enumerate()}
    source = random.Random(seed)
    assert {config_key(space.draw(source)) for _ in range(50)} <= keys


@given(spaces(), st.integers(0, 99))
@settings(deadline=None)
def test_a_draw_is_a_configuration_and_looks_canonical(space: Space, seed: int) -> None:
    config = space.draw(random.Random(seed))
    assert space.problems(config) == []
    assert config_key(space.canonical(config)) == config_key(config)
    assert list(space.canonical(config)) == [field for field in space.domains if field in config]


@given(spaces(), st.integers(0, 99))
@settings(deadline=None)
def test_canonical_is_idempotent_and_drops_what_is_idle(space: Space, seed: int) -> None:
    source = random.Random(seed)
    overfull = {field: domain.draw(source) for field, domain in space.domains.items()} | {"no such field": 1}
    once = space.canonical(overfull)
    assert config_key(space.canonical(once)) == config_key(once)
    assert space.problems(once) == []


@given(spaces(), st.integers(0, 99))
@settings(deadline=None)
def test_premises_bring_a_field_into_play(space: Space, seed: int) -> None:
    source = random.Random(seed)
    drawn = space.draw(source)
    for field in space.domains:
        if space.blocker(field) is None:
            forced = {parent: source.choice(values) for parent, values in space.premises(field).items()}
            assert field in space.fill({**drawn, **forced})
        else:
            assert all(field not in space.draw(source) for _ in range(20))
