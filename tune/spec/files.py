"""YAML 1.2 in and out: `1e-4` is a number, `no` a string, a key given twice an error."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from search_spaces import shipped
from tune.spec.errors import Problem, SpecError, nearest


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)  # the pure one: libyaml's parser is YAML 1.1
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
        return _yaml().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise SpecError([Problem(field, f"not YAML: {error.problem or error.context}{where}", file)]) from None
    except (YAMLError, ValueError) as error:
        raise SpecError([Problem(field, f"not YAML: {str(error).splitlines()[0]}", file)]) from None


def dump_yaml(tree: Any) -> str:
    """A tree of plain values as YAML text."""
    stream = io.StringIO()
    _yaml().dump(tree, stream)
    return stream.getvalue()


def find(name_or_path: str) -> Path:
    """The file of a shipped name or a path.

    Raises:
        SpecError: there is neither.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if path.is_file():
            return path
        raise SpecError([Problem("", f"{name_or_path!r} is not a file")])
    if (found := shipped().get(name_or_path)) is not None:
        return found
    raise SpecError(
        [Problem("", f"{name_or_path!r} is neither a file nor shipped; {nearest(name_or_path, shipped())}")]
    )


def read_tree(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        SpecError: the file cannot be read, is not YAML, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SpecError([Problem("", f"cannot be read: {reason}", str(path))]) from None
    tree = parse_yaml(text, str(path))
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise SpecError([Problem("", "is not a mapping of names to values", str(path))])
    return tree
