"""The trials and the epochs of a search as dataframes and parquet files, made from the record at any time."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from data.words import quoted
from tune.errors import UserError
from tune.files import write_whole
from tune.record.folder import SearchFolder
from tune.record.pareto import best_first, front_of, points_of, rank_of
from tune.record.status import Status
from tune.record.study import Record
from tune.record.trial import GPU, NODE, TrialRecord
from tune.spec.errors import nearest
from tune.spec.metric import FACTS, METRICS, Objective

COMMON = ("val_loss", "val_accuracy", "train_loss", "train_accuracy")  # columns of every table, whatever the task
LARGEST_FIRST = ("efficiency",)  # columns that are no metrics and in which large values are good
EPOCH_COLUMNS = ("trial", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds")


def trial_row(
    trial: TrialRecord,
    fields: Sequence[str],
    objective: Objective,
    checkpoint: str | None,
    *,
    front: int | None = None,
    seeds: int = 1,
) -> dict[str, Any]:
    """One row of the table of trials. Metrics are those of the best epoch; unknown values are None.

    With several objectives, `front` is the trial's non-dominated rank: 1 if no other trial dominates it. With several
    `seeds`, metrics are means over those that the trial has trained.
    """
    best, results = trial.best(objective), trial.results(objective)
    found = trial.result(objective) or {}
    values = {name: found[name] for name in (results[0] if results else {})}
    spread = spread_columns(objective) if seeds > 1 else {}
    parameters = trial.facts.get("parameters")
    accuracy = values.get("val_accuracy")
    return {
        "trial": trial.number,
        "status": str(trial.status),
        "reason": trial.reason,
        **({"front": front} if objective.several else {}),
        "best_epoch": best.epoch if best else None,
        **{name: _finite(values.get(name)) for name in (*COMMON, objective.metric.name)},
        **{name: _finite(value) for name, value in values.items() if name not in COMMON},
        **({"seeds": len(results)} if seeds > 1 else {}),
        **{column: _finite(trial.spread(objective, name)) for name, column in spread.items()},
        "epochs": len(trial.epochs),
        "seconds": trial.seconds,
        **{name: trial.facts.get(name) for name in FACTS},
        **({"latency_ms": trial.facts["latency_ms"]} if "latency_ms" in trial.facts else {}),
        "efficiency": 100 * accuracy / (parameters / 1000) if accuracy is not None and parameters else None,
        "checkpoint": checkpoint,
        "proposed": trial.proposed,
        NODE: trial.facts.get(NODE) or None,
        GPU: trial.facts.get(GPU) or None,
        **{f"config.{name}": _cell(trial.config.get(name)) for name in fields},
    }


def spread_columns(objective: Objective) -> dict[str, str]:
    """With several seeds: the column of each metric's standard deviation over them."""
    names = dict.fromkeys(("val_loss", "val_accuracy", *(one.name for one in objective.every if one.part != "model")))
    return {name: f"{name}_std" for name in names}


def trials_table(
    trials: Iterable[TrialRecord],
    fields: Sequence[str],
    objective: Objective,
    folder: SearchFolder,
    *,
    seeds: int = 1,
) -> pd.DataFrame:
    """One row per trial, by number."""
    trials = list(trials)
    fronts = rank_of(points_of(trials, objective)) if objective.several else {}

    def row(trial: TrialRecord, checkpoint: str | None) -> dict[str, Any]:
        return trial_row(trial, fields, objective, checkpoint, front=fronts.get(trial.number), seeds=seeds)

    rows = [row(trial, folder.kept(trial.number)) for trial in trials]
    columns = list(row(TrialRecord(0, {}, Status.WAITING), None))
    table = pd.DataFrame(rows, columns=list(dict.fromkeys([*columns, *(key for row in rows for key in row)])))
    whole = dict.fromkeys(("best_epoch", *FACTS, *(["front"] if objective.several else [])), "Int64")
    spread = spread_columns(objective).values() if seeds > 1 else ()
    real = dict.fromkeys((*COMMON, objective.metric.name, *spread, "efficiency", "seconds"), "Float64")
    counted = dict.fromkeys(("trial", "epochs", *(["seeds"] if seeds > 1 else [])), "int64")
    typed = table.astype({**counted, **whole, **real, NODE: "string", GPU: "string"})
    return typed.assign(**{name: _column([row[name] for row in rows]) for name in (f"config.{f}" for f in fields)})


def _column(cells: list[Any]) -> pd.Series[Any]:
    """Whole numbers stay whole where some trials have none; a mixture of texts and numbers becomes texts."""
    values = pd.Series(cells, dtype=object)
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in _TYPES:
        return values.astype(_TYPES[kind])
    return pd.Series(values.map(str, na_action="ignore").tolist())


