"""JSON documents."""

from __future__ import annotations

import json

import pytest

from tune.json_output import json_text


@pytest.mark.parametrize("value", [{}, [], {"a": []}, {"rows": [{"x": 1, "y": [1, 2]}, {}]}, [[1, [2]], "é"], 3, None])
def test_it_is_the_same_value_again(value: object) -> None:
    assert json.loads(json_text(value)) == value


def test_what_is_no_finite_number_is_null() -> None:
    assert json.loads(json_text({"a": float("nan"), "b": [float("inf"), (1, 2.5)]})) == {
        "a": None,
        "b": [None, [1, 2.5]],
    }


@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_text_can_be_encoded(ascii_only: bool) -> None:
    value = {"caf\udce9": ["é", "日本", "😀", 'a\\b"c\n']}
    text = json_text(value, ascii_only=ascii_only)
    assert json.loads(text.encode("ascii" if ascii_only else "utf-8")) == value
