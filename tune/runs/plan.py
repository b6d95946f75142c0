"""What a run trains, and what may change when it is continued."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass

from data.words import counted
from tune.errors import UserError
from tune.record.folder import RunFolder
from tune.record.search_yaml import refuse_changes
from tune.runs.info import read_run
from tune.spec import Experiment
from tune.spec.recipe import AUTO


@dataclass(frozen=True)
class RunPlan:
    """What to train, and into which folder.

    Attributes:
        experiment: Data, model, recipe, seed.
        folder: The run's.
        metric: Chooses the best epoch.
        epochs: End after this many, if the experiment has more; its schedule still spans its own number.
        full: Train on validation images too.
        weights: A run whose weights to start from.
        why: Why these threads and this precision were chosen, in words, if they were (`tune.runs.auto`).
    """

    experiment: Experiment
    folder: RunFolder
    metric: str = "val_loss"
    epochs: int | None = None
    full: bool = False
    weights: RunFolder | None = None
    why: str = ""

    @property
    def last_epoch(self) -> int:
        """The last epoch, unless the training ends earlier."""
        own = self.experiment.training.epochs
        return min(self.epochs or own, own)


def resolved(experiment: Experiment, before: Experiment | None = None) -> Experiment:
    """The experiment with the absolute path of its images.

    What is `auto` in it gets its value from `before`, the experiment with which the run was started.
    """
    training, data = experiment.training, experiment.data
    path = data.path and os.path.abspath(os.path.expanduser(data.path))
    values = {name: getattr(before.training, name) for name in AUTO if before and getattr(training, name) == "auto"}
    return experiment.model_copy(
        update={
            "training": training.model_copy(update=values),
            "data": data.model_copy(update={"path": path}),
        }
    )


def continued(plan: RunPlan) -> RunPlan:
    """The plan for continuing the run in the folder.

    Raises:
        UserError: That run is of another plan.
    """
    before, info = read_run(plan.folder)
    now = resolved(plan.experiment, before)
    may_grow, hint = _more_epochs(before, now)
    free = ("data.path", "training.epochs") if may_grow else ("data.path",)  # `run` compares the images themselves
    file = str(plan.folder.experiment)
    refuse_changes("run", before.to_tree(), now.to_tree(), file, free, {"training.epochs": hint})
    if (info.epochs, info.full) != (plan.epochs, plan.full):
        if plan.epochs is None and not plan.full:  # asked for by `train`, of a run that `retrain` has begun
            raise UserError(
                f"{plan.folder.path}: a winner, retrained for {_extent(info.epochs)}; continue it with "
                f"`imagetune retrain`, or start a new run with --weights {plan.folder.path}"
            )
        raise UserError(
            f"{plan.folder.path}: started for {_extent(info.epochs, info.full)}, which cannot be changed to "
            f"{_extent(plan.epochs, plan.full)}; delete the folder to start again"
        )
    return dataclasses.replace(plan, experiment=now, metric=info.metric)


def _extent(epochs: int | None, full: bool = False) -> str:
    return f"{'all epochs' if epochs is None else counted(epochs, 'epoch')}{' on train + validation' * full}"


def _more_epochs(before: Experiment, now: Experiment) -> tuple[bool, str]:
    """Whether a run may be continued for the new number of epochs, and what to do if not."""
    if spanning := before.training.spanning:
        return False, f"{' and '.join(spanning)} extends over all epochs; for more, start a new run with --weights"
    return now.training.epochs > before.training.epochs, "it can only be increased"