_TYPES: dict[str, Any] = {
    "integer": "Int64",
    "floating": "Float64",
    "mixed-integer-float": "Float64",
    "boolean": "boolean",
}


def epochs_table(trials: Iterable[TrialRecord], *, seeds: int = 1) -> pd.DataFrame:
    """One row per epoch, by trial and epoch.

    With several `seeds`, after each trial's first seed those of the others: column `replicate` is 0, 1, ...
    """
    rows = [
        {"trial": trial.number, **({"replicate": replicate} if seeds > 1 else {}), **epoch.to_dict()}
        for trial in trials
        for replicate, run in enumerate((trial.epochs, *trial.replicates)[:seeds])
        for epoch in run
    ]
    whole = ["trial", *(["replicate"] if seeds > 1 else []), "epoch"]
    names = dict.fromkeys([*whole, *EPOCH_COLUMNS, *(key for row in rows for key in row)])
    table = pd.DataFrame(rows, columns=list(names))
    return table.astype({name: "int64" if name in whole else "float64" for name in table.columns})


def ranked(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The trials by a column, best first: a metric by its goal, efficiency from the top, any other from the bottom.

    Ties are in the order of the numbers; trials without a value come last.

    Raises:
        UserError: there is no such column.
    """
    if column not in table.columns:
        field = next((str(name) for name in table.columns if f"config.{name}".endswith(f".{column}")), "")
        raise UserError(f"--sort: there is no column {quoted(column)}; {nearest(column, table.columns, meant=field)}")
    largest = METRICS[column].goal == "max" if column in METRICS else column in LARGEST_FIRST
    return table.sort_values([column, "trial"], ascending=[not largest, True], na_position="last", kind="stable")


def front_first(table: pd.DataFrame, trials: Iterable[TrialRecord], objective: Objective) -> pd.DataFrame:
    """The trials by non-dominated rank, the front by its first objective; those that cannot be compared come last."""
    points = points_of(trials, objective)
    place = {number: place for place, number in enumerate(best_first(points))}
    first = {number: points[number] for number in front_of(points)}
    keys = [
        (number not in first, first.get(number, ()), place.get(number, len(place)), number) for number in table["trial"]
    ]
    return table.iloc[sorted(range(len(keys)), key=keys.__getitem__)]


def write_tables(folder: SearchFolder, trials: pd.DataFrame, epochs: pd.DataFrame) -> None:
    """Write both parquet files, each atomically."""
    write_whole(folder.trials_table, to_parquet(trials))
    write_whole(folder.epochs_table, to_parquet(epochs))


def write_all_tables(folder: SearchFolder, fields: Sequence[str], record: Record, *, seeds: int = 1) -> None:
    """Make both parquet files from the record."""
    trials = record.trials()
    table = trials_table(trials, fields, record.objective, folder, seeds=seeds)
    write_tables(folder, table, epochs_table(trials, seeds=seeds))


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A dataframe as rows of plain values; unknown values are None."""
    plain = table.astype(object)
    return [
        {str(key): value for key, value in row.items()} for row in plain.where(table.notna(), None).to_dict("records")
    ]


def to_parquet(table: pd.DataFrame) -> bytes:
    """A dataframe as the bytes of a parquet file."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    return stream.getvalue()


MAX_TABLE = 2**30
"""Bytes of a table that is read. Equal values take no room in a file, so that a small one may hold a huge table."""


def read_parquet(path: Path) -> pd.DataFrame:
    """The dataframe in a parquet file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or has more than `MAX_TABLE` bytes in memory.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        schema, facts = file.schema_arrow, file.metadata
        groups = [facts.row_group(group) for group in range(facts.num_row_groups)]
        columns = [group.column(number) for group in groups for number in range(group.num_columns)]
        _check_size(sum(max(8 * column.num_values, column.total_uncompressed_size) for column in columns))
        text = [field.name for field in schema if field.type in (pa.string(), pa.large_string())]
    table = parquet.read_table(path, read_dictionary=text)  # each text once
    chunks = [chunk for name in text for chunk in table[name].chunks]
    _check_size(sum(pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0 for chunk in chunks))
    frame: pd.DataFrame = table.cast(schema).to_pandas()
    return frame


def _check_size(size: int) -> None:
    if size > MAX_TABLE:
        raise ValueError(f"its table has {size:,} bytes, more than {MAX_TABLE:,}")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _cell(value: Any) -> Any:
    """A cell of a table: lists and mappings, for which there is no column type, as JSON."""
    return json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value
