"""The published rows measured here: by the same training and evaluation as everybody's, into a table that is kept.

Tables of another kind bring their own measurement; `merged_table` asks only for a name per line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune.record.layout import RunFolder
from tune.results import merged_table
from tune.results.evaluate import evaluate
from tune.results.merged_table import Line
from tune.results.published import ROWS, PublishedRow
from tune.results.retrain import run_or_take, spread
from tune.results.run import RunPlan, RunResult, Screen
from tune.results.run_info import read_run
from tune.spec import Experiment, load_experiment
from tune.training import End

MEASURED, NOT_RUN, DIVERGED = "measured", "not run", "diverged"
KEY = "row"
TEXT = (KEY, "status", "verdict", "caveat", "best_epochs", "hardware", "python", "torch", "commit", "date")
_FIGURES = ("accuracy", "macro_f1", "loss", "val_accuracy", "val_loss")


@dataclass(frozen=True)
class Measured:
    """One seed of a row: its training, and what the test images said of it (None where it diverged)."""

    result: RunResult
    scores: Mapping[str, Any] | None


def check_rows(rows: Iterable[PublishedRow], root: Path) -> dict[str, Experiment]:
    """The experiment of each row, by the row's name.

    Raises:
        SpecError: one of them is impossible.
    """
    return {row.name: load_experiment(row.experiment, root=root) for row in rows}


def measure(row: PublishedRow, experiment: Experiment, seeds: int, place: Path, root: Path, screen: Screen) -> Line:
    """Train and evaluate a row on its experiment's seed, seed + 1, ...; its line of the table.

    Runs that are finished are taken as they are, interrupted ones go on; finished ones of further seeds count too.

    Args:
        row: What was published.
        experiment: Its experiment.
        seeds: How many runs at least.
        place: The folder that holds the run folders `ROW-seedN`.
        root: The data directory, as torchvision's `root`.
        screen: Told of everything.

    Raises:
        UserError, WorkError, data.DataError, Interrupted: as `run` and `evaluate` do.
    """
    first = experiment.seed
    while (place / f"{row.name}-seed{first + seeds}" / "evaluation.json").is_file():
        seeds += 1
    runs = []
    for seed in range(first, first + seeds):
        folder = RunFolder(place / f"{row.name}-seed{seed}")
        plan = RunPlan(experiment.model_copy(update={"seed": seed}), folder)
        result = run_or_take(plan, root, screen)
        runs.append(Measured(result, _scores(result, root, screen)))
    return _line(row, _measured_cells(runs))


def _scores(result: RunResult, root: Path, screen: Screen) -> Mapping[str, Any] | None:
    """The figures on the test images, which are read once; None where the training diverged."""
    if result.end is End.DIVERGED:
        return None
    if not result.trained and result.folder.evaluation.is_file():
        try:
            scores: dict[str, Any] = json.loads(result.folder.evaluation.read_text(encoding="utf-8"))
            return scores
        except ValueError:
            screen.say(f"{result.folder.evaluation} is damaged: evaluated again")
    return evaluate(result.folder, "test", root, screen.say).scores


def _measured_cells(runs: Sequence[Measured]) -> Line:
    """What the runs of a row came to; epochs and seconds of training of all of them together."""
    sound = [one for one in runs if one.scores is not None]
    made = [read_run(one.result.folder) for one in runs]
    infos = [info for _, info in made]
    seconds = [sum(epoch.seconds for epoch in one.result.history) for one in runs]
    return {
        "status": MEASURED if sound else DIVERGED,
        **_means(sound),
        "best_epochs": "; ".join(str(one.result.best.epoch) for one in sound if one.result.best),
        "epochs": sum(len(one.result.history) for one in runs),
        "seconds": round(sum(seconds), 1),
        "parameters": runs[0].result.parameters,
        "n": len(sound),
        "diverged": len(runs) - len(sound),
        "test_images": sound[0].scores["n"] if sound and sound[0].scores else None,
        "threads": made[0][0].training.threads,
        "hardware": _joined(info.hardware for info in infos),
        "python": _joined(info.versions["python"] for info in infos),
        "torch": _joined(info.versions["torch"] for info in infos),
        "commit": _joined(info.commit for info in infos),
        "date": _joined(info.date for info in infos),
    }


def _means(sound: Sequence[Measured]) -> Line:
    """Mean and standard deviation over the runs: of the test images, and of the epoch that validation chose."""
    cells: Line = {}
    for name in _FIGURES:
        values = [value for one in sound if (value := _figure(one, name)) is not None]
        figures = spread(values) if values else {"mean": None, "std": None}
        cells |= {f"{name}_mean": figures["mean"], f"{name}_std": figures["std"]}
    return cells


def _figure(one: Measured, name: str) -> float | None:
    best = one.result.best
    found = best.values if best is not None and name.startswith("val_") else one.scores
    value = found.get(name) if found is not None else None
    return None if value is None else float(value)


def _joined(values: Iterable[str]) -> str:
    """Each different value once: runs of one row may have been made on two machines."""
    return "; ".join(dict.fromkeys(values))


def _line(row: PublishedRow, measured: Mapping[str, Any]) -> Line:
    """A line of the table: what was published, what was measured, and the one against the other."""
    figures = {f"published_{name}": getattr(row, name) for name in _FIGURES}
    published = {**figures, "noise": row.noise, "caveat": row.caveat and str(row.caveat), **comparison(row, measured)}
    return {KEY: row.name, "status": NOT_RUN, **published, **measured, **published}


def table(path: Path) -> dict[str, Line]:
    """Every published row with what a CSV file has measured of it, by name; the file's other lines too, if any.

    Raises:
        UserError: the file is not such a table.
    """
    known = merged_table.read_lines(path, KEY, TEXT)
    return {**known, **{name: _line(row, known.get(name, {})) for name, row in ROWS.items()}}


def record(path: Path, line: Line) -> None:
    """Put a row's line into a CSV file; the others, of whatever invocation, stay as they are.

    Raises:
        UserError: the file is not such a table.
        OSError: it cannot be written.
    """
    with merged_table.alone(path):
        merged_table.write_lines(path, {**table(path), line[KEY]: line})


def comparison(row: PublishedRow, line: Mapping[str, Any]) -> Line:
    """Ours minus the published accuracy, on the test images or else on the validation images, and what it means.

    `within` the row's noise, `above` it or `below`; both None where there is nothing to compare.
    """
    name = "accuracy" if row.accuracy is not None else "val_accuracy"
    ours, published = line.get(f"{name}_mean"), getattr(row, name)
    if ours is None or published is None:
        return {"difference": None, "verdict": None}
    difference = round(ours - published, 6)
    if abs(difference) <= row.noise:
        return {"difference": difference, "verdict": "within"}
    return {"difference": difference, "verdict": "above" if difference > 0 else "below"}
