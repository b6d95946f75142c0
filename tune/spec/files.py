"""Reading and writing YAML 1.2: `1e-4` is a number, `no` is text, and a duplicate key is an error."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.scanner import Scanner

from data.untrusted import parse_json
from search_spaces import shipped
from tune.spec.errors import Problem, SpecError, nearest, shown

MAX_VALUES = 100_000
"""Values that a text may stand for: a few aliases of aliases would otherwise fill the memory."""
MAX_DEPTH = 50
MAX_BYTES = 2**21
"""Of a file: the parser needs half a minute for it."""


class _Constructor(SafeConstructor):
    """Plain values only: YAML 1.2 has no dates, so `2026-01-31` is text."""

    def construct_document(self, node: Any) -> Any:
        """The value of a document, of which no part is shared: changing what an alias stands for changes one place."""
        _count(node, {}, MAX_DEPTH)
        return _unshared(super().construct_document(node))


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda constructor, node: node.value)


def _count(node: Node, known: dict[Node, int], depth: int) -> int:
    """How many values a node stands for, those of its aliases included.

    Raises:
        YAMLError: it is too many, nested too deeply, or a node contains itself.
    """
    if depth == 0:  # the depth of a node that contains itself has no end
        raise YAMLError(f"nested more than {MAX_DEPTH} levels deep, or a value that contains itself")
    if node not in known:
        inner = node.value if isinstance(node, CollectionNode) else []
        parts = [part for pair in inner for part in pair] if isinstance(node, MappingNode) else inner
        known[node] = 1 + sum(_count(part, known, depth - 1) for part in parts)
        if known[node] > MAX_VALUES:
            raise YAMLError(f"more than {MAX_VALUES:,} values; use fewer aliases")
    return known[node]


def _unshared(value: Any) -> Any:
    if isinstance(value, dict):
        return {_unshared(key): _unshared(inner) for key, inner in value.items()}
    if isinstance(value, int):
        str(value)  # raises ValueError for a number too long to be shown, which only hexadecimals can be here
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


class _NoComments(Scanner):
    """For a value of the command line, from which nothing may be dropped in silence."""

    def scan_to_next_token(self) -> Any:
        start = self.reader.pointer
        super().scan_to_next_token()
        if "#" in self.reader.buffer[start : self.reader.pointer]:
            raise YAMLError("what follows ' #' would be dropped as a comment; put the text in quotes to keep it")


class _Representer(SafeRepresenter):
    """Quotes what ruamel would write as a line break: NEL, which YAML 1.1 had as one."""

    def represent_str(self, data: str) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if "\x85" in data else None)


_Representer.add_representer(str, _Representer.represent_str)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)  # the pure one: libyaml's parser is YAML 1.1
    yaml.Constructor, yaml.Representer = _Constructor, _Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # keep the order of the fields
    yaml.width = 120
    return yaml


def parse_yaml(text: str, file: str, field: str = "", *, comments: bool = True) -> Any:
    """The value of a YAML text.

    Raises:
        SpecError: not YAML, a key given twice, far too large, or a comment where none is allowed.
    """
    yaml = _yaml()
    if not comments:
        yaml.Scanner = _NoComments
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        reason = f"cannot be read as YAML: {error.problem or error.context}{where}"
    except (YAMLError, ValueError) as error:
        reason = f"cannot be read as YAML: {str(error).partition(chr(10))[0]}"
    except (LookupError, TypeError, AttributeError):  # which ruamel raises at such keys and values
        reason = "cannot be read as YAML: a key is not text, or a value does not match its tag"
    except RecursionError:
        reason = f"cannot be read as YAML: nested more than {MAX_DEPTH} levels deep"
    raise SpecError([Problem(field, reason, file)])


def dump_yaml(tree: Any) -> str:
    """A tree of plain values as YAML text."""
    stream = io.StringIO()
    _yaml().dump(tree, stream)
    return stream.getvalue()


def value_text(value: Any) -> str:
    """A field's value on one line, as in YAML: `{crop: {padding: 4}, flip: {p: 0.5}}`.

    Lists and mappings may be given as JSON text, as they are in tables.
    """
    if isinstance(value, str) and value.startswith(("{", "[")):
        with contextlib.suppress(ValueError):  # text that only looks like JSON
            value = parse_json(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if not isinstance(value, list | dict):
        return str(value)
    yaml, stream = _yaml(), io.StringIO()
    yaml.default_flow_style, yaml.width = True, 1_000_000
    yaml.dump(value, stream)
    return stream.getvalue().strip()


# -- a file for people

_WIDTH = 110  # of a line of the file; longer ones have their comment above
_SECTIONS = ("experiment", "experiment.data", "experiment.training", "space", "search")


def commented_yaml(
    tree: Mapping[str, Any], comments: Mapping[str, str] | None = None, prefix: str = ""
) -> Iterator[str]:
    """The lines of a search: sections as blocks, everything else on one line.

    Args:
        tree: The sections of a search, as plain values.
        comments: By dotted name.
        prefix: Of the names in `tree`, with a dot at its end.
    """
    comments = comments or {}
    pad = "  " * (sum(prefix.startswith(f"{section}.") for section in _SECTIONS))
    for key, value in tree.items():
        name = f"{prefix}{key}"
        line = f"{pad}{key}:" if name in _SECTIONS else f"{pad}{key}: {_on_one_line(value)}"
        comment = f"  # {comments[name]}" if name in comments else ""
        if len(line + comment) > _WIDTH:
            yield f"{pad}{comment.strip()}"
            comment = ""
        yield line + comment
        if name in _SECTIONS:
            yield from commented_yaml(value, comments, f"{name}.")


def _on_one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_on_one_line(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_on_one_line, value))}]"
    return value_text([value])[1:-1]  # within a list, text is quoted where it must be


# -- reading files


def find(name_or_path: str) -> Path:
    """The file of a shipped name or a path. A file with the name of a shipped one can be given as `./name`.

    Raises:
        SpecError: there is no such file.
    """
    if (found := shipped().get(name_or_path)) is not None:
        return found
    if os.path.isfile(name_or_path):  # unlike Path.is_file, it does not raise for a name that is too long
        return Path(name_or_path)
    if os.path.isdir(name_or_path):
        message = f"{shown(name_or_path)} is a folder; give a YAML file, or one of {', '.join(sorted(shipped()))}"
    elif name_or_path.endswith((".yaml", ".yml")):
        message = f"{shown(name_or_path)} does not exist; give a YAML file, or a name that `imagetune spaces` lists"
    else:
        message = f"{shown(name_or_path)} is neither a file nor a shipped space; {nearest(name_or_path, shipped())}"
    raise SpecError([Problem("", message)])


def read_tree(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        SpecError: the file cannot be read, is not YAML, or does not contain a mapping.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            message = f"cannot be read: it has {size:,} bytes, more than {MAX_BYTES:,}"
            raise SpecError([Problem("", message, str(path))])
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SpecError([Problem("", f"cannot be read: {error.strerror}", str(path))]) from None
    except UnicodeDecodeError as error:
        raise SpecError([Problem("", f"cannot be read: byte {error.start + 1} is not UTF-8 text", str(path))]) from None
    tree = parse_yaml(text, str(path))
    if not isinstance(tree, dict):
        found = "the file is empty" if tree is None else f"got {shown(tree)}"
        raise SpecError([Problem("", f"must be a mapping of fields to values ({found})", str(path))])
    if odd := [key for key in tree if not isinstance(key, str)]:
        raise SpecError([Problem(shown(key), "must be text: it is the name of a field", str(path)) for key in odd])
    return tree
