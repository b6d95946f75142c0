"""Domains in YAML: there and back, and every form that is none."""

from __future__ import annotations

import datetime
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings

from search_spaces import Choice, Float, Int, SpaceError, parse, shown, write
from tests.search_spaces.strategies import domains

WHEN = (("a", ("sgd",)), ("b", (1, None)))


@pytest.mark.parametrize(
    ("raw", "domain"),
    [
        ({"float": [1e-4, 1e-2], "log": True}, Float(1e-4, 1e-2, log=True)),
        ({"float": [0, 1]}, Float(0.0, 1.0)),
        ({"float": [0, 1], "step": 0.25}, Float(0.0, 1.0, step=0.25)),
        ({"float": [0, 4], "step": 1}, Float(0.0, 4.0, step=1.0)),
        ({"float": [1, 1]}, Float(1.0, 1.0)),
        ({"float": [0, 1], "log": False, "step": None}, Float(0.0, 1.0)),
        ({"int": [32, 48], "step": 2}, Int(32, 48, step=2)),
        ({"int": [-3, -3]}, Int(-3, -3)),
        ({"int": [1, 64], "log": True}, Int(1, 64, log=True)),
        ({"choice": ["adam", "sgd"]}, Choice(("adam", "sgd"))),
        ({"choice": [1, True, 0, False, None, "1"]}, Choice((1, True, 0, False, None, "1"))),
        ({"choice": [[1], [True], {"a": 1}]}, Choice(([1], [True], {"a": 1}))),
        ({"float": [0, 1], "when": {"a": "sgd", "b": [1, None]}}, Float(0.0, 1.0, when=WHEN)),
        ({"int": [0, 1], "when": {"a": "sgd", "b": [1, None]}}, Int(0, 1, when=WHEN)),
        ({"choice": [0], "when": {"a": [["x"]]}}, Choice((0,), when=(("a", (["x"],)),))),
    ],
)
def test_forms(raw: Any, domain: Any) -> None:
    assert parse(raw) == domain
    assert parse(write(domain)) == domain


@given(domains)
@settings(deadline=None)
def test_written_and_parsed_again(raw: Any) -> None:
    domain = parse({**raw, "when": {"a": [[1], None]}})
    assert parse(write(domain)) == domain


