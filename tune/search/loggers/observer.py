"""Loggers of a running search: each on a thread of its own, so that a slow or broken one costs the search nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from search_spaces import Config
from tune.errors import named_line
from tune.record.folder import SearchFolder
from tune.record.observer import Observer, Observers
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.ledger import Ledger
from tune.search.loggers import Logger, find_logger, worth_writing
from tune.spec.metric import EpochMetrics, Objective

PATIENCE, HURRY = 60.0, 1.5  # seconds for the last writes: at the end of a search, and where it was interrupted


class Logs(Observer):
    """Hands what is recorded to loggers: all trials at the first tick, as an earlier process may have been killed."""

    def __init__(self, writers: Sequence[Writer], say: Callable[[str], None]) -> None:
        self._writers, self._say, self._changed = writers, say, set[int]()
        self._first = True
        self.patience = PATIENCE

    def started(self, trial: int | None, config: Config, epochs_done: int) -> None:
        """Remember that the trial has changed."""
        self._change(trial)

    def epoch(self, trial: int | None, metrics: EpochMetrics) -> None:
        """Remember that the trial has changed."""
        self._change(trial)

    def ended(self, trial: int | None, status: Status, reason: str) -> None:
        """Remember that the trial has changed."""
        self._change(trial)

    def tick(self, search: Ledger) -> None:
        """Hand over the trials that have changed, as they are recorded."""
        changed, self._changed = set(search.trials) if self._first else self._changed, set()
        self._first = False
        for number in sorted(changed):
            for writer in self._writers:
                writer.put(search.trials[number])
        self._tell()

    def over(self, search: Ledger) -> None:
        """Hand over the trials that have changed since the last tick."""
        self.tick(search)

    def close(self) -> None:
        """Wait until everything is written, but no longer than `patience`."""
        for writer in self._writers:
            writer.finish()
        for writer in self._writers:
            writer.join(self.patience)
            if writer.is_alive():
                self._say(
                    f"{writer.name} has not received everything; imagetune log --to {writer.name} writes the rest"
                )
        self._tell()

    def _change(self, trial: int | None) -> None:
        if trial is not None:
            self._changed.add(trial)

    def _tell(self) -> None:
        for writer in self._writers:
            if writer.error:
                self._say(f"logging to {writer.name} has stopped, while the search continues: {writer.error}")
                writer.error = ""


class Writer(threading.Thread):
    """A logger's thread. Of a trial that changes faster than it is written, only the latest state is.

    Attributes:
        error: Why it has given up, until that has been told.
    """

    def __init__(self, name: str, make: Callable[[], Logger]) -> None:
        super().__init__(name=name, daemon=True)
        self._make, self.error = make, ""
        self._waiting: dict[int, TrialRecord] = {}
        self._finishing = self._broken = False
        self._news = threading.Condition()

    def put(self, trial: TrialRecord) -> None:
        """Have a trial written soon."""
        with self._news:
            if worth_writing(trial) and not self._broken:
                self._waiting[trial.number] = trial
                self._news.notify()

    def finish(self) -> None:
        """End once everything is written."""
        with self._news:
            self._finishing = True
            self._news.notify()

    def run(self) -> None:
        """Write what comes."""
        logger: Logger | None = None
        try:
            while (trial := self._next()) is not None:
                logger = logger or self._make()
                if not logger.complete(trial.number):
                    logger.write(trial)
            if logger is not None:
                logger.close()
        except Exception as error:  # whatever happens in another tool: the search and its record are not concerned
            self._broken = True
            self.error = named_line(error)

    def _next(self) -> TrialRecord | None:
        with self._news:
            while not self._waiting and not self._finishing:
                self._news.wait()
            return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None


@contextmanager
def logging(
    names: Sequence[str], folder: SearchFolder, objective: Objective, observer: Observer
) -> Iterator[tuple[Observer, Logs]]:
    """The observer joined by loggers, which are given time to finish when the block ends.

    Args:
        names: Of the loggers, as in `search.loggers`.
        folder: The search's.
        objective: What trials are judged by.
        observer: The others; its `say` is called with what goes wrong.

    Raises:
        UserError: a logger's package is not installed.
    """
    entries = {name: find_logger(name, "search.loggers", folder.path) for name in names}
    writers = [Writer(name, lambda entry=entry: entry.make(folder, objective, None)) for name, entry in entries.items()]  # type: ignore[misc]
    for writer in writers:
        writer.start()
    logs = Logs(writers, observer.say)
    try:
        yield (Observers(observer, logs) if writers else observer), logs
    finally:
        logs.close()
