"""Domains: what is in them, how a value is rounded, and what is drawn."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Choice, Float, Int, parse
from search_spaces.domains import among, same
from tests.search_spaces.strategies import continua, domains, finite, stepped


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (None, False, False),
        ("1", 1, False),
        ([1, 2], [1.0, 2], True),
        ([1], [True], False),
        ([1], [1, 1], False),
        ({"a": [1]}, {"a": [1.0]}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([], {}, False),
    ],
)
def test_equal_as_in_yaml(left: Any, right: Any, equal: bool) -> None:
    assert same(left, right) is same(right, left) is equal


@pytest.mark.parametrize(
    ("raw", "inside", "outside"),
    [
        ({"int": [2, 8], "step": 3}, [2, 5, 8], [1, 3, 9, 2.0, True, "2", None, [2]]),
        ({"int": [0, 1]}, [0, 1], [False, True, -1]),
        ({"float": [0.8, 0.99]}, [0.8, 0.99, 0.9], [0.79, 1, "0.9", True, math.nan, math.inf, None]),
        ({"float": [0, 1]}, [0, 1, 0.5], [True, False, 10**400]),
        ({"float": [0.1, 0.5], "step": 0.1}, [0.1, 0.2, 0.3, 0.1 + 2 * 0.1, 0.5], [0.15, 0.6, 0.0]),
        (
            {"choice": [1, True, "a", None, [1, 2], {"a": 1}]},
            [1, 1.0, True, "a", None, [1, 2], {"a": 1.0}],
            [0, False, "b", [1], {}],
        ),
    ],
)
def test_inside_and_outside(raw: Any, inside: list[Any], outside: list[Any]) -> None:
    domain = parse(raw)
    assert all(domain.contains(value) for value in inside)
    assert not any(domain.contains(value) for value in outside)


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        ({"int": [32, 48], "step": 8}, (32, 40, 48)),
        ({"int": [3, 3]}, (3,)),
        ({"int": [1, 3], "log": True}, (1, 2, 3)),
        ({"float": [0.1, 0.5], "step": 0.1}, (0.1, 0.2, 0.3, 0.4, 0.5)),
        ({"float": [-0.3, 0.3], "step": 0.1}, (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3)),
        ({"float": [1, 3], "step": 1}, (1.0, 2.0, 3.0)),
        ({"float": [2, 2]}, (2.0,)),
        ({"choice": ["a", [1]]}, ("a", [1])),
    ],
)
def test_every_value(raw: Any, values: tuple[Any, ...]) -> None:
    domain = parse(raw)
    assert domain.values() == values
    assert domain.size == len(values)
    assert domain.first == values[0]


def test_a_continuum_cannot_be_counted() -> None:
    domain = parse({"float": [0, 1]})
    assert domain.size is None
    assert domain.values() == ()


def test_six_digits_are_kept_of_a_drawn_float() -> None:
    assert parse({"float": [1e-5, 7e-3], "log": True}).canonical(0.00123456789) == 0.00123457
    assert parse({"float": [0.8, 0.99]}).canonical(0.87654321) == 0.876543


def test_bounds_that_agree_in_many_digits_keep_six_more() -> None:
    narrow = parse({"float": [0.999_999, 0.999_999_9]})
    assert narrow.canonical(0.999_999_123_456_7) == 0.999_999_123_457
    source = random.Random(0)
    assert len({narrow.draw(source) for _ in range(100)}) == 100


def test_rounding_does_not_leave_the_bounds() -> None:
    domain = parse({"float": [0.123_456_78, 0.876_543_21]})
    assert domain.canonical(0.123_456_78) >= 0.123_456_78
    assert domain.canonical(0.876_543_21) <= 0.876_543_21


def test_the_ends_of_a_whole_range_have_their_share() -> None:
    uniform, logarithmic = parse({"int": [1, 4]}), parse({"int": [1, 4], "log": True})
    source = random.Random(0)
    counts = Counter(uniform.draw(source) for _ in range(4000))
    assert all(900 < counts[value] < 1100 for value in (1, 2, 3, 4))
    counts = Counter(logarithmic.draw(source) for _ in range(4000))
    share = {value: math.log((value + 0.5) / (value - 0.5)) / math.log(9) for value in (1, 2, 3, 4)}
    assert all(counts[value] == pytest.approx(4000 * share[value], rel=0.15) for value in share)


def test_a_logarithmic_draw_is_uniform_in_its_logarithm() -> None:
    domain, source = parse({"float": [1e-4, 1e-2], "log": True}), random.Random(0)
    assert sum(domain.draw(source) < 1e-3 for _ in range(2000)) == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize("low", [10**15, 10**30])
def test_large_whole_numbers_stay_in_bounds(low: int) -> None:
    domain, source = Int(low, low + 2, log=True), random.Random(0)
    assert all(domain.contains(domain.draw(source)) for _ in range(100))


def test_steps_over_many_values_are_exact() -> None:
    domain = parse({"float": [0, 1000], "step": 0.001})
    assert domain.size == 1_000_001
    assert domain.canonical(999.9994) == 999.999


@given(domains, st.integers(0, 9))
@settings(deadline=None)
def test_what_is_drawn_is_inside_and_canonical(raw: Any, seed: int) -> None:
    domain = parse(raw)
    value = domain.draw(random.Random(seed))
    assert domain.contains(value)
    assert same(domain.canonical(value), value)


@given(domains, st.floats(0, 1))
@settings(deadline=None)
def test_canonical_is_idempotent_and_inside(raw: Any, share: float) -> None:
    domain = parse(raw)
    if isinstance(domain, Choice):
        value = domain.options[int(share * (len(domain.options) - 1))]
    elif isinstance(domain, Int):
        value = domain.low + domain.step * int(share * (domain.size - 1))
    else:
        value = min(max(domain.low + share * (domain.high - domain.low), domain.low), domain.high)
    once = domain.canonical(value)
    assert domain.contains(once)
    assert same(domain.canonical(once), once)


@given(continua(), st.floats(0, 1))
@settings(deadline=None)
def test_rounding_moves_a_value_by_less_than_a_hundred_thousandth(raw: Any, share: float) -> None:
    domain = parse(raw)
    assert isinstance(domain, Float)
    value = min(max(domain.low + share * (domain.high - domain.low), domain.low), domain.high)
    assert abs(domain.canonical(value) - value) <= 1e-5 * max(abs(value), domain.high - domain.low)


@given(stepped())
@settings(deadline=None)
def test_steps_are_the_decimals_that_were_written(raw: Any) -> None:
    domain = parse(raw)
    assert isinstance(domain, Float)
    values = domain.values()
    assert (values[0], values[-1]) == tuple(raw["float"])
    assert all(len(f"{value:.12g}".lstrip("-0.").replace(".", "")) <= 7 for value in values)
    assert all(value == domain.canonical(value) for value in values)


@given(finite)
@settings(deadline=None)
def test_counted_values_are_all_there_and_differ(raw: Any) -> None:
    domain = parse(raw)
    values = domain.values()
    assert len(values) == domain.size
    assert all(domain.contains(value) for value in values)
    assert not any(among(value, values[:index]) for index, value in enumerate(values))


@given(finite)
@settings(deadline=None)
def test_draws_reach_every_value(raw: Any) -> None:
    domain, source = parse(raw), random.Random(0)
    drawn = tuple(domain.draw(source) for _ in range(500))
    assert all(among(value, drawn) for value in domain.values())


@given(domains)
@settings(deadline=None)
def test_ends_and_words(raw: Any) -> None:
    domain = parse(raw)
    assert all(domain.contains(end) for end in domain.ends)
    assert domain.contains(domain.first)
    assert domain.description
    assert "\n" not in domain.description
