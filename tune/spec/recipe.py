"""The recipe of a training: optimizer, schedule, averaging, stopping, precision."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationInfo, field_validator

from tune.optim import own_fields
from tune.optim.optimizers import OPTIMIZERS
from tune.optim.schedules import SCHEDULES
from tune.spec.base import FROM_LIST, MOST_CPUS, Budget, Count, CountOrZero, Fraction, Frozen
from tune.spec.errors import shown
from tune.spec.progressive_size import ProgressiveSizeSpec

if TYPE_CHECKING:
    OptimizerName = str
    ScheduleName = str
else:
    OptimizerName = Literal[tuple(OPTIMIZERS)]
    ScheduleName = Literal[tuple(SCHEDULES)]


class OneOfSeveral(Frozen):
    """A specification whose `name` decides which other fields apply; the others must keep their defaults.

    Attributes:
        only: The names that a field is for; a field that is not listed is for all names.
    """

    only: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @field_validator("*")
    @classmethod
    def _for_this_name(cls, value: Any, info: ValidationInfo) -> Any:
        field, name = str(info.field_name), info.data.get("name")
        owners = cls.only.get(field)
        if owners and name is not None and name not in owners and value != cls.model_fields[field].default:
            raise ValueError(f"is only for {' or '.join(owners)}, not for {name} (got {shown(value)}); remove it")
        return value


class OptimizerSpec(OneOfSeveral):
    """torch.optim's SGD, Adam or AdamW, or Muon (`tune.optim.muon`).

    Attributes:
        name: The optimizer.
        lr: Learning rate. For muon, use values as for adamw: its steps are scaled to the same size.
        weight_decay: As torch defines it for the optimizer; for muon it is decoupled, as for adamw.
        momentum: sgd and muon only. Default: 0 for sgd, 0.95 for muon, which always uses Nesterov momentum.
        nesterov: sgd only: use Nesterov momentum.
        amsgrad: adam and adamw only: use the AMSGrad variant.
        bias_lr_factor: What the learning rate of the norms' biases is multiplied by, for example 64 (Jordan 2024,
            arXiv 2404.00498, section 3.4).
        decay: What weight decay applies to: all parameters, or the weights of convolutions and linear layers, without
            norms and biases (He et al. 2019, arXiv 1812.01187, section 3.1).
    """

    only: ClassVar = own_fields(OPTIMIZERS)

    name: OptimizerName = "adam"
    lr: Annotated[float, Gt(0)] = 1e-3
    weight_decay: Annotated[float, Ge(0)] = 0.0
    momentum: Annotated[float, Ge(0), Lt(1)] | None = None
    nesterov: bool = False
    amsgrad: bool = False
    bias_lr_factor: Annotated[float, Gt(0)] = 1.0
    decay: Literal["all", "weights"] = "all"

    @field_validator("nesterov")
    @classmethod
    def _needs_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("name") == "sgd" and not info.data.get("momentum", True):
            raise ValueError("needs training.optimizer.momentum above 0; set it, or remove nesterov")
        return nesterov


class ScheduleSpec(OneOfSeveral):
    """The learning rate during a training. `training.optimizer.lr` is where it starts, or its peak after a warm-up.

    constant; step (torch StepLR); multistep (torch MultiStepLR); cosine (a linear warm-up, then half a cosine down to
    `min_lr`); onecycle (torch OneCycleLR with cosine annealing, per batch); plateau (torch ReduceLROnPlateau on the
    validation loss, or on the training loss if there are no validation images).

    Attributes:
        name: The schedule.
        step_size: step: multiply by `gamma` every `step_size` epochs.
        gamma: step, multistep: the factor.
        milestones: multistep: multiply by `gamma` after each of these epochs.
        min_lr: cosine, plateau: the lowest learning rate.
        warmup_epochs: cosine: how long the learning rate rises at the start, in epochs; fractions are allowed.
        per_batch: cosine: change the learning rate after every batch, not only after every epoch.
        pct_start: onecycle: the share of all steps in which the learning rate rises.
        div_factor: onecycle: the learning rate starts at `lr / div_factor`.
        final_div_factor: onecycle: it ends at `lr / div_factor / final_div_factor`.
        cycle_momentum: onecycle: also move SGD's momentum, or Adam's beta1, from 0.95 to 0.85 and back.
        factor: plateau: multiply by this when the loss stops improving by at least 0.01 %.
        patience: plateau: after this many epochs in a row without improvement. It may be longer than the training, like
            that of early stopping: whether either takes effect depends on the losses anyway.
    """

    only: ClassVar = own_fields({name: entry.build for name, entry in SCHEDULES.items()})

    name: ScheduleName = "constant"
    step_size: Count = 7
    gamma: Annotated[float, Gt(0), Le(1)] = 0.1
    milestones: Annotated[tuple[Count, ...], FROM_LIST] | None = Field(None, validate_default=True)
    min_lr: Annotated[float, Ge(0)] = 0.0
    warmup_epochs: Annotated[float, Ge(0)] = 0.0
    per_batch: bool = False
    pct_start: Annotated[float, Gt(0), Lt(1)] = 0.3
    div_factor: Annotated[float, Ge(1)] = 25.0
    final_div_factor: Annotated[float, Ge(1)] = 1e4
    cycle_momentum: bool = False
    factor: Annotated[float, Gt(0), Lt(1)] = 0.1
    patience: CountOrZero = 10

    @field_validator("milestones")
    @classmethod
    def _in_order(cls, milestones: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        if info.data.get("name") == "multistep":
            if not milestones:
                raise ValueError(
                    "is required for multistep: the epochs after which the learning rate falls, such as [10, 15]"
                )
            if any(one >= other for one, other in pairwise(milestones)):
                raise ValueError(f"must be in ascending order, each epoch once (got {list(milestones)})")
        return milestones

    @property
    def spans_all_epochs(self) -> bool:
        """Whether it depends on the number of epochs, so that more of them make it a different schedule."""
        return SCHEDULES[self.name].spans_all_epochs


class AveragingSpec(OneOfSeveral):
    """An average of the weights, which is what is validated and saved (`tune.training.averaging`).

    none; ema (exponential moving average); swa (stochastic weight averaging: the mean of the weights after each of the
    last epochs); lookahead (slow weights, to which those that are trained return every few steps).

    Attributes:
        name: The kind of average.
        decay: ema: the weight of the old average in each step.
        start: swa: average once this share of all epochs is over; the last epoch is always averaged.
        lr: swa: move to this learning rate while averaging; by default the schedule continues.
        anneal_epochs: swa: the number of epochs in which it moves to `lr`, along a cosine.
        every: lookahead: the number of steps after which the slow weights move and the others are set to them.
        alpha: lookahead: how far they move, as a share of the way.
    """

    only: ClassVar = {
        **{"decay": ("ema",), "start": ("swa",), "lr": ("swa",), "anneal_epochs": ("swa",)},
        **{"every": ("lookahead",), "alpha": ("lookahead",)},
    }

    name: Literal["none", "ema", "swa", "lookahead"] = "none"
    decay: Fraction = 0.999
    start: Fraction = 0.75
    lr: Annotated[float, Gt(0)] | None = None
    anneal_epochs: Count = 1
    every: Count = 5
    alpha: Annotated[float, Gt(0), Le(1)] = 0.5

    @property
    def spans_all_epochs(self) -> bool:
        """Whether its start depends on the number of epochs."""
        return self.name == "swa"

    def epochs_before(self, epochs: int) -> int:
        """The number of epochs before the first that is averaged; the last one always is."""
        # Rounded first: .29 x 100 is 28.999999999999996 in binary.
        return min(int(round(self.start * epochs, 9)), epochs - 1) if self.name == "swa" else 0


class EarlyStoppingSpec(Frozen):
    """Stop when the validation loss no longer improves.

    Attributes:
        patience: Stop after this many epochs in a row without improvement.
        min_delta: How much lower than the best so far a loss must be to count as an improvement.
    """

    patience: Count = 5
    min_delta: Annotated[float, Ge(0)] = 0.0


def _check_threads(value: Any) -> Any:
    if isinstance(value, str) and value != "auto":
        raise ValueError(f"must be auto or a whole number (got {shown(value)})")
    return "auto" if value is None else value


Threads = Annotated[
    Annotated[Literal["auto"], Tag("a name")] | Annotated[int, Ge(1), Le(MOST_CPUS), Tag("a number")],
    Discriminator(lambda value: "a name" if isinstance(value, str) else "a number"),
    BeforeValidator(_check_threads),
]
"""CPU threads; earlier versions wrote null for auto."""


AUTO = ("threads", "precision")
"""The fields of a training that can be auto."""


class TrainingSpec(Frozen):
    """The recipe: how the model is trained.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step.
        optimizer: How the weights are updated.
        schedule: How the learning rate changes.
        label_smoothing: Classification only: the share of each label that is spread over all classes.
        beta: Reconstruction only: the weight of the KL divergence, which acts like the variance of the decoder
            (`tune.training.tasks`).
        clip_norm: Scale gradients down to at most this norm.
        precision: The number type of the network's computations (torch.autocast); weights, loss and optimizer are
            always float32. float16 uses a gradient scaler. auto is bfloat16 where it is clearly faster, else float32.
        averaging: The average of the weights to validate and save, if any.
        early_stopping: Whether to stop when the validation loss no longer improves.
        progressive_size: Whether to train on smaller images first.
        threads: CPU threads. auto is one, or as many more as are clearly faster; in a search at most as many as a trial
            has CPUs. Results depend on it in their last digits. What auto stands for is measured on the machine where
            the training or search is started (`tune.runs.auto`), and recorded.
    """

    epochs: Budget = 10
    batch_size: Count = 128
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    label_smoothing: Fraction = 0.0
    beta: Annotated[float, Gt(0)] = 1.0
    clip_norm: Annotated[float, Gt(0)] | None = None
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    averaging: AveragingSpec = AveragingSpec()
    early_stopping: EarlyStoppingSpec | None = None
    progressive_size: ProgressiveSizeSpec | None = None
    threads: Threads = "auto"

    def threads_or(self, count: int) -> int:
        """The CPU threads, or `count` while that is left to a measurement."""
        return count if self.threads == "auto" else self.threads

    @property
    def spanning(self) -> tuple[str, ...]:
        """The parts that depend on the number of epochs, by name: more of them make a different training."""
        parts = [part.name for part in (self.schedule, self.averaging) if part.spans_all_epochs]
        return (*parts, *(["progressive_size"] if self.progressive_size else []))
