"""YAML 1.2 in and out, and files that are none."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import shipped
from tune.spec import SpecError, load_experiment, load_search
from tune.spec.files import dump_yaml, find, parse_yaml, read_tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1", 1),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000_000", 1_000_000),
        ("1:30", "1:30"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("# only a comment", None),
        ("'1'", "1"),
        ("2026-01-31", "2026-01-31"),
        ("2026-13-45", "2026-13-45"),
        ("[flip, crop]", ["flip", "crop"]),
        ("{crop: {padding: 2}}", {"crop": {"padding": 2}}),
        ("größe 😀", "größe 😀"),
        ("0.1.2", "0.1.2"),
        ("a=b", "a=b"),
    ],
)
def test_values_are_read_as_yaml_1_2(text: str, value: Any) -> None:
    found = parse_yaml(text, "override")
    assert found == value
    assert type(found) is type(value)


def test_numbers_without_end() -> None:
    assert parse_yaml("[.inf, -.inf]", "f") == [math.inf, -math.inf]
    assert math.isnan(parse_yaml(".nan", "f"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2", "cannot be read as YAML: expected ',' or ']', but got '<stream end>' (line 1, column 9)"),
        ("a: 1\nb: c: d", "cannot be read as YAML: mapping values are not allowed here (line 2, column 5)"),
        ("a: 1\n\ta: 2", "cannot be read as YAML: "),
        (
            "a: 1\nb: 2\na: 3",
            'cannot be read as YAML: found duplicate key "a" with value "3" (original value: "1") (line 3, column 1)',
        ),
        ("a: {b: 1, b: 1}", 'cannot be read as YAML: found duplicate key "b"'),
        ("a: 1\n---\nb: 2", "cannot be read as YAML: but found another document (line 2, column 1)"),
        ("a: *b", "cannot be read as YAML: found undefined alias 'b' (line 1, column 4)"),
        ("a: &a [*a]", "cannot be read as YAML: nested more than 50 levels deep, or a value that contains itself"),
        ("a: &a {b: *a}", "cannot be read as YAML: nested more than 50"),
        ("!!python/object:os.system 1", "cannot be read as YAML: could not determine a constructor for the tag"),
        ("!!bool 3", "cannot be read as YAML: a key is not text, or a value does not match its tag"),
        ("!!int x", "cannot be read as YAML: invalid literal for int()"),
        ("{[a, {}]: 1}", "cannot be read as YAML: a key is not text, or a value does not match its tag"),
        ("a\x00b", "cannot be read as YAML: unacceptable character #x0000"),
        ("@here", "cannot be read as YAML: found character '@' that cannot start any token (line 1, column 1)"),
        ("[" * 3000, "cannot be read as YAML: nested more than 50 levels deep"),
        ("[" * 51 + "]" * 51, "cannot be read as YAML: nested more than 50 levels deep"),
        ("9" * 5000, "cannot be read as YAML: Exceeds the limit (4300 digits)"),
        ("0x" + "f" * 5000, "cannot be read as YAML: Exceeds the limit (4300 digits)"),
        ('{"a\\nb": 1, "a\\nb": 2}', r'cannot be read as YAML: found duplicate key "a\nb" with value "2"'),
    ],
)
def test_what_is_not_yaml_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(SpecError, match="^FILE: field: " + re.escape(message)) as refusal:
        parse_yaml(text, "FILE", "field")
    assert len(str(refusal.value).splitlines()) == 1


def bomb(*links: str) -> str:
    """Each line stands for nine times what the line before stands for."""
    lines = ["a0: &a0 {x: 1}"]
    for n in range(1, 12):
        link = links[n % len(links)].replace("*", ", ".join([f"*a{n - 1}"] * 9))
        lines.append(f"a{n}: &a{n} {link}")
    return "\n".join(lines)


@pytest.mark.parametrize("links", [("[*]",), ("{<<: [*]}", "{<<: [*], y: 1}"), ("[*]", "{k: [*]}")])
def test_aliases_of_aliases_are_refused_before_they_fill_the_memory(tmp_path: Path, links: tuple[str, ...]) -> None:
    (tmp_path / "bomb.yaml").write_text(bomb(*links))
    started = time.perf_counter()
    for load in (load_experiment, load_search):
        with pytest.raises(SpecError, match=r"bomb\.yaml: cannot be read as YAML: more than 100,000 values"):
            load(str(tmp_path / "bomb.yaml"))
    assert time.perf_counter() - started < 2
    with pytest.raises(SpecError, match="more than 100,000 values"):
        parse_yaml(
            "[&a [1], " + ", ".join(f"&{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 20)}]" for n in range(5)) + "]",
            "f",
        )


def test_aliases_in_use_are_read() -> None:
    assert parse_yaml("a: &a {k: 1}\nb: [*a, *a]\nc: {<<: *a, l: 2}", "f")["c"] == {"k": 1, "l": 2}
    assert parse_yaml("[" * 50 + "]" * 50, "f")


@given(st.text())
@settings(deadline=None)
def test_any_text_is_yaml_or_refused_in_one_printable_line(text: str) -> None:
    line = ""
    try:
        parse_yaml(text, "FILE")
    except SpecError as refusal:
        line = str(refusal)
    assert line.isprintable()


# Surrogates are not text.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


@given(trees)
@settings(deadline=None)
def test_written_and_read_again(tree: Any) -> None:
    found = parse_yaml(dump_yaml({"tree": tree}), "f")["tree"]
    assert found == tree
    assert repr(found) == repr(tree)  # 1 is not True, nor 1.0; and the order is kept


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be a mapping of fields to values (the file is empty)"),
        (b"# nothing\n", "must be a mapping of fields to values (the file is empty)"),
        (b"- a\n- b\n", 'must be a mapping of fields to values (got ["a", "b"])'),
        (b"1: 2\nseed: 3\n", "1: must be text"),
        (b"[a]: 2\n", '["a"]: must be text'),
        (
            b"data: {name: digits\n",
            "cannot be read as YAML: expected ',' or '}', but got '<stream end>' (line 2, column 1)",
        ),
        ("data: größe".encode("latin-1"), "cannot be read: byte 9 is not UTF-8 text"),
        ("data: 1".encode("utf-16"), "cannot be read: byte 1 is not UTF-8 text"),
    ],
)
def test_files_that_are_no_specification(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "made.yaml"
    path.write_bytes(content)
    for load in (load_experiment, load_search):
        with pytest.raises(SpecError, match=rf"^{re.escape(str(path))}: {re.escape(message)}"):
            load(str(path))


def test_a_byte_order_mark_and_other_line_ends_are_read_over(tmp_path: Path) -> None:
    path = tmp_path / "made.yaml"
    path.write_bytes("\ufeffdata:\r\n  name: digits\r\nmodel: {name: mnist_mlr}\r\n".encode())
    assert load_experiment(str(path)).data.name == "digits"


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "made.yaml"
    path.write_text("seed: 1")

    def refuse(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(SpecError, match=r"made\.yaml: cannot be read: Permission denied$"):
        read_tree(path)


def test_files_are_found_by_shipped_name_or_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("digits") == shipped()["digits"]
    Path("digits").mkdir()
    assert find("digits") == shipped()["digits"]
    Path("mine").write_text("seed: 1")
    assert find("mine") == Path("mine")
    Path("mnist_simple").write_text("seed: 1")
    assert find("mnist_simple") == shipped()["mnist_simple"]
    assert find("./mnist_simple") == Path("./mnist_simple")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "'digit' is neither a file nor a shipped space; did you mean digits?"),
        ("", "'' is neither a file nor a shipped space"),
        ("no/such.yaml", "'no/such.yaml' does not exist"),
        ("no/such.yml", "'no/such.yml' does not exist"),
        ("folder", "'folder' is a folder; give a YAML file"),
        ("folder.yaml", "'folder.yaml' is a folder; give a YAML file"),
        ("a\nb", r"'a\nb' is neither"),
        ("a\x00b", r"'a\x00b' is neither"),
        ("x" * 5000, "xxx... is neither"),
        ("\udcff", r"'\xff' is neither"),
    ],
)
def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("folder.yaml").mkdir()
    with pytest.raises(SpecError, match=re.escape(message)) as refusal:
        load_search(name)
    assert len(str(refusal.value).splitlines()) == 1
