"""What a search shows while it runs: a live page on a terminal, a line per event elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from data.words import counted, printable
from search_spaces import Config
from tune.record.observer import Observer
from tune.record.pareto import front_of, hypervolume, points_of
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.runs.console import Narrower, clock
from tune.search.ledger import Ledger
from tune.spec.dotted import short_names
from tune.spec.files import value_text
from tune.spec.metric import METRICS, EpochMetrics

REFRESH = 0.25  # seconds between two drawings of the live page
MESSAGES = 4  # lines of the latest events below it
FRONT = 5  # trials of a front that are shown
QUIET = 60.0  # seconds without an event, after which a search without a page prints its progress
STYLES = {
    Status.COMPLETED: "green",
    Status.STOPPED: "yellow",
    Status.RUNNING: "cyan",
    Status.PAUSED: "blue",
    Status.DIVERGED: "magenta",
    Status.OUT_OF_MEMORY: "magenta",
    Status.FAILED: "red",
}


def config_text(config: Mapping[str, Any]) -> str:
    """A configuration in a line, by the last part of each name where that is clear."""
    return " ".join(f"{name}={value_text(config[field])}" for field, name in short_names(config).items())


def metrics_text(values: Mapping[str, float], spread: Callable[[str], float | None] = lambda name: None) -> str:
    """An epoch's metrics in a line: those of validation, or where nothing validates those of training."""
    known = [METRICS[name] for name in values if name in METRICS]
    shown = [metric for metric in known if metric.part == "val"] or known
    return "  ".join(f"{metric.name} {metric.text(values[metric.name], spread(metric.name))}" for metric in shown)


def progress_text(search: Ledger, epochs: Mapping[int | None, EpochMetrics]) -> str:
    """In a line: trials that were tried, the time left once it is known, the running trials, the best so far."""
    parts = [f"{_tried_text(search)}, {_left_text(search)}"]
    parts += [f"trial {number} at epoch {epochs[number].epoch}" for number in sorted(search.live) if number in epochs]
    if search.record.objective.several:
        parts.append(front_text(search))
    elif (best := search.best) is not None:
        parts.append(f"best: {_best_text(best, search)}")
    return "; ".join(parts)


def front_text(search: Ledger) -> str:
    """With several objectives: how many trials no other dominates, and how good they are together."""
    points = points_of(search.trials.values(), search.record.objective)
    volume = hypervolume(points)
    return f"front: {counted(len(front_of(points)), 'trial')}{'' if volume is None else f', hypervolume {volume:.3f}'}"


def _best_text(best: TrialRecord, search: Ledger) -> str:
    objective = search.record.objective
    epoch, seeds = best.best(objective), len(best.results(objective))
    where = f"mean of {counted(seeds, 'seed')}" if seeds > 1 or epoch is None else f"epoch {epoch.epoch}"
    told = metrics_text(best.result(objective) or {}, partial(best.spread, objective))
    return f"trial {best.number}, {where}: {told}"


class Lines(Observer):
    """A line per trial's beginning and end, and every minute without one, with the time since the start, on stderr."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._last: dict[int | None, EpochMetrics] = {}
        self._said = self._start

    def started(self, trial: int | None, config: Config, epochs_done: int) -> None:
        """Say so, with the trial's configuration."""
        again = f" resumes after epoch {epochs_done}" if epochs_done else ""
        self.say(f"trial {trial}{again}: {config_text(config)}")

    def epoch(self, trial: int | None, metrics: EpochMetrics) -> None:
        """Remember it for the trial's end."""
        self._last[trial] = metrics

    def ended(self, trial: int | None, status: Status, reason: str) -> None:
        """Say so, with the trial's last metrics."""
        last = self._last.pop(trial, None)
        told = f"  {metrics_text(last.values)} (epoch {last.epoch})" if last else ""
        self.say(f"trial {trial} {status}{f': {reason}' if reason else ''}{told}")

    def say(self, text: str) -> None:
        """One line."""
        self._said = time.monotonic()
        print(f"[{clock(self.elapsed):>7}] {printable(text)}", file=sys.stderr, flush=True)

    def tick(self, search: Ledger) -> None:
        """How far the search is, where nothing else was said for a while: a log in which nothing moves looks hung."""
        if time.monotonic() - self._said >= QUIET:
            self.say(progress_text(search, self._last))

    @property
    def elapsed(self) -> float:
        """Seconds since the watching began."""
        return time.monotonic() - self._start