MALFORMED: list[tuple[Any, str]] = [
    (3, "3 is not a domain; legal: a mapping with one of float, int, choice"),
    (None, "null is not a domain"),
    ([1, 2], "[1, 2] is not a domain"),
    ("adam", "'adam' is not a domain"),
    ({}, "has nothing; legal: exactly one of float, int, choice"),
    ({"uniform": [1, 2]}, "has uniform; legal: exactly one of float, int, choice"),
    ({1: 2}, "has 1; legal: exactly one of"),
    ({"int": [1, 2], "float": [1, 2]}, "has float and int; legal: exactly one of"),
    ({"int": [1, 2], "stp": 1}, "unknown stp beside int; did you mean step? legal: log, step, when"),
    ({"choice": [1], "log": True}, "unknown log beside choice; legal: when"),
    ({"int": [1, 2], None: 1}, "unknown null beside int"),
    ({"int": 3}, "int: 3 is not a pair [low, high] of whole numbers"),
    ({"int": [1]}, "int: [1] is not a pair"),
    ({"int": [1, 2, 3]}, "int: [1, 2, 3] is not a pair"),
    ({"int": {"low": 1}}, 'int: {"low": 1} is not a pair'),
    ({"int": [1, 2.5]}, "int: [1, 2.5] is not a pair [low, high] of whole numbers"),
    ({"int": [1, 2.0]}, "int: [1, 2.0] is not a pair [low, high] of whole numbers"),
    ({"int": [False, True]}, "int: [false, true] is not a pair [low, high] of whole numbers"),
    ({"int": ["1", "2"]}, 'int: ["1", "2"] is not a pair'),
    ({"int": [None, 2]}, "int: [null, 2] is not a pair"),
    ({"int": [1, math.nan]}, "int: [1, NaN] is not a pair"),
    ({"float": [True, 2]}, "float: [true, 2] is not a pair [low, high] of finite numbers"),
    ({"float": [0, math.nan]}, "float: [0, NaN] is not a pair [low, high] of finite numbers"),
    ({"float": [-math.inf, 0]}, "float: [-Infinity, 0] is not a pair"),
    ({"float": [0, 10**400]}, "is not a pair [low, high] of finite numbers"),
    ({"float": [-1e308, 1e308]}, "is wider than numbers are; legal: less than 1.8e308 apart"),
    ({"int": [3, 1]}, "int: low 3 is above high 1; legal: low <= high"),
    ({"float": [0.2, 0.1]}, "float: low 0.2 is above high 0.1; legal: low <= high"),
    ({"int": [1, 2], "log": "yes"}, "log: 'yes' is of the wrong type; legal: true or false"),
    ({"int": [1, 2], "log": 1}, "log: 1 is of the wrong type; legal: true or false"),
    ({"int": [0, 2], "log": True}, "int: low 0 has no logarithm; legal with log: low > 0"),
    ({"float": [-1, 2], "log": True}, "float: low -1 has no logarithm; legal with log: low > 0"),
    ({"int": [1, 3], "log": True, "step": 1}, "log and step exclude each other; legal: one of them"),
    ({"int": [1, 3], "step": 0}, "step: 0 is not a step; legal: whole numbers above 0"),
    ({"int": [1, 3], "step": -1}, "step: -1 is not a step"),
    ({"int": [1, 3], "step": 0.5}, "step: 0.5 is not a step; legal: whole numbers above 0"),
    ({"int": [1, 3], "step": True}, "step: true is not a step"),
    ({"float": [1, 3], "step": "1"}, "step: '1' is not a step; legal: finite numbers above 0"),
    ({"float": [1, 3], "step": math.inf}, "step: Infinity is not a step"),
    ({"int": [1, 4], "step": 2}, "step: 2 does not lead from 1 to 4; legal: high 3"),
    ({"int": [1, 4], "step": 9}, "step: 9 does not lead from 1 to 4; legal: high 1"),
    ({"float": [0, 1], "step": 0.3}, "step: 0.3 does not lead from 0 to 1; legal: high 0.9"),
    ({"float": [0, 1], "step": 0.333333333}, "step: 0.333333333 does not lead from 0 to 1; legal: high 0.999999999"),
    ({"choice": []}, "choice: [] is not a list of at least one value"),
    ({"choice": "adam"}, "choice: 'adam' is not a list of at least one value"),
    ({"choice": {"a": 1}}, 'choice: {"a": 1} is not a list'),
    ({"choice": ["a", "b", "a"]}, "choice: 'a' is listed twice; legal: each value once"),
    ({"choice": [1, 1.0]}, "choice: 1.0 is listed twice"),
    ({"choice": [[1], [1.0]]}, "choice: [1.0] is listed twice"),
    ({"choice": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}, 'choice: {"b": 2, "a": 1} is listed twice'),
    ({"choice": [1, math.nan]}, "choice: NaN cannot be kept in the record; legal: text, finite numbers"),
    ({"choice": [[math.inf]]}, "choice: [Infinity] cannot be kept in the record"),
    ({"choice": [{1: 2}]}, 'choice: {"1": 2} cannot be kept in the record'),
    ({"choice": [datetime.date(2026, 1, 2)]}, 'choice: "2026-01-02" cannot be kept in the record'),
    ({"choice": [b"x"]}, "cannot be kept in the record"),
    ({"int": [1, 2], "when": 3}, "when: 3 is not a condition; legal: a mapping of field: value, or field: [values]"),
    ({"int": [1, 2], "when": None}, "when: null is not a condition"),
    ({"int": [1, 2], "when": {}}, "when: {} is not a condition"),
    ({"int": [1, 2], "when": ["a"]}, 'when: ["a"] is not a condition'),
    ({"int": [1, 2], "when": {1: 2}}, 'when: {"1": 2} is not a condition'),
    ({"int": [1, 2], "when": {"a": []}}, 'when: {"a": []} lists no value, and would never hold'),
    ({"int": [1, 2], "when": {"a": math.nan}}, "when: NaN cannot be kept in the record"),
    ({"choice": ["a\nb", "a\nb"]}, r"choice: 'a\nb' is listed twice"),
    ({"choice": ["x" * 5000] * 2}, "xxx... is listed twice"),
]


@pytest.mark.parametrize(("raw", "message"), MALFORMED)
def test_every_malformed_form_is_refused_in_one_line(raw: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=re.escape(message)) as refusal:
        parse(raw)
    assert len(str(refusal.value).splitlines()) == 1
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "null"),
        ("a'b", '"a\'b"'),
        ("a\nb", r"'a\nb'"),
        ([1, "ü", None], '[1, "ü", null]'),
        ({"a": {"b": 1e-05}}, '{"a": {"b": 1e-05}}'),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (["x"] * 100, '["x", "x", "x"'),
    ],
)
def test_values_are_shown_as_a_user_would_write_them(value: Any, text: str) -> None:
    assert shown(value).startswith(text)
    assert len(shown(value)) <= 103
