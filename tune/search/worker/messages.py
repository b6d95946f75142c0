"""The messages between a driver and its workers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from search_spaces import Config
from tune.spec.metric import EpochMetrics

if TYPE_CHECKING:  # only what trains needs torch
    from tune.search.worker.images import SentImages


@dataclass(frozen=True)
class Job:
    """What all trials of a search share, as sent to the workers.

    Attributes:
        base: The fixed fields of the experiment, as a tree.
        folder: The search's folder; of one in S3 its URL, since each node has a mirror of its own.
        root: The data directory, as torchvision's `root`.
        metric: Chooses the best epoch.
        mode: Whether the metric is to be small or large.
        epochs: Ends every trial, if the experiment has more.
        gpu: Share of a GPU that a trial has; from 1 on, whole ones.
        data: Digest of the images' identity; empty if the search was started before it was recorded.
        images: The images themselves, where Ray's object store has brought them.
    """

    base: Mapping[str, Any]
    folder: str
    root: str
    metric: str
    epochs: int | None
    gpu: float
    data: str = ""
    images: SentImages | None = None


@dataclass(frozen=True)
class Assignment:
    """One attempt at one trial. `token` is unique to the attempt, `seed` is added to the experiment's."""

    trial: int
    token: str
    config: Config
    seed: int = 0


@dataclass(frozen=True)
class Report:
    """What a worker reports after a step.

    Attributes:
        epochs: New epochs; after a resume, all of them.
        end: epochs, early_stopping, diverged, out_of_memory, infeasible or failed; None while the trial continues.
        reason: Why it ended, in one line.
        detail: The last lines of a traceback.
        blocked: Why checkpoints cannot be written or read for now (`obstacle`); the next step tries again.
        retire: The process must not train another trial: its memory or its CUDA context is no longer usable.
        node: The name of the node of a cluster that the attempt runs on.
        gpu: The GPUs that it has there, as Ray numbers them: `1`, or `0,1`; empty for none.
    """

    epochs: tuple[EpochMetrics, ...] = ()
    end: str | None = None
    reason: str = ""
    detail: str = ""
    blocked: str = ""
    retire: bool = False
    node: str = ""
    gpu: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**dataclasses.asdict(self), "epochs": [epoch.to_dict() for epoch in self.epochs]}

    @classmethod
    def from_dict(cls, flat: Mapping[str, Any]) -> Report:
        """The inverse of `to_dict`."""
        epochs = tuple(EpochMetrics.from_dict(row) for row in flat["epochs"])
        return cls(**{**flat, "epochs": epochs})


class Steps(Protocol):
    """What a worker runs step by step; tests replace it."""

    def step(self) -> Report:
        """Train an epoch."""
        ...
