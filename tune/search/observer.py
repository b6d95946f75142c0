"""What happens in a search, for whoever watches it."""

from __future__ import annotations

from typing import Protocol

from search_spaces import Config
from tune.record.status import Status
from tune.search.ledger import Ledger
from tune.training import EpochMetrics


class Observer(Protocol):
    """Told of everything, as it happens, on the driver's thread."""

    def started(self, number: int, config: Config, epochs_done: int) -> None:
        """A trial begins, or goes on after `epochs_done` epochs."""

    def epoch(self, number: int, metrics: EpochMetrics) -> None:
        """A trial has finished an epoch."""

    def ended(self, number: int, status: Status, reason: str) -> None:
        """A trial has ended, or was put back to wait (status waiting)."""

    def say(self, text: str) -> None:
        """Anything else worth a line."""

    def tick(self, search: Ledger) -> None:
        """Called a few times a second while trials run."""

    def over(self, search: Ledger) -> None:
        """The search has ended, for now or for good."""


class Silent:
    """Watches nothing."""

    def started(self, number: int, config: Config, epochs_done: int) -> None:
        """Nothing."""

    def epoch(self, number: int, metrics: EpochMetrics) -> None:
        """Nothing."""

    def ended(self, number: int, status: Status, reason: str) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def tick(self, search: Ledger) -> None:
        """Nothing."""

    def over(self, search: Ledger) -> None:
        """Nothing."""
