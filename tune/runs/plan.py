"""What a run trains, spelled out; and what one that is gone on with may change."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Literal

import torch

from tune.errors import UserError
from tune.record.folder import RunFolder
from tune.record.search_yaml import refuse_changes
from tune.runs.info import read_run
from tune.spec import Experiment

Storage = Literal["uint8", "float16", "float32"]


@dataclass(frozen=True)
class RunPlan:
    """What to train, and into which folder.

    Attributes:
        experiment: Data, model, recipe, seed.
        folder: Of the run.
        metric: By which the best epoch is chosen.
        epochs: End after so many, if the experiment has more; its schedule stays laid over its own.
        full: Train on validation images too.
        weights: A run to take the first weights from.
        threads: CPU threads where the experiment names none.
        storage: How the images are kept in memory; anything but uint8 is for comparison.
    """

    experiment: Experiment
    folder: RunFolder
    metric: str = "val_loss"
    epochs: int | None = None
    full: bool = False
    weights: RunFolder | None = None
    threads: int = dataclasses.field(default_factory=torch.get_num_threads)
    storage: Storage = "uint8"

    @property
    def last_epoch(self) -> int:
        """Where the training ends at the latest."""
        own = self.experiment.training.epochs
        return min(self.epochs or own, own)


def resolved(experiment: Experiment, threads: int) -> Experiment:
    """The experiment with what it leaves to circumstances spelled out: CPU threads, and the images' absolute path."""
    training, data = experiment.training, experiment.data
    path = data.path and os.path.abspath(os.path.expanduser(data.path))
    return experiment.model_copy(
        update={
            "training": training.model_copy(update={"threads": training.threads or threads}),
            "data": data.model_copy(update={"path": path}),
        }
    )


def continued(plan: RunPlan) -> RunPlan:
    """The plan of the run in the folder, once it is known to be the same training.

    Raises:
        UserError: it is another one.
    """
    before, info = read_run(plan.folder)
    # Threads that nobody asks for stay those of the beginning.
    now = resolved(plan.experiment, before.training.threads or plan.threads)
    may_grow, legal = _epochs_to_go(before, now)
    free = ("data.path", "training.epochs") if may_grow else ("data.path",)  # `run` compares the images themselves
    file = str(plan.folder.experiment)
    refuse_changes("run", before.to_tree(), now.to_tree(), file, free, {"training.epochs": legal})
    if (info.epochs, info.full) != (plan.epochs, plan.full):
        raise UserError(
            f"{plan.folder.path}: begun for {info.epochs} epochs (full: {info.full}), "
            f"now asked for {plan.epochs} (full: {plan.full}); legal: the former"
        )
    return dataclasses.replace(plan, experiment=now, metric=info.metric, storage=info.storage)


def _epochs_to_go(before: Experiment, now: Experiment) -> tuple[bool, str]:
    """Whether a run may be continued for so many epochs, and how many are legal."""
    if spanning := before.training.spanning:
        return False, f"the latter, since {' and '.join(spanning)} is laid over all epochs; or --weights in a new run"
    return now.training.epochs > before.training.epochs, "the latter, or more"
