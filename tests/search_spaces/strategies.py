"""Domains and spaces as hypothesis draws them, in their YAML form."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from search_spaces import Space, parse, parse_space
from search_spaces.domains import same

FIXED = {"fixed.word": "here", "fixed.flag": True, "fixed.nothing": None}

scalars = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9).map(lambda x: round(x, 3)) | st.text(max_size=3)
)
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def choices(draw: st.DrawFn) -> dict[str, Any]:
    options: list[Any] = []
    for value in draw(st.lists(plain, min_size=1, max_size=4)):
        if not any(same(value, other) for other in options):
            options.append(value)
    return {"choice": options}


@st.composite
def whole_ranges(draw: st.DrawFn) -> dict[str, Any]:
    step, count = draw(st.integers(1, 5)), draw(st.integers(0, 5))
    if draw(st.booleans()):
        low = draw(st.integers(1, 1000))
        return {"int": [low, low + count], "log": True}
    low = draw(st.integers(-20, 20))
    return {"int": [low, low + step * count], "step": step}


@st.composite
def stepped(draw: st.DrawFn) -> dict[str, Any]:
    """Steps of decimals such as 0.1, which doubles do not hold exactly."""
    unit = Decimal(1).scaleb(draw(st.integers(-6, 3)))
    low, step, count = draw(st.integers(-50, 50)), draw(st.integers(1, 9)), draw(st.integers(0, 12))
    return {"float": [float(low * unit), float((low + step * count) * unit)], "step": float(step * unit)}


@st.composite
def continua(draw: st.DrawFn) -> dict[str, Any]:
    log = draw(st.booleans())
    low, high = sorted(draw(st.tuples(*[st.floats(1e-12 if log else -1e9, 1e9)] * 2)))
    assume(low < high)
    return {"float": [low, high], "log": log}


finite = choices() | whole_ranges() | stepped()
domains = finite | continua()


@st.composite
def spaces(draw: st.DrawFn, of: st.SearchStrategy[dict[str, Any]] = domains) -> Space:
    """Up to five fields, children written before or after the parents that their `when` names."""
    raw: dict[str, Any] = {}
    for index in range(draw(st.integers(1, 5))):
        domain = draw(of)
        conditions: dict[str, Any] = {}
        for parent in draw(st.lists(st.sampled_from([*raw, *FIXED]), max_size=2, unique=True)):
            if parent in raw and parse(raw[parent]).size is None:
                continue
            legal = parse(raw[parent]).values() if parent in raw else [FIXED[parent], "never"]
            conditions[parent] = draw(st.lists(st.sampled_from(legal), min_size=1, max_size=2))
        raw[f"field{index}"] = domain | ({"when": conditions} if conditions else {})
    order = draw(st.permutations(list(raw)))
    space, problems = parse_space({field: raw[field] for field in order}, FIXED)
    assert problems == []
    return space