class Page(Lines):
    """The live page."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._messages: deque[str] = deque(maxlen=MESSAGES)
        self._epochs: dict[int | None, EpochMetrics] = {}
        self._drawn = 0.0
        self._console = console
        self.live = Live(console=console, auto_refresh=False, transient=False)

    def started(self, trial: int | None, config: Config, epochs_done: int) -> None:
        """Say so; its epochs are those of another seed than before, or go on."""
        super().started(trial, config, epochs_done)
        self._epochs.pop(trial, None)

    def epoch(self, trial: int | None, metrics: EpochMetrics) -> None:
        """Show it beside the running trial."""
        super().epoch(trial, metrics)
        self._epochs[trial] = metrics

    def say(self, text: str) -> None:
        """A line among the latest events."""
        text = printable(text)
        self._messages.append(f"[{clock(self.elapsed):>7}] {text}")
        if not self.live.is_started:
            self._console.print(Text(text, style="dim"))

    def tick(self, search: Ledger) -> None:
        """Draw, a few times a second."""
        if time.monotonic() - self._drawn >= REFRESH:
            self.over(search)

    def over(self, search: Ledger) -> None:
        """Draw it as it stands."""
        self._drawn = time.monotonic()
        self.live.update(Narrower(self.page(search)), refresh=True)

    def page(self, search: Ledger) -> RenderableType:
        """All of the page."""
        parts: list[RenderableType] = [_head(search, self.elapsed), _bar(search), _statuses(search)]
        if rungs := search.scheduler.rungs:
            parts.append(_rungs(rungs))
        if search.record.objective.several:
            parts += [
                Text(front_text(search).replace(": ", "    ", 1), style="green"),
                Padding(_front(search), (0, 0, 0, 9)),
            ]
        elif (best := search.best) is not None:
            parts.append(_best(best, search))
        parts += [
            _running(search, self._epochs),
            *(Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in self._messages),
        ]
        return Group(*parts)


def _head(search: Ledger, elapsed: float) -> Text:
    goals = ", ".join(f"{goal.name} ({goal.goal})" for goal in search.record.objective.every)
    text = Text.assemble((search.folder.name, "bold"), f"   {goals}")
    text.append(f"   elapsed {clock(elapsed)}   {_left_text(search)}")
    return text


def _tried_text(search: Ledger) -> str:
    return f"{search.tried:,}/{counted(search.target, 'trial')}"


def _left_text(search: Ledger) -> str:
    left = search.time_left()
    if left is None:
        return "estimating the time left"
    return f"{'at most ' * left.most}about {clock(left.seconds)} left"


def _bar(search: Ledger) -> Table:
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(search.target, 1), completed=search.tried, width=40)
    row.add_row(bar, _tried_text(search))
    return row


def _statuses(search: Ledger) -> Text:
    counts = search.counts
    shown = [status for status in Status if counts[status]]
    return Text("   ").join(Text(f"{status} {counts[status]}", style=STYLES.get(status, "")) for status in shown)


def _rungs(rungs: list[tuple[int, int]]) -> Text:
    return Text("rungs    " + "   ".join(f"epoch {epoch}: {count}" for epoch, count in rungs), no_wrap=True)


def _best(best: TrialRecord, search: Ledger) -> Group:
    first = Text(f"best     {_best_text(best, search)}", style="green")
    return Group(first, Padding(Text(config_text(best.config)), (0, 0, 0, 9)))


def _front(search: Ledger) -> Table:
    """The trials that no other dominates, the first few of them."""
    objective = search.record.objective
    points = points_of(search.trials.values(), objective)
    table = Table.grid(padding=(0, 2))
    for number in front_of(points)[:FRONT]:
        result = search.trials[number].result(objective) or {}
        values = (f"{metric.name} {metric.text(result[metric.name])}" for metric in objective.every)
        table.add_row(*(Text(text, style="green", no_wrap=True) for text in (f"trial {number}", *values)))
    return table


def _running(search: Ledger, epochs: Mapping[int | None, EpochMetrics]) -> Table:
    # The configuration has what is left of the line.
    columns = [*(Column(no_wrap=True) for _ in range(3)), Column(no_wrap=True, overflow="ellipsis", ratio=1)]
    table = Table.grid(*columns, padding=(0, 2), expand=True)
    for number in sorted(search.live):
        metrics = epochs.get(number)
        seed = f"seed {trial.seed + 1}, " if (trial := search.trials[number]).seed else ""
        told = (f"{seed}epoch {metrics.epoch}", metrics_text(metrics.values)) if metrics else (f"{seed}begins", "")
        table.add_row(f"trial {number}", *told, Text(config_text(trial.config), style="dim"))
    return table


@contextmanager
def watching() -> Iterator[Observer]:
    """The page where stderr is a terminal, else lines."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    page = Page(console)
    with page.live:
        yield page
