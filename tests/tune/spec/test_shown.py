"""How the value of a field is shown: as one would write it in YAML, on one line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tune.spec.files import value_text

AUGMENT = {"rotation": {"degrees": 10, "interpolation": "bilinear"}, "crop": {"padding": 4}}
SHOWN = "{rotation: {degrees: 10, interpolation: bilinear}, crop: {padding: 4}}"
WRITTEN = st.text("abzÄ画09 _-/.", max_size=5)
TREES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | WRITTEN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WRITTEN, inner, max_size=3),
    max_leaves=12,
).filter(lambda tree: isinstance(tree, list | dict))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (AUGMENT, SHOWN),
        (json.dumps(AUGMENT), SHOWN),
        ([32, 64], "[32, 64]"),
        ("relu", "relu"),
        (0.1, "0.1"),
        (True, "true"),
        (None, "null"),
        ("{no json", "{no json"),
        ("[1", "[1"),
        ([], "[]"),
    ],
)
def test_a_value_as_it_is_written(value: Any, shown: str) -> None:
    assert value_text(value) == shown


@given(TREES)
def test_what_is_shown_reads_back_and_is_one_line(tree: Any) -> None:
    text = value_text(tree)
    assert YAML(typ="safe", pure=True).load(text) == tree
    assert "\n" not in text
