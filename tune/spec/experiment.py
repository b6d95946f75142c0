"""An experiment: the complete description of one training. Frozen, hashable, and the same after a trip through YAML."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Discriminator, ValidationInfo, create_model, field_validator

import models
from tune.spec.frozen import FROM_LIST, Fraction, Frozen
from tune.spec.images import DataSpec, Normalization

__all__ = [
    "DataSpec",
    "EarlyStoppingSpec",
    "Experiment",
    "Frozen",
    "ModelSpec",
    "Normalization",
    "OptimizerSpec",
    "ScheduleSpec",
    "TrainingSpec",
    "model_spec_class",
]


class ModelSpec(Frozen):
    """A model by name; each registered model has a subclass with its own options."""

    name: str

    def options(self) -> dict[str, Any]:
        """The model's keyword arguments."""
        return self.model_dump(exclude={"name"})


@functools.cache
def model_spec_class(name: str) -> type[ModelSpec]:
    """The specification of one registered model: its options with their types, limits and defaults."""
    fields: dict[str, Any] = {
        option.name: (Annotated[option.annotation, FROM_LIST], option.default)
        for option in models.options(name).values()
    }
    fields["name"] = (Literal[name], name)
    return create_model(f"{name}_spec", __base__=ModelSpec, **fields)


if TYPE_CHECKING:
    AnyModelSpec = ModelSpec
else:
    AnyModelSpec = Annotated[Union[tuple(model_spec_class(name) for name in models.names())], Discriminator("name")]  # noqa: UP007


class OptimizerSpec(Frozen):
    """torch.optim's SGD, Adam or AdamW; fields that the named one does not have must stay unset."""

    name: Literal["sgd", "adam", "adamw"] = "adam"
    lr: Annotated[float, Gt(0)] = 1e-3
    weight_decay: Annotated[float, Ge(0)] = 0.0
    momentum: Annotated[float, Ge(0), Lt(1)] | None = None
    nesterov: bool = False
    amsgrad: bool = False

    @field_validator("momentum", "nesterov")
    @classmethod
    def _of_sgd(cls, value: Any, info: ValidationInfo) -> Any:
        if value not in (None, False) and info.data.get("name") in ("adam", "adamw"):
            raise ValueError(f"{info.data['name']} has no {info.field_name}; legal: leave it out, or the name sgd")
        return value

    @field_validator("nesterov")
    @classmethod
    def _needs_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("name") == "sgd" and not info.data.get("momentum", True):
            raise ValueError("needs momentum; legal: momentum > 0, or leave it out")
        return nesterov

    @field_validator("amsgrad")
    @classmethod
    def _of_adam(cls, amsgrad: bool, info: ValidationInfo) -> bool:
        if amsgrad and info.data.get("name") == "sgd":
            raise ValueError("sgd has no amsgrad; legal: leave it out, or the name adam or adamw")
        return amsgrad


class ScheduleSpec(Frozen):
    """The learning rate over the training. `optimizer.lr` is its start, for onecycle its peak.

    constant; step (torch StepLR: times `gamma` every `step_size` epochs); cosine (per epoch, down to `min_lr`);
    onecycle (torch OneCycleLR with cosine annealing, per batch).
    """

    name: Literal["constant", "step", "cosine", "onecycle"] = "constant"
    step_size: Annotated[int, Ge(1)] = 7
    gamma: Annotated[float, Gt(0), Le(1)] = 0.1
    min_lr: Annotated[float, Ge(0)] = 0.0
    pct_start: Annotated[float, Gt(0), Lt(1)] = 0.3
    div_factor: Annotated[float, Ge(1)] = 25.0
    final_div_factor: Annotated[float, Ge(1)] = 1e4


class EarlyStoppingSpec(Frozen):
    """End when the validation loss has not gone below its best by `min_delta` for `patience` epochs."""

    patience: Annotated[int, Ge(1)] = 5
    min_delta: Annotated[float, Ge(0)] = 0.0


class TrainingSpec(Frozen):
    """The recipe. `threads` counts CPU threads, since sums differ with it; None: as many as the trial has CPUs."""

    epochs: Annotated[int, Ge(1)] = 10
    batch_size: Annotated[int, Ge(1)] = 128
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    label_smoothing: Fraction = 0.0
    clip_norm: Annotated[float, Gt(0)] | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    early_stopping: EarlyStoppingSpec | None = None
    threads: Annotated[int, Ge(1)] | None = None


class Experiment(Frozen):
    """Data, model, recipe and seed: all that one training depends on."""

    data: DataSpec
    model: AnyModelSpec
    training: TrainingSpec = TrainingSpec()
    seed: Annotated[int, Ge(0), Lt(2**63)] = 0

    def to_tree(self) -> dict[str, Any]:
        """The YAML form: every field, defaults included."""
        return self.model_dump(mode="json")
