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


ONE_OF = "must have exactly one of float, int, choice"
WHOLE, FINITE = (
    "int: must be a pair [low, high] of whole numbers",
    "float: must be a pair [low, high] of finite numbers",
)
PLAIN = "values must be text, finite numbers, true, false, null, or lists and mappings of these"
WHEN_FORM = "when: must be a mapping of field: value or field: [values]"
MALFORMED: list[tuple[Any, str]] = [
    (3, "3 is not a domain; write a mapping with one of float, int, choice"),
    *((raw, "is not a domain") for raw in (None, [1, 2], "adam")),
    ({}, f"{ONE_OF} (got nothing)"),
    ({"uniform": [1, 2]}, f"{ONE_OF} (got uniform)"),
    ({1: 2}, f"{ONE_OF} (got 1)"),
    ({"int": [1, 2], "float": [1, 2]}, f"{ONE_OF} (got float and int)"),
    ({"int": [1, 2], "stp": 1}, "stp: unknown option of int; did you mean step? Valid options: log, step, when"),
    ({"choice": [1], "log": True}, "log: unknown option of choice; valid options: when"),
    ({"int": [1, 2], None: 1}, "null: unknown option of int"),
    ({"int": 3}, f"{WHOLE} (got 3)"),
    *(({"int": raw}, WHOLE) for raw in ([1], [1, 2, 3], {"low": 1}, [1, 2.5], [1, 2.0], [False, True], ["1", "2"])),
    *(({"int": raw}, WHOLE) for raw in ([None, 2], [1, math.nan])),
    *(({"float": raw}, FINITE) for raw in ([True, 2], [0, math.nan], [-math.inf, 0], [0, 10**400])),
    ({"float": [-1e308, 1e308]}, "float: low and high must be less than 1.8e308 apart"),
    ({"int": [3, 1]}, "int: low must be at most high (got low 3, high 1)"),
    ({"float": [0.2, 0.1]}, "float: low must be at most high (got low 0.2, high 0.1)"),
    *(({"int": [1, 2], "log": raw}, "log: must be true or false") for raw in ("yes", 1)),
    ({"int": [0, 2], "log": True}, "int: with log, low must be above 0 (got 0)"),
    ({"float": [-1, 2], "log": True}, "float: with log, low must be above 0 (got -1)"),
    ({"int": [1, 3], "log": True, "step": 1}, "log and step cannot be used together; remove one of them"),
    *(({"int": [1, 3], "step": raw}, "step: must be one of the whole numbers above 0") for raw in (0, -1, 0.5, True)),
    *(({"float": [1, 3], "step": raw}, "step: must be one of the finite numbers above 0") for raw in ("1", math.inf)),
    ({"int": [1, 4], "step": 2}, "step: 2 does not divide the range 1 to 4; use a high of 3"),
    ({"int": [1, 4], "step": 9}, "step: 9 does not divide the range 1 to 4; use a high of 1"),
    ({"float": [0, 1], "step": 0.3}, "step: 0.3 does not divide the range 0 to 1; use a high of 0.9"),
    ({"float": [0, 1], "step": 0.333333333}, "use a high of 0.999999999"),
    ({"choice": []}, "choice: must be a list of at least one value (got [])"),
    *(({"choice": raw}, "choice: must be a list of at least one value") for raw in ("adam", {"a": 1})),
    ({"choice": ["a", "b", "a"]}, "choice: 'a' is listed twice; list each value once"),
    ({"choice": [1, 1.0]}, "choice: 1.0 is listed twice"),
    ({"choice": [[1], [1.0]]}, "choice: [1.0] is listed twice"),
    ({"choice": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}, 'choice: {"b": 2, "a": 1} is listed twice'),
    *(({"choice": [1, raw]}, f"choice: {PLAIN}") for raw in (math.nan, [math.inf], {1: 2}, b"x")),
    ({"choice": [datetime.date(2026, 1, 2)]}, f'choice: {PLAIN} (got "2026-01-02")'),
    *(({"int": [1, 2], "when": raw}, WHEN_FORM) for raw in (3, None, {}, ["a"], {1: 2})),
    ({"int": [1, 2], "when": {"a": []}}, "when: must list at least one value of each field"),
    ({"int": [1, 2], "when": {"a": math.nan}}, f"when: {PLAIN} (got NaN)"),
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
