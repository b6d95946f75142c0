"""`imagetune models`."""

from __future__ import annotations

from typing import Any

from tune.cli.options import Json
from tune.cli.output import count, print_json, print_table, shape

EXAMPLES = ("imagetune models", "imagetune models --json")


def models(json: Json = False) -> None:
    """List the models with their number of parameters (on the images they were published for)."""
    rows = [_row(name) for name in _registry().names()]
    if json:
        print_json({"models": rows})
        return
    columns = {"name": "left", "image": "left", "classes": "right", "parameters": "right", "": "left"}
    print_table(
        columns,
        (
            (row["name"], shape(row["input_shape"]), count(row["classes"]), count(row["parameters"]), row["summary"])
            for row in rows
        ),
    )


def _registry() -> Any:
    import models as registry  # the package: in this file `models` is the command

    return registry


def _row(name: str) -> dict[str, Any]:
    registry = _registry()
    entry = registry.get(name)
    cost = registry.cost_of(name, entry.native_input, entry.native_classes)
    return {
        "name": name,
        "summary": entry.summary,
        "task": entry.task,
        "input_shape": entry.native_input,
        "classes": entry.native_classes,
        "parameters": cost.parameters,
        "mult_adds": cost.mult_adds,
        "options": {option.name: option.default for option in registry.options(name).values()},
    }
