"""Figures of a run's training: metrics by epoch, and the learning rate by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

import models
from tune.files import write_whole
from tune.record.folder import RunFolder
from tune.record.tables import read_parquet
from tune.runs.info import RunInfo, read_run
from tune.spec import Experiment
from tune.spec.metric import METRICS, EpochMetrics, Objective
from tune.training import best_of, bound_of_minimized, learning_rates, steps_per_epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_curves(folder: RunFolder, say: Callable[[str], None]) -> None:
    """Draw `curves.png` and `learning_rate.png` from the files of a run, unless they are up to date.

    A run without a finished epoch has none. Whatever fails is said: no figure is worth a training. An interrupted
    training does not draw, since the process has only seconds to end; its evaluation does.

    Args:
        folder: The run's.
        say: Called with a line about what could not be drawn.
    """
    drawn = {"curves": _curves, "learning_rate": _learning_rate}
    paths = {name: folder.figures / f"{name}.png" for name in drawn}
    try:
        if not folder.epochs_table.is_file() or all(_is_newer(path, folder.epochs_table) for path in paths.values()):
            return
        experiment, info = read_run(folder)
        table = read_parquet(folder.epochs_table)
        for name, draw in drawn.items():
            write_whole(paths[name], draw(folder, experiment, info, table))
    except Exception as error:  # also whatever happens in a drawing library
        say(f"could not draw the curves of {folder.path} ({type(error).__name__}: {error})")


def comparable(table: pd.DataFrame, experiment: Experiment, info: RunInfo) -> pd.DataFrame:
    """The epochs of a run with the training loss on the scale of the validation loss, to be drawn in one chart.

    A VAE minimizes `reconstruction + beta * kl`, and reports the negative bound of validation images.
    """
    if models.get(experiment.model.name).task != "reconstruction":
        return table
    loss = bound_of_minimized(table["train_loss"], experiment.training.beta, math.prod(info.input_shape))
    return table.assign(train_loss=loss)


def _is_newer(path: Path, than: Path) -> bool:
    return path.is_file() and path.stat().st_mtime_ns >= than.stat().st_mtime_ns


def _history(table: pd.DataFrame) -> list[EpochMetrics]:
    """The epochs; a metric that no epoch has, as those of validation without validation images, is left out."""
    known = table.dropna(axis="columns", how="all")
    return [
        EpochMetrics.from_dict({str(name): value for name, value in row.items()}) for row in known.to_dict("records")
    ]


def _curves(folder: RunFolder, experiment: Experiment, info: RunInfo, table: pd.DataFrame) -> bytes:
    """A panel per metric: training solid, validation dashed, and a line at the best epoch."""
    from tune.drawing import INK, new_figure, png

    history = _history(comparable(table, experiment, info))
    kinds = dict.fromkeys(METRICS[name].kind for metrics in history for name in metrics.values)
    best = best_of(history, Objective(METRICS[info.metric]))
    figure = new_figure(0.4 + 4.8 * len(kinds), 4)
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False).flat, kinds, strict=True):
        _draw_metric(axes, kind, history)
        if best is not None:
            axes.axvline(best.epoch, color=INK, linewidth=1, linestyle=":", label=f"best epoch: {best.epoch}")
        axes.legend(frameon=False, fontsize=9)
    epochs = f"epoch {len(history)} of {min(info.epochs or math.inf, experiment.training.epochs)}"
    title = f"{folder.name}: {experiment.model.name} on {experiment.data.label}, {epochs}"
    figure.suptitle(title, fontsize=11, parse_math=False)
    return png(figure)


def _draw_metric(axes: Axes, kind: str, history: Sequence[EpochMetrics]) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    from tune.drawing import BLUE, ORANGE, quiet

    epochs = [metrics.epoch for metrics in history]
    marker = "o" if len(history) <= 40 else ""
    for part, label, colour, line in (("train", "training", BLUE, "-"), ("val", "validation", ORANGE, "--")):
        values = [metrics.values.get(f"{part}_{kind}", math.nan) for metrics in history]
        if not all(map(math.isnan, values)):
            axes.plot(epochs, values, line, marker=marker, markersize=3.5, color=colour, label=label)
    metric = METRICS[f"train_{kind}"]
    axes.set(xlabel="epoch", ylabel=metric.words + (f" ({metric.unit})" if metric.unit not in ("", "%") else ""))
    axes.set_xlim(0.5, len(history) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if metric.unit == "%":
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    quiet(axes)


def _learning_rate(folder: RunFolder, experiment: Experiment, info: RunInfo, table: pd.DataFrame) -> bytes:
    """The learning rate of every step; of runs of earlier versions, that of every epoch's last step."""
    from matplotlib.ticker import MaxNLocator

    from tune.drawing import BLUE, new_figure, png, quiet

    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    history = _history(table)
    if info.train_images is None:
        axes.plot(table["epoch"], table["lr"], "o-", markersize=3.5, color=BLUE)
        axes.set(xlabel="epoch (of its last optimizer step)")
    else:
        steps = steps_per_epoch(info.train_images, experiment.training.batch_size)
        rates = learning_rates(experiment.training, steps, [metrics.values for metrics in history])
        axes.plot(range(1, len(rates) + 1), rates, "." if len(rates) <= 40 else "-", color=BLUE)
        axes.set(xlabel=f"optimizer step ({steps:,} per epoch)")
        axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(ylabel="learning rate")
    axes.set_ylim(bottom=0)
    spec = experiment.training
    title = f"{folder.name}: learning rate ({spec.optimizer.name}, {spec.schedule.name} schedule)"
    axes.set_title(title, fontsize=11, parse_math=False)
    quiet(axes)
    return png(figure)
