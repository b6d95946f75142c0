"""Domains: what one free field of an experiment may be.

As written in YAML:

    training.optimizer.lr: {float: [1e-4, 1e-2], log: true}
    model.starting_channels: {int: [32, 48], step: 2}
    training.optimizer.name: {choice: [adam, sgd]}
    training.optimizer.momentum: {float: [0.8, 0.99], when: {training.optimizer.name: sgd}}

Bounds are inclusive. A domain knows nothing of the sampler that draws from it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import SpaceError

SIGNIFICANT_DIGITS = 6  # of a drawn float: readable in a table, finer than any training can tell apart

Condition = tuple[tuple[str, tuple[Any, ...]], ...]
"""Pairs (dotted field, values): the domain is in play when every field has one of its values."""


def same(left: Any, right: Any) -> bool:
    """Whether two YAML values are equal, where `true` is not 1 (Python has True == 1) but 1 is 1.0."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def is_number(value: Any) -> bool:
    """Whether a YAML value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


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
        """How many values there are; None where they cannot be counted."""
        if self.low == self.high:
            return 1
        return None if self.step is None else round((self.high - self.low) / self.step) + 1

    @property
    def first(self) -> float:
        """A value that stands for the domain where any will do."""
        return self.low

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to try a field's own limits with."""
        return (self.low, self.high)

    def values(self) -> tuple[Any, ...]:
        """Every value, in order; only where `size` is known."""
        return tuple(self.canonical(self.low + index * (self.step or 0.0)) for index in range(self.size or 0))

    def canonical(self, value: Any) -> float:
        """The value rounded to its step or to six significant digits, so that equal configurations look equal."""
        if self.step is not None:
            value = self.low + round((value - self.low) / self.step) * self.step
        rounded = float(f"{value:.{12 if self.step else SIGNIFICANT_DIGITS}g}")
        return min(max(rounded, self.low), self.high)

    def contains(self, value: Any) -> bool:
        """Whether the value may be drawn."""
        if not is_number(value) or not self.low <= value <= self.high:
            return False
        return self.step is None or math.isclose(self.canonical(value), value, rel_tol=1e-9, abs_tol=1e-12)

    def draw(self, source: random.Random) -> float:
        """One value at random."""
        if (size := self.size) is not None:
            return self.canonical(self.low + source.randrange(size) * (self.step or 0.0))
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
        """A value that stands for the domain where any will do."""
        return self.low

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to try a field's own limits with."""
        return (self.low, self.high)

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
        if self.log:
            return round(math.exp(source.uniform(math.log(self.low), math.log(self.high))))
        return source.randrange(self.low, self.high + 1, self.step)


@dataclass(frozen=True)
class Choice:
    """One of the values listed: any YAML values, lists and mappings among them."""

    options: tuple[Any, ...]
    when: Condition = ()

    def __hash__(self) -> int:
        return hash((repr(self.options), self.when))

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.options)

    @property
    def first(self) -> Any:
        """A value that stands for the domain where any will do."""
        return self.options[0]

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to try a field's own limits with: all of them."""
        return self.options

    def values(self) -> tuple[Any, ...]:
        """Every value, in order."""
        return self.options

    def canonical(self, value: Any) -> Any:
        """The value as it is listed."""
        return next((option for option in self.options if same(option, value)), value)

    def contains(self, value: Any) -> bool:
        """Whether the value is listed."""
        return any(same(option, value) for option in self.options)

    def draw(self, source: random.Random) -> Any:
        """One value at random."""
        return source.choice(self.options)


Domain = Float | Int | Choice
_KINDS = {"float": {"log", "step", "when"}, "int": {"log", "step", "when"}, "choice": {"when"}}


def parse(raw: Any) -> Domain:
    """A domain from its YAML form.

    Raises:
        SpaceError: it is not a domain, or an impossible one; the text says what would be legal.
    """
    if not isinstance(raw, Mapping):
        raise SpaceError(f"{raw!r} is not a domain; legal: a mapping with one of float, int, choice")
    kinds = [kind for kind in _KINDS if kind in raw]
    if len(kinds) != 1:
        found = " and ".join(kinds) if kinds else ", ".join(map(str, raw)) or "nothing"
        raise SpaceError(f"has {found}; legal: exactly one of float, int, choice")
    kind = kinds[0]
    if unknown := [str(key) for key in raw if key != kind and key not in _KINDS[kind]]:
        raise SpaceError(f"unknown {', '.join(unknown)}; legal beside {kind}: {', '.join(sorted(_KINDS[kind]))}")
    when = _parse_when(raw.get("when"))
    if kind == "choice":
        return _parse_choice(raw["choice"], when)
    return _parse_range(kind, raw, when)


def _parse_when(raw: Any) -> Condition:
    if raw is None:
        return ()
    if not isinstance(raw, Mapping) or not raw:
        raise SpaceError(f"when: {raw!r} is not a condition; legal: a mapping of field: value, or field: [values]")
    return tuple((str(field), tuple(value) if isinstance(value, list) else (value,)) for field, value in raw.items())


def _parse_choice(raw: Any, when: Condition) -> Choice:
    if not isinstance(raw, list) or not raw:
        raise SpaceError(f"choice: {raw!r} is not a list of at least one value")
    for index, value in enumerate(raw):
        if any(same(value, earlier) for earlier in raw[:index]):
            raise SpaceError(f"choice: {value!r} is listed twice")
    return Choice(tuple(raw), when)


def _parse_range(kind: str, raw: Mapping[str, Any], when: Condition) -> Float | Int:
    bounds, log, step = raw[kind], raw.get("log", False), raw.get("step")
    whole = kind == "int"
    legal = "whole numbers" if whole else "numbers"

    def fits(value: Any) -> bool:
        return is_number(value) and (not whole or isinstance(value, int))

    if not isinstance(bounds, list) or len(bounds) != 2 or not all(fits(bound) for bound in bounds):
        raise SpaceError(f"{kind}: {bounds!r} is not a pair [low, high] of {legal}")
    low, high = bounds
    if low > high:
        raise SpaceError(f"{kind}: low {low} is above high {high}; legal: low <= high")
    if not isinstance(log, bool):
        raise SpaceError(f"log: {log!r} is not true or false")
    if log and low <= 0:
        raise SpaceError(f"{kind}: low {low} has no logarithm; legal with log: low > 0")
    if step is not None:
        if log:
            raise SpaceError("log and step exclude each other; legal: one of them")
        _check_step(step, low, high, fits(step) and step > 0)
    if whole:
        return Int(low, high, log, 1 if step is None else step, when)
    return Float(float(low), float(high), log, None if step is None else float(step), when)


def _check_step(step: Any, low: float, high: float, positive: bool) -> None:
    if not positive:
        raise SpaceError(f"step: {step!r} is not a positive number of the domain's kind")
    count = (high - low) / step
    if not math.isclose(count, round(count), abs_tol=1e-9):
        reachable = low + math.floor(count) * step
        raise SpaceError(f"step: {step} does not lead from {low} to {high}; legal: high {reachable:.12g}")
