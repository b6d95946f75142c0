"""YAML 1.2 in and out: `1e-4` is a number, `no` a string, a key given twice an error."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from search_spaces import shipped
from tune.spec.errors import Problem, SpecError, nearest, shown


class _Constructor(SafeConstructor):
    """Values of plain types: YAML 1.2 has no dates, and `2026-01-31` is a text."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda constructor, node: node.value)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)  # the pure one: libyaml's parser is YAML 1.1
    yaml.Constructor = _Constructor
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # keep the order of fields
    yaml.width = 120
    return yaml


def parse_yaml(text: str, file: str, field: str = "") -> Any:
    """The value of a YAML text.

    Raises:
        SpecError: not YAML, or a key given twice; the problem names `file`, line and column.
    """
    try:
        value = _yaml().load(text)
        json.dumps(value, default=str, skipkeys=True)  # refuses a value that contains itself, by way of an alias
        return value
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        reason = f"not YAML: {error.problem or error.context}{where}"
    except (YAMLError, ValueError) as error:
        reason = f"not YAML: {str(error).partition(chr(10))[0]}"
    except (LookupError, TypeError, AttributeError):  # which ruamel raises at such keys and values
        reason = "not YAML: a key that is no text, or a value that is not what its tag says"
    except RecursionError:
        reason = "not readable: nested too deeply"
    raise SpecError([Problem(field, reason, file)])


def dump_yaml(tree: Any) -> str:
    """A tree of plain values as YAML text."""
    stream = io.StringIO()
    _yaml().dump(tree, stream)
    return stream.getvalue()


def value_text(value: Any) -> str:
    """A field's value in a line, as one would write it in YAML: `{crop: {padding: 4}, flip: {p: 0.5}}`.

    Lists and mappings may come as the JSON text that stands for them in tables.
    """
    if isinstance(value, str) and value.startswith(("{", "[")):
        with contextlib.suppress(json.JSONDecodeError):  # else a text that only looks like it
            value = json.loads(value)
    if not isinstance(value, list | dict):
        return str(value)
    yaml, stream = _yaml(), io.StringIO()
    yaml.default_flow_style, yaml.width = True, 1_000_000
    yaml.dump(value, stream)
    return stream.getvalue().strip()


def find(name_or_path: str) -> Path:
    """The file of a shipped name or a path. A file that is called like a shipped one is reached as `./name`.

    Raises:
        SpecError: there is neither.
    """
    if (found := shipped().get(name_or_path)) is not None:
        return found
    if os.path.isfile(name_or_path):  # which says no, where Path.is_file would raise, to a name too long to be one
        return Path(name_or_path)
    if os.path.isdir(name_or_path):
        message = f"{shown(name_or_path)} is a folder; legal: a YAML file, or one of {', '.join(sorted(shipped()))}"
    elif name_or_path.endswith((".yaml", ".yml")):
        message = f"{shown(name_or_path)} is not a file"
    else:
        message = f"{shown(name_or_path)} is neither a file nor shipped; {nearest(name_or_path, shipped())}"
    raise SpecError([Problem("", message)])


def read_tree(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        SpecError: the file cannot be read, is not YAML, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SpecError([Problem("", f"cannot be read: {error.strerror}", str(path))]) from None
    except UnicodeDecodeError as error:
        raise SpecError([Problem("", f"cannot be read: byte {error.start + 1} is not UTF-8 text", str(path))]) from None
    tree = parse_yaml(text, str(path))
    if not isinstance(tree, dict):
        found = "is empty" if tree is None else f"holds {shown(tree)}"
        raise SpecError([Problem("", f"{found}; legal: a mapping of names to values", str(path))])
    if odd := [key for key in tree if not isinstance(key, str)]:
        raise SpecError([Problem(shown(key), "is not a name; legal: text", str(path)) for key in odd])
    return tree
