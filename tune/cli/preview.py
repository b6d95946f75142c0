"""`imagetune preview`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.words import counted
from tune.cli.options import DataDir, Json, Overrides, complete_file
from tune.cli.output import print_json

if TYPE_CHECKING:
    from tune.search.preview.space import Preview, Spread
    from tune.spec import SearchSpec

EXAMPLES = ("imagetune preview digits", "imagetune preview digits search.trials=100 --json")
WIDTH = 80
_LABEL = 13  # columns of the labels


def preview(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE",
            help="The name of a shipped space (see `imagetune spaces`) or a YAML file.",
            autocompletion=complete_file,
        ),
    ],
    overrides: Overrides = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Show what a search would take before it is started: epochs, models, memory, disk and time on this machine.

    Looks at 1,000 configurations of the space, and trains a few batches of three models. Nothing is written.
    """
    from tune.search.pinned import pinned
    from tune.search.preview.space import preview as look
    from tune.spec import data_root, load_search

    root = data_root(data_dir)
    spec = pinned(load_search(space, overrides or (), root), root)
    with _progress() as told:
        found = look(spec, root, told)
    if json:
        print_json({"search": spec.name, **_document(found)})
    else:
        print("\n".join(_lines(spec, found)))


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("looking at configurations")
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _document(found: Preview) -> dict[str, Any]:
    return {
        "trials": found.trials,
        "workers": found.workers,
        "epochs": {"expected": found.expected.epochs, "most": found.expected.most, "longest_trial": found.longest},
        "rungs": [{"epoch": epoch, "trials": trials} for epoch, trials in found.expected.rungs.items()],
        "samples": found.samples,
        "exhaustive": found.exhaustive,
        "infeasible": found.infeasible,
        "reasons": [{"share": share, "example": text} for share, text in found.reasons],
        "parameters": found.parameters and asdict(found.parameters),
        "mult_adds": found.mult_adds and asdict(found.mult_adds),
        "memory_mb": found.memory and {key: value / 1e6 for key, value in asdict(found.memory).items()},
        "disk_mb": found.disk / 1e6,
        "seconds": found.seconds and asdict(found.seconds),
    }


def _lines(spec: SearchSpec, found: Preview) -> Iterator[str]:
    from tune.search.own_images.budget import duration

    settings, fields = spec.search, len(spec.space.domains)
    kind = getattr(settings.scheduler, "type", "")  # of asha and hyperband
    scheduler = settings.scheduler.name + (f" ({kind})" if kind else "")
    yield f"{spec.name}: {counted(found.trials, 'trial')}, {found.workers} at a time on this machine"
    yield from _line("space", f"{counted(fields, 'field')}{_size(found)}")
    yield from _line("search", f"sampler {settings.sampler.name}, scheduler {scheduler}")
    if found.parameters is not None:  # else none of the configurations can be trained
        yield from _epochs(spec, found)
    looked_at = counted(found.samples, f"{'' if found.exhaustive else 'random '}configuration")
    share = f"{100 * found.infeasible:.3g} % of {looked_at}"
    yield from _line("infeasible", share)
    for part, text in found.reasons:
        yield from _line("", f"{100 * part:.3g} %, such as: {text}")
    if spec.constraints.latency_ms is not None:
        yield from _line("", "constraints.latency_ms is left out here: the search measures it for each model")
    if found.parameters is None:
        yield from _line("", "none of these can be trained: change the space or the constraints")
        return
    yield from _range("parameters", found.parameters, lambda value: f"{value:,.0f}")
    yield from _range("mult-adds", found.mult_adds, _large, " per image")
    yield from _range("memory", found.memory, _bytes, " per trial, without torch's own")
    yield from _line("disk", f"at most {_bytes(found.disk)} of checkpoints at the same time")
    if found.seconds is not None:
        each = f"{duration(found.seconds.epoch)} an epoch, measured here on random images"
        yield from _line("time", f"about {duration(found.seconds.search)}: {each}")
        seeds, keep = settings.keep_for_retraining or 3, "; search.keep_for_retraining=3 keeps that free"
        hint = keep if settings.time_budget and not settings.keep_for_retraining else ""
        more = duration(found.seconds.retrain)
        yield from _line("", f"retraining the best trial on {counted(seeds, 'seed')}: about {more} more{hint}")
    if settings.time_budget is not None:
        yield from _line("", f"the time budget of {settings.time_budget:g} s may end it earlier")


def _epochs(spec: SearchSpec, found: Preview) -> Iterator[str]:
    most = f"at most {found.expected.most:,}, the longest trial {found.longest:,}"
    yield from _line("epochs", f"about {found.expected.epochs:,.0f} expected, {most}")
    if spec.search.seeds > 1:
        yield from _line("", f"with up to {spec.search.seeds} seeds for each trial that runs to its end")
    if rungs := [f"{trials:,.0f} at epoch {epoch}" for epoch, trials in found.expected.rungs.items()]:
        yield from _line("rungs", f"trials expected to reach them: {', '.join(rungs)}")


def _size(found: Preview) -> str:
    return f", {counted(found.samples, 'configuration')} in all" if found.exhaustive else ""


def _range(label: str, spread: Spread | None, text: Callable[[float], str], unit: str = "") -> Iterator[str]:
    if spread is not None:
        yield from _line(label, f"{text(spread.min)} to {text(spread.max)}, median {text(spread.median)}{unit}")


def _line(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"  {label:<{_LABEL}}", subsequent_indent=" " * (_LABEL + 2))


def _bytes(value: float) -> str:
    unit, size = next(((unit, size) for unit, size in (("GB", 1e9), ("MB", 1e6)) if value >= size), ("kB", 1e3))
    return f"{value / size:.3g} {unit}"


def _large(value: float) -> str:
    return f"{value / 1e9:.3g} G" if value >= 1e9 else f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value:,.0f}"
