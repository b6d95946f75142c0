"""Measure the published rows with the same training and evaluation as any run, and keep them in a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tune.evaluation.evaluate import evaluate
from tune.files import write_whole
from tune.record.folder import RunFolder
from tune.record.observer import Observer
from tune.reproduce import merged_table
from tune.reproduce.cells import made_with, means
from tune.reproduce.merged_table import Line
from tune.reproduce.published import ROWS, PublishedRow
from tune.runs.info import read_run
from tune.runs.plan import RunPlan, resolved
from tune.runs.retrain import run_or_resume
from tune.spec import Experiment, load_experiment
from tune.spec.base import Frozen
from tune.training import End

MEASURED, NOT_RUN, DIVERGED = "measured", "not run", "diverged"
KEY = "row"
TEXT = (KEY, "status", "verdict", "caveat", "best_epochs", "precision", "hardware", "python", "torch", "commit", "date")
_FIGURES = ("accuracy", "macro_f1", "loss", "val_accuracy", "val_loss")


class Measured(Frozen):
    """Results of one seed of a row, as in `reproduced.json` in its run folder.

    Attributes:
        diverged: Whether the training did; there are no scores then.
        epochs: Number of epochs trained.
        seconds: Of training.
        parameters: Of the model.
        best_epoch: The epoch chosen by validation.
        val_accuracy: Of that epoch.
        val_loss: Of that epoch.
        accuracy: On the test images, like the next two.
        macro_f1: Mean over classes.
        loss: Cross entropy.
        test_images: Their number.
    """

    diverged: bool
    epochs: int
    seconds: float
    parameters: int
    best_epoch: int | None = None
    val_accuracy: float | None = None
    val_loss: float | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    loss: float | None = None
    test_images: int | None = None


def _file(folder: RunFolder) -> Path:
    """Written last: if it exists, the run is finished and evaluated."""
    return folder.path / "reproduced.json"


def check_rows(rows: Iterable[PublishedRow], root: Path) -> dict[str, Experiment]:
    """The experiment of each row, by the row's name.

    Raises:
        SpecError: One of them is impossible.
    """
    return {row.name: load_experiment(row.experiment, _changes(row), root) for row in rows}


def _changes(row: PublishedRow) -> list[str]:
    return [f"training.precision={row.precision}"] if row.precision else []


def measure(row: PublishedRow, experiment: Experiment, seeds: int, place: Path, root: Path, observer: Observer) -> Line:
    """Train and evaluate a row on its experiment's seed, seed + 1, ...; its line of the table.

    Finished runs are reused, interrupted ones are resumed; finished runs of further seeds count too.

    Args:
        row: The published run.
        experiment: Its experiment.
        seeds: Number of runs, at least.
        place: The parent of the run folders `ROW-seedN`, or `ROW-PRECISION-seedN`.
        root: The data directory, as torchvision's `root`.
        observer: Notified of everything.

    Raises:
        UserError, WorkError, data.DataError, Interrupted: As `run` and `evaluate` do.
    """
    first = experiment.seed
    while _file(_folder(row, place, first + seeds)).is_file():
        seeds += 1
    runs = []
    for seed in range(first, first + seeds):
        plan = RunPlan(experiment.model_copy(update={"seed": seed}), _folder(row, place, seed))
        runs.append((plan.folder, _found(plan, observer) or _measured(plan, root, observer)))
    return _line(row, _measured_cells(runs))


def _folder(row: PublishedRow, place: Path, seed: int) -> RunFolder:
    mark = f"-{row.precision}" if row.precision else ""
    return RunFolder(place / f"{row.name}{mark}-seed{seed}")


def _found(plan: RunPlan, observer: Observer) -> Measured | None:
    """What an earlier call measured of the same experiment, even if its checkpoint can no longer be read."""
    path = _file(plan.folder)
    if not path.is_file():
        return None
    before, _ = read_run(plan.folder)
    if before != resolved(plan.experiment, before):
        return None  # `run` says what to do then
    try:
        found = Measured.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError:
        observer.say(f"{path} is damaged; evaluating again")
        return None
    observer.say(f"{plan.folder.name}: already finished; reusing it")
    return found


def _measured(plan: RunPlan, root: Path, observer: Observer) -> Measured:
    """Train or resume, and evaluate on the test images once."""
    result = run_or_resume(plan, root, observer)
    diverged = result.end is End.DIVERGED
    scores = {} if diverged else evaluate(result.folder, "test", root, observer.say).scores
    best = {} if result.best is None else {"best_epoch": result.best.epoch, **result.best.values}
    figures = {**best, **scores}
    found = Measured(
        diverged=diverged,
        epochs=len(result.history),
        seconds=sum(epoch.seconds for epoch in result.history),
        parameters=result.parameters,
        test_images=scores.get("n"),
        **{name: figures.get(name) for name in ("best_epoch", *_FIGURES)},
    )
    write_whole(_file(plan.folder), found.model_dump_json().encode())
    return found


def _measured_cells(runs: Sequence[tuple[RunFolder, Measured]]) -> Line:
    """The results of a row's runs; epochs and seconds are totals."""
    every = [one for _, one in runs]
    sound = [one for one in every if not one.diverged]
    made = [read_run(folder) for folder, _ in runs]
    return {
        "status": MEASURED if sound else DIVERGED,
        **means(sound, _FIGURES),
        "best_epochs": "; ".join(str(one.best_epoch) for one in sound) or None,
        "epochs": sum(one.epochs for one in every),
        "seconds": round(sum(one.seconds for one in every), 1),
        "parameters": every[0].parameters,
        "n": len(sound),
        "diverged": len(every) - len(sound),
        "test_images": sound[0].test_images if sound else None,
        "precision": made[0][0].training.precision,
        "threads": made[0][0].training.threads,
        **made_with([info for _, info in made]),
    }


def _line(row: PublishedRow, measured: Mapping[str, Any]) -> Line:
    """A line of the table: published figures, measured figures, and their comparison."""
    figures = {f"published_{name}": getattr(row, name) for name in _FIGURES}
    published = {**figures, "noise": row.noise, "caveat": row.caveat and str(row.caveat), **comparison(row, measured)}
    return {KEY: row.name, "status": NOT_RUN, **published, **measured, **published}


def table(path: Path) -> dict[str, Line]:
    """Every published row by name, with the results that a CSV file has; other lines of the file too.

    Raises:
        UserError: The file is not such a table.
    """
    known = merged_table.read_lines(path, KEY, TEXT)
    return {**known, **{name: _line(row, known.get(name, {})) for name, row in ROWS.items()}}


def record(path: Path, line: Line) -> None:
    """Put a row's line into a CSV file; other lines stay as they are.

    Raises:
        UserError: The file is not such a table.
        OSError: It cannot be written.
    """
    merged_table.put_line(path, line, KEY, table)


def comparison(row: PublishedRow, line: Mapping[str, Any]) -> Line:
    """Our accuracy minus the published one, on the test or else the validation images, and a verdict.

    The verdict is `within` the row's noise, `above` or `below`; both are None if there is nothing to compare.
    """
    name = "accuracy" if row.accuracy is not None else "val_accuracy"
    ours, published = line.get(f"{name}_mean"), getattr(row, name)
    if ours is None or published is None:
        return {"difference": None, "verdict": None}
    difference = round(ours - published, 6)
    if abs(difference) <= row.noise:
        return {"difference": difference, "verdict": "within"}
    return {"difference": difference, "verdict": "above" if difference > 0 else "below"}
