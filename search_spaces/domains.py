"""Domains: the values that one searched field of an experiment can have. Bounds are inclusive.

A domain depends neither on the sampler nor on the field. How domains are written in YAML: `search_spaces.notation`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from search_spaces.errors import shown

SIGNIFICANT_DIGITS = 6  # of a drawn float: readable in a table, and finer than makes a difference to a training
MOST_DIGITS = 15  # every double has as many

Condition = tuple[tuple[str, tuple[Any, ...]], ...]
"""Pairs (dotted field, values): the domain is in play when every field has one of its values."""


def same(left: Any, right: Any) -> bool:
    """Whether two YAML values are equal, where `true` is not 1 (Python has True == 1) but 1 is 1.0."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def among(value: Any, values: tuple[Any, ...]) -> bool:
    """Whether a YAML value is one of the values."""
    return any(same(value, other) for other in values)


def is_number(value: Any) -> bool:
    """Whether a YAML value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def exact(value: float) -> Fraction:
    """The number as it is written: 0.1 is a tenth, not the nearest double to it."""
    return Fraction(repr(value))


@dataclass(frozen=True)
class Float:
    """A real number in [low, high], uniform, or uniform in its logarithm, or in steps from `low`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: Condition = ()

    @property
    def size(self) -> int | None:
        """How many values there are; None if infinitely many."""
        if self.low == self.high:
            return 1
        return None if self.step is None else int((exact(self.high) - exact(self.low)) / exact(self.step)) + 1

    @property
    def first(self) -> float:
        """The value to use where any will do."""
        return self.canonical(self.low)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The extreme values, which show whether the field allows the domain."""
        return (self.low, self.high)

    @property
    def description(self) -> str:
        """The values, so that it can follow `must be`."""
        steps = "" if self.step is None else f" in steps of {self.step:.12g}"
        return f"from {self.low:.12g} to {self.high:.12g}{steps}"

    def values(self) -> tuple[Any, ...]:
        """Every value, in order; only if `size` is not None."""
        return tuple(self._at(index) for index in range(self.size or 0))

    def _at(self, index: int) -> float:
        return float(exact(self.low) + index * exact(self.step or 0.0))

    @property
    def _digits(self) -> int:
        """Significant digits of a value: six of those in which the bounds differ."""
        width = self.high - self.low
        shared = math.floor(math.log10(max(abs(self.low), abs(self.high)) / width)) if width else 0
        return min(SIGNIFICANT_DIGITS + max(shared, 0), MOST_DIGITS)

    def canonical(self, value: Any) -> float:
        """The value on its step, or rounded, so that equal configurations look equal."""
        if self.step is not None:
            index = round((value - self.low) / self.step)
            return self._at(min(max(index, 0), (self.size or 1) - 1))
        return min(max(float(f"{value:.{self._digits}g}"), self.low), self.high)

    def contains(self, value: Any) -> bool:
        """Whether the value may be drawn."""
        if not is_number(value) or not self.low <= value <= self.high:
            return False
        return self.step is None or math.isclose(self.canonical(value), value, rel_tol=1e-9, abs_tol=1e-12)

    def draw(self, source: random.Random) -> float:
        """One value at random."""
        if (size := self.size) is not None:
            return self._at(source.randrange(size))
        if self.log:
            return self.canonical(math.exp(source.uniform(math.log(self.low), math.log(self.high))))
        return self.canonical(source.uniform(self.low, self.high))


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high], in steps from `low`, or uniform in its logarithm."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    when: Condition = ()

    @property
    def size(self) -> int:
        """How many values there are."""
        return (self.high - self.low) // self.step + 1

    @property
    def first(self) -> int:
        """The value to use where any will do."""
        return self.low

    @property
    def ends(self) -> tuple[Any, ...]:
        """The extreme values, which show whether the field allows the domain."""
        return (self.low, self.high)

    @property
    def description(self) -> str:
        """The values, so that it can follow `must be`."""
        steps = "" if self.step == 1 else f" in steps of {self.step}"
        return f"a whole number from {self.low} to {self.high}{steps}"

    def values(self) -> tuple[Any, ...]:
        """Every value, in order."""
        return tuple(range(self.low, self.high + 1, self.step))

    def canonical(self, value: Any) -> int:
        """The value as a whole number."""
        return int(value)

    def contains(self, value: Any) -> bool:
        """Whether the value may be drawn."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def draw(self, source: random.Random) -> int:
        """One value at random."""
        if not self.log:
            return source.randrange(self.low, self.high + 1, self.step)
        # From half below to half above, as Optuna does, so that the ends have their whole share.
        drawn = math.exp(source.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(max(round(drawn), self.low), self.high)


@dataclass(frozen=True)
class Choice:
    """One of the values listed: any YAML values, lists and mappings among them."""

    options: tuple[Any, ...]
    when: Condition = ()

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.options)

    @property
    def first(self) -> Any:
        """The value to use where any will do."""
        return self.options[0]

    @property
    def ends(self) -> tuple[Any, ...]:
        """All values: each must be allowed by the field."""
        return self.options

    @property
    def description(self) -> str:
        """The values, so that it can follow `must be`."""
        return f"one of {', '.join(map(shown, self.options))}"

    def values(self) -> tuple[Any, ...]:
        """Every value, in order."""
        return self.options

    def canonical(self, value: Any) -> Any:
        """The value as it is listed."""
        return next((option for option in self.options if same(option, value)), value)

    def contains(self, value: Any) -> bool:
        """Whether the value is listed."""
        return among(value, self.options)

    def draw(self, source: random.Random) -> Any:
        """One value at random."""
        return source.choice(self.options)


Domain = Float | Int | Choice
