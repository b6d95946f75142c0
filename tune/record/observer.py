"""What happens in a search or a single run, as one stream of events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from search_spaces import Config
from tune.record.status import Status
from tune.spec.metric import EpochMetrics
from tune.training import Training


class Observer:
    """Notified of everything as it happens, on the thread that runs the search or training. Override what you need.

    A trial of a search is named by its number; a single run has the number None.
    """

    def started(self, trial: int | None, config: Config, epochs_done: int) -> None:
        """A trial or run starts, or continues after `epochs_done` epochs; `config` are the searched fields."""

    def training(self, name: str, training: Training, epochs: int) -> None:
        """A single run is about to train in this process, up to epoch `epochs`."""

    def step(self, step: int, steps: int, lr: float) -> None:
        """A single run has taken step `step` of `steps` of its epoch, with this learning rate."""

    def epoch(self, trial: int | None, metrics: EpochMetrics) -> None:
        """A trial or run has finished an epoch."""

    def ended(self, trial: int | None, status: Status, reason: str) -> None:
        """A trial or run has ended; with status `waiting`, it can be continued."""

    def say(self, text: str) -> None:
        """Anything else worth a line."""

    def tick(self, search: Any) -> None:
        """Called a few times a second while trials run, with the search's `Ledger`."""

    def over(self, search: Any) -> None:
        """The search has ended, for now or for good; `search` is its `Ledger`."""


EVENTS = tuple(name for name in vars(Observer) if not name.startswith("_"))


class Observers(Observer):
    """Several observers, each notified of everything in the order given."""

    def __init__(self, *observers: Observer) -> None:
        for event in EVENTS:
            setattr(self, event, _all_of([getattr(observer, event) for observer in observers]))


def _all_of(told: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def event(*arguments: Any, **named: Any) -> None:
        for tell in told:
            tell(*arguments, **named)

    return event
