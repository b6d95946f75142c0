"""How domains are written in YAML.

    training.optimizer.lr: {float: [1e-4, 1e-2], log: true}
    model.starting_channels: {int: [32, 48], step: 2}
    training.optimizer.name: {choice: [adam, sgd]}
    training.optimizer.momentum: {float: [0.8, 0.99], when: {training.optimizer.name: sgd}}

A field with `when` is searched only where the other fields named there, searched or fixed, have one of the values
listed. (For a field whose values are lists themselves, it is a list of lists.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.domains import Choice, Condition, Domain, Float, Int, among, exact, is_number
from search_spaces.errors import SpaceError, nearest, shown

_KINDS = {"float": ("log", "step", "when"), "int": ("log", "step", "when"), "choice": ("when",)}


def parse(raw: Any) -> Domain:
    """A domain from its YAML form.

    Raises:
        SpaceError: it is not a domain, or an invalid one.
    """
    if not isinstance(raw, Mapping):
        raise SpaceError(f"{shown(raw)} is not a domain; write a mapping with one of float, int, choice")
    kinds = [kind for kind in _KINDS if kind in raw]
    if len(kinds) != 1:
        found = " and ".join(kinds or map(_key, raw)) or "nothing"
        raise SpaceError(f"must have exactly one of float, int, choice (got {found})")
    kind = kinds[0]
    for key in raw:
        if key != kind and key not in _KINDS[kind]:
            raise SpaceError(
                f"{_key(key)}: unknown option of {kind}; {nearest(str(key), _KINDS[kind], 'valid options')}"
            )
    when = _parse_when(raw["when"]) if "when" in raw else ()
    if kind == "choice":
        return _parse_choice(raw["choice"], when)
    return _parse_range(kind, raw, when)


def write(domain: Domain) -> dict[str, Any]:
    """The YAML form of a domain, from which `parse` makes an equal one."""
    tree: dict[str, Any]
    if isinstance(domain, Choice):
        tree = {"choice": list(domain.options)}
    else:
        tree = {"int" if isinstance(domain, Int) else "float": [domain.low, domain.high]}
        if domain.log:
            tree["log"] = True
        elif domain.step is not None and not (isinstance(domain, Int) and domain.step == 1):
            tree["step"] = domain.step
    if domain.when:
        tree["when"] = {field: list(values) for field, values in domain.when}
    return tree


def _key(key: Any) -> str:
    return key if isinstance(key, str) else shown(key)


def _plain(value: Any) -> bool:
    """Whether a value can be stored in YAML, JSON and the record, and equals itself."""
    if isinstance(value, list):
        return all(map(_plain, value))
    if isinstance(value, Mapping):
        return all(isinstance(key, str) for key in value) and all(map(_plain, value.values()))
    return value is None or isinstance(value, bool | str) or is_number(value)


def _parse_when(raw: Any) -> Condition:
    if not isinstance(raw, Mapping) or not raw or not all(isinstance(field, str) for field in raw):
        raise SpaceError(f"when: must be a mapping of field: value or field: [values] (got {shown(raw)})")
    if any(value == [] for value in raw.values()):
        raise SpaceError(f"when: must list at least one value of each field (got {shown(raw)})")
    for value in raw.values():
        _check_plain("when", value)
    return tuple((field, tuple(value) if isinstance(value, list) else (value,)) for field, value in raw.items())


def _check_plain(where: str, value: Any) -> None:
    if not _plain(value):
        kinds = "text, finite numbers, true, false, null, or lists and mappings of these"
        raise SpaceError(f"{where}: values must be {kinds} (got {shown(value)})")


def _parse_choice(raw: Any, when: Condition) -> Choice:
    if not isinstance(raw, list) or not raw:
        raise SpaceError(f"choice: must be a list of at least one value (got {shown(raw)})")
    for index, value in enumerate(raw):
        _check_plain("choice", value)
        if among(value, tuple(raw[:index])):
            raise SpaceError(f"choice: {shown(value)} is listed twice; list each value once")
    return Choice(tuple(raw), when)


def _parse_range(kind: str, raw: Mapping[str, Any], when: Condition) -> Float | Int:
    bounds, log, step = raw[kind], raw.get("log", False), raw.get("step")
    whole = kind == "int"
    numbers = "whole numbers" if whole else "finite numbers"

    def fits(value: Any) -> bool:
        return is_number(value) and (not whole or isinstance(value, int))

    if not isinstance(bounds, list) or len(bounds) != 2 or not all(map(fits, bounds)):
        raise SpaceError(f"{kind}: must be a pair [low, high] of {numbers} (got {shown(bounds)})")
    low, high = bounds
    if low > high:
        raise SpaceError(f"{kind}: low must be at most high (got low {low}, high {high})")
    if not isinstance(log, bool):
        raise SpaceError(f"log: must be true or false (got {shown(log)})")
    if not is_number(float(high) - float(low)):
        raise SpaceError(f"{kind}: low and high must be less than 1.8e308 apart (got {shown(bounds)})")
    if log and low <= 0:
        raise SpaceError(f"{kind}: with log, low must be above 0 (got {low})")
    if step is not None:
        if log:
            raise SpaceError("log and step cannot be used together; remove one of them")
        if not fits(step) or step <= 0:
            raise SpaceError(f"step: must be one of the {numbers} above 0 (got {shown(step)})")
        _check_step(step, low, high)
    if whole:
        return Int(low, high, log, 1 if step is None else step, when)
    return Float(float(low), float(high), log, None if step is None else float(step), when)


def _check_step(step: float, low: float, high: float) -> None:
    count = (exact(high) - exact(low)) / exact(step)
    if count.denominator != 1:
        reachable = float(exact(low) + int(count) * exact(step))
        raise SpaceError(f"step: {step} does not divide the range {low} to {high}; use a high of {reachable:.12g}")
