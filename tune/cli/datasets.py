"""`imagetune datasets`."""

from __future__ import annotations

from tune.cli.options import Json
from tune.cli.output import count, print_json, print_table, shape

EXAMPLES = ("imagetune datasets", "imagetune datasets --json")


def datasets(json: Json = False) -> None:
    """List the data sets."""
    from data import registry

    entries = [registry.get(name) for name in registry.names()]
    if json:
        rows = [
            {
                "name": entry.name,
                "summary": entry.summary,
                "input_shape": entry.input_shape,
                "classes": len(entry.classes) if entry.classes else None,
                "train_size": entry.train_size,
                "test_size": entry.test_size,
            }
            for entry in entries
        ]
        print_json({"datasets": rows})
        return
    columns = {"name": "left", "image": "left", "classes": "right", "train": "right", "test": "right", "": "left"}
    print_table(
        columns,
        (
            (
                entry.name,
                shape(entry.input_shape),
                count(len(entry.classes) if entry.classes else None),
                count(entry.train_size),
                count(entry.test_size),
                entry.summary,
            )
            for entry in entries
        ),
    )
