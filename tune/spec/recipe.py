"""The recipe of a training: optimizer, schedule, averaging, stopping, precision."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field, ValidationInfo, field_validator

from tune.spec.base import FROM_LIST, Fraction, Frozen


class OneOfSeveral(Frozen):
    """A specification whose `name` says which of its other fields count: those of others must stay as they are unset.

    Attributes:
        only: The names that a field belongs to; fields that are not listed belong to all.
    """

    only: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @field_validator("*")
    @classmethod
    def _of_the_named(cls, value: Any, info: ValidationInfo) -> Any:
        field, name = str(info.field_name), info.data.get("name")
        owners = cls.only.get(field)
        if owners and name is not None and name not in owners and value != cls.model_fields[field].default:
            raise ValueError(f"{name} has no {field}; legal: leave it out, or the name {' or '.join(owners)}")
        return value


class OptimizerSpec(OneOfSeveral):
    """torch.optim's SGD, Adam or AdamW, or Muon (`tune.training.muon`).

    `lr` and `weight_decay` of muon are of AdamW's size, since its steps are scaled to those. Where `momentum` is unset
    it is 0 for sgd and 0.95 for muon, whose momentum is always Nesterov's.
    """

    only: ClassVar = {
        "momentum": ("sgd", "muon"),
        "nesterov": ("sgd",),
        "amsgrad": ("adam", "adamw"),
    }

    name: Literal["sgd", "adam", "adamw", "muon"] = "adam"
    lr: Annotated[float, Gt(0)] = 1e-3
    weight_decay: Annotated[float, Ge(0)] = 0.0
    momentum: Annotated[float, Ge(0), Lt(1)] | None = None
    nesterov: bool = False
    amsgrad: bool = False

    @field_validator("nesterov")
    @classmethod
    def _needs_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("name") == "sgd" and not info.data.get("momentum", True):
            raise ValueError("needs momentum; legal: momentum > 0, or leave it out")
        return nesterov


class ScheduleSpec(OneOfSeveral):
    """The learning rate over the training. `optimizer.lr` is its start, for onecycle and after a warm-up its peak.

    constant; step (torch StepLR: times `gamma` every `step_size` epochs); multistep (torch MultiStepLR: times `gamma`
    after each of the `milestones`, in epochs); cosine (down to `min_lr`, per epoch or `per_batch`, after a linear
    warm-up of `warmup_epochs`); onecycle (torch OneCycleLR with cosine annealing, per batch; with `cycle_momentum`
    SGD's momentum, or Adam's beta1, goes from 0.95 to 0.85 and back, whatever the optimizer states); plateau (torch
    ReduceLROnPlateau: times `factor`, not below `min_lr`, after more than `patience` epochs whose validation loss was
    not the best by 0.01 %; without validation images the training loss is looked at).
    """

    only: ClassVar = {
        "step_size": ("step",),
        "gamma": ("step", "multistep"),
        "milestones": ("multistep",),
        "min_lr": ("cosine", "plateau"),
        "warmup_epochs": ("cosine",),
        "per_batch": ("cosine",),
        "pct_start": ("onecycle",),
        "div_factor": ("onecycle",),
        "final_div_factor": ("onecycle",),
        "cycle_momentum": ("onecycle",),
        "factor": ("plateau",),
        "patience": ("plateau",),
    }

    name: Literal["constant", "step", "multistep", "cosine", "onecycle", "plateau"] = "constant"
    step_size: Annotated[int, Ge(1)] = 7
    gamma: Annotated[float, Gt(0), Le(1)] = 0.1
    milestones: Annotated[tuple[Annotated[int, Ge(1)], ...], FROM_LIST] | None = Field(None, validate_default=True)
    min_lr: Annotated[float, Ge(0)] = 0.0
    warmup_epochs: Annotated[float, Ge(0)] = 0.0
    per_batch: bool = False
    pct_start: Annotated[float, Gt(0), Lt(1)] = 0.3
    div_factor: Annotated[float, Ge(1)] = 25.0
    final_div_factor: Annotated[float, Ge(1)] = 1e4
    cycle_momentum: bool = False
    factor: Annotated[float, Gt(0), Lt(1)] = 0.1
    patience: Annotated[int, Ge(0)] = 10

    @field_validator("milestones")
    @classmethod
    def _in_order(cls, milestones: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        if info.data.get("name") == "multistep":
            if not milestones:
                raise ValueError("multistep has none; legal: epochs after which the learning rate falls, as [10, 15]")
            if any(one >= other for one, other in pairwise(milestones)):
                raise ValueError(f"{list(milestones)} is not in ascending order; legal: each epoch once, as [10, 15]")
        return milestones

    @property
    def spans_all_epochs(self) -> bool:
        """Whether it is laid over the whole training, and would be another one over more epochs."""
        return self.name in ("cosine", "onecycle")


class AveragingSpec(OneOfSeveral):
    """Average of the weights; validated and kept is the average, from when there is one (`tune.training.averaging`).

    none; ema (exponential moving average with `decay` per step); swa (stochastic weight averaging: the plain mean of
    the weights after each epoch, once the share `start` of all epochs is over. The learning rate follows the schedule,
    or, where `lr` is given, goes there within `anneal_epochs` by a cosine and stays).
    """

    only: ClassVar = {"decay": ("ema",), "start": ("swa",), "lr": ("swa",), "anneal_epochs": ("swa",)}

    name: Literal["none", "ema", "swa"] = "none"
    decay: Fraction = 0.999
    start: Fraction = 0.75
    lr: Annotated[float, Gt(0)] | None = None
    anneal_epochs: Annotated[int, Ge(1)] = 1

    @property
    def spans_all_epochs(self) -> bool:
        """Whether its start depends on the number of epochs."""
        return self.name == "swa"

    def epochs_before(self, epochs: int) -> int:
        """Epochs of a training before its weights are averaged; at least the last one is."""
        # Rounded first: .29 x 100 is 28.999999999999996 in binary.
        return int(round(self.start * epochs, 9)) if self.name == "swa" else 0


class EarlyStoppingSpec(Frozen):
    """End when the validation loss has not gone below its best by `min_delta` for `patience` epochs."""

    patience: Annotated[int, Ge(1)] = 5
    min_delta: Annotated[float, Ge(0)] = 0.0


class TrainingSpec(Frozen):
    """The recipe. `threads` counts CPU threads, since sums differ with it; None: as many as the trial has CPUs.

    `precision` is what the network computes in (torch.autocast); its weights, the loss and the optimizer stay float32.
    float16 has a gradient scaler. `label_smoothing` is for classification alone, `beta` for reconstruction: the weight
    of the KL divergence, which is as good as the decoder's variance (`tune.training.tasks`).
    """

    epochs: Annotated[int, Ge(1)] = 10
    batch_size: Annotated[int, Ge(1)] = 128
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    label_smoothing: Fraction = 0.0
    beta: Annotated[float, Gt(0)] = 1.0
    clip_norm: Annotated[float, Gt(0)] | None = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    averaging: AveragingSpec = AveragingSpec()
    early_stopping: EarlyStoppingSpec | None = None
    threads: Annotated[int, Ge(1)] | None = None

    @field_validator("schedule")
    @classmethod
    def _leaves_epochs(cls, schedule: ScheduleSpec, info: ValidationInfo) -> ScheduleSpec:
        epochs = info.data.get("epochs")
        if epochs is not None and schedule.warmup_epochs >= epochs:
            raise ValueError(f"warmup_epochs {schedule.warmup_epochs:g} takes all epochs; legal: < {epochs}")
        return schedule

    @property
    def spanning(self) -> tuple[str, ...]:
        """The parts laid over all epochs, by name: with more epochs this would have been another training."""
        return tuple(part.name for part in (self.schedule, self.averaging) if part.spans_all_epochs)
