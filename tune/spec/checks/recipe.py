"""What a recipe's fields say of each other."""

from __future__ import annotations

from collections.abc import Iterator

from data.words import counted
from tune.spec.recipe import TrainingSpec


def misfits(training: TrainingSpec, steps: int | None = None) -> Iterator[tuple[str, str]]:
    """The fields of a schedule or an average that do not fit the epochs or the learning rate, and what is wrong.

    A search may combine such values: the configuration is then infeasible. They are not errors of the fields, so that
    experiments of before this rule can still be read.

    Args:
        training: The recipe.
        steps: Steps per epoch; None if the number of images is not known.
    """
    epochs, lr, schedule, averaging = training.epochs, training.optimizer.lr, training.schedule, training.averaging
    before_the_end = f"must be below training.epochs={epochs}"
    if schedule.name == "step" and schedule.step_size >= epochs:
        yield "schedule.step_size", f"{before_the_end}, or the learning rate never falls (got {schedule.step_size})"
    if schedule.milestones and schedule.milestones[-1] >= epochs:
        yield "schedule.milestones", f"{before_the_end} (got {list(schedule.milestones)})"
    if schedule.warmup_epochs >= epochs:
        yield "schedule.warmup_epochs", f"{before_the_end} (got {schedule.warmup_epochs:g})"
    if schedule.min_lr > lr:
        yield "schedule.min_lr", f"must be at most training.optimizer.lr={lr:g} (got {schedule.min_lr:g})"
    if schedule.name == "onecycle" and steps is not None:
        total = epochs * steps
        rising = round(schedule.pct_start * total, 9)  # 0.07 x 100 is 7.000000000000001 in binary
        if not 1 <= rising <= total - 1:
            message = f"must leave at least one of {counted(total, 'step')} to the rise and one to the fall"
            yield "schedule.pct_start", f"{message} (got {schedule.pct_start:g})"
    if averaging.name == "lookahead" and steps is not None and averaging.every > epochs * steps:
        message = f"must be at most {epochs * steps}, the number of steps of the training (got {averaging.every})"
        yield "averaging.every", message
    if averaging.lr is not None:
        if averaging.lr > lr:
            yield "averaging.lr", f"must be at most training.optimizer.lr={lr:g} (got {averaging.lr:g})"
        averaged = epochs - averaging.epochs_before(epochs)
        if averaging.anneal_epochs > averaged:
            message = (
                f"must be at most {averaged}, the number of epochs that are averaged (got {averaging.anneal_epochs})"
            )
            yield "averaging.anneal_epochs", message
