"""`imagetune prepare`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.words import counted
from tune.cli.options import DataDir, Json, Overrides
from tune.cli.output import print_json, print_table, say, shape

if TYPE_CHECKING:
    import data

EXAMPLES = (
    "imagetune prepare digits",
    "imagetune prepare cifar10 --data-dir /path/to/data",
    "imagetune prepare folder data.path=/path/to/images data.image_size=64",
)


def prepare(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A name from `imagetune datasets`.")],
    overrides: Overrides = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Download a data set if needed, verify it, and print its sizes, classes, mean and standard deviation."""
    import data
    from tune.spec import data_root

    source = _source(dataset, overrides or [])
    statistics = data.prepare(source, data_root(data_dir), say=say)
    if json:
        print_json({"name": dataset, **dataclasses.asdict(statistics)})
    else:
        _show(dataset, statistics)


def _source(dataset: str, overrides: list[str]) -> data.Source:
    """The images: the data set's name and the `data.` fields from the command line.

    Raises:
        SpecError: Everything that is wrong with them.
    """
    from pydantic import ValidationError

    from data import registry
    from tune.spec import DataSpec, Problem, SpecError
    from tune.spec.checks.pydantic_errors import translate
    from tune.spec.reading.overrides import parse_overrides

    registry.get(dataset)
    values, problems = parse_overrides(overrides)
    problems += [
        Problem(name, "is not a data field; use fields such as data.path and data.image_size")
        for name in values
        if not name.startswith("data.")
    ]
    tree: dict[str, Any] = {"name": dataset} | {
        name.removeprefix("data."): value for name, value in values.items() if name.startswith("data.")
    }
    try:
        spec = DataSpec.model_validate(tree)
    except ValidationError as error:
        raise SpecError([*problems, *translate(error, DataSpec, "data", "override")]) from None
    if problems:
        raise SpecError(problems)
    return spec.source


def _show(dataset: str, statistics: data.Statistics) -> None:
    print(f"{dataset}: images {shape(statistics.input_shape)}, {counted(len(statistics.classes), 'class')}")
    print(f"train {counted(statistics.train_size, 'image')}, test {counted(statistics.test_size, 'image')}")
    if statistics.skipped:
        print(f"skipped {counted(statistics.skipped, 'unreadable image')}")
    for name in ("mean", "std"):
        print(f"{name:<4} " + " ".join(f"{value:.4f}" for value in getattr(statistics, name)))
    rows = zip(statistics.classes, statistics.train_counts, statistics.test_counts, strict=True)
    print_table(
        {"class": "left", "train": "right", "test": "right"},
        ((name, f"{train:,}", f"{test:,}") for name, train, test in rows),
    )
