"""How numbers of things, lists and names are written."""

from __future__ import annotations

import pytest

from data.words import clipped, counted, is_text, listed, noun, numbered, printable, quoted, shortened


@pytest.mark.parametrize(
    ("number", "thing", "text"),
    [
        (0, "trial", "0 trials"),
        (1, "trial", "1 trial"),
        (2000, "test image", "2,000 test images"),
        (3, "class", "3 classes"),
        (2, "batch", "2 batches"),
        (10, "epoch", "10 epochs"),
        (2, "entry", "2 entries"),
        (2, "day", "2 days"),
    ],
)
def test_a_number_of_things(number: int, thing: str, text: str) -> None:
    assert counted(number, thing) == text


@pytest.mark.parametrize(("number", "text"), [(0, "no trials"), (1, "trial 0"), (2, "trials 0 to 1")])
def test_things_with_numbers(number: int, text: str) -> None:
    assert numbered(number, "trial") == text


def test_names_with_line_breaks_are_text() -> None:
    assert [is_text(name) for name in ("a b\n日本", "caf\udce9")] == [True, False]


def test_a_plural_of_its_own() -> None:
    assert [counted(n, "file or folder", "files or folders") for n in (1, 2)] == [
        "1 file or folder",
        "2 files or folders",
    ]
    assert [noun(n, "is", "are") for n in (0, 1, 2)] == ["are", "is", "are"]


@pytest.mark.parametrize(
    ("parts", "text"), [([], "none"), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_a_list(parts: list[str], text: str) -> None:
    assert listed(parts) == text


def test_many_names() -> None:
    assert shortened("abc") == "a, b, c"
    assert shortened("abcd") == "a, b, c and 1 more"
    assert shortened(map(str, range(1200)), 1) == "0 and 1,199 more"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a b", "'a b'"),
        (r"C:\new", r"'C:\new'"),
        ("it's", '"it\'s"'),
        ("日本 é 👨‍👩‍👧", "'日本 é 👨‍👩‍👧'"),
        ("caf\udce9", r"'caf\xe9'"),
        ("two\nlines\x1b[0m", r"'two\nlines\x1b[0m'"),
        ("\ud800", r"'\ud800'"),
        ("", "''"),
    ],
)
def test_a_name_is_shown_as_it_was_typed(name: str, text: str) -> None:
    assert quoted(name) == text
    assert printable(name) in text
    text.encode()


def test_the_middle_of_long_names_is_left_out() -> None:
    assert clipped("golden retriever", 16) == "golden retriever"
    assert clipped("golden retriever 0052", 16) == "golden r…er 0052"
    assert clipped("日本語 文字 0408", 16) == "日本語 文字 0408"
    assert clipped("日本語 文字 0408", 11) == "日本… 0408"
    assert len(clipped("x" * 99, 7)) == 7
