"""An experiment: the complete description of one training. Frozen, hashable, and the same after a trip through YAML."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    PlainSerializer,
    create_model,
    field_validator,
    model_validator,
)

import data
import models
from data import registry as datasets
from tune.spec.errors import nearest

Fraction = Annotated[float, Ge(0), Lt(1)]


def _tuple_from_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


PerChannel = Annotated[tuple[float, ...], BeforeValidator(_tuple_from_list)]


class Frozen(BaseModel):
    """The ground of every specification: unknown keys are refused, and `"10"` is not a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Normalization(Frozen):
    """Per channel: (pixel / 255 - mean) / std."""

    mean: PerChannel
    std: PerChannel

    @model_validator(mode="after")
    def _same_length(self) -> Normalization:
        if len(self.mean) != len(self.std) or not self.mean or min(self.std) <= 0:
            raise ValueError(
                f"mean {list(self.mean)} and std {list(self.std)} do not fit; legal: as many of each, std > 0"
            )
        return self


def _parse_augment(raw: Any) -> Any:
    """Pairs (name, options as JSON), from a list of names or a mapping name -> options (null for the defaults)."""
    if isinstance(raw, str) or not isinstance(raw, list | dict):
        return raw
    table = raw if isinstance(raw, dict) else dict.fromkeys(raw)
    data.build_augment(table)  # refuses unknown names and options
    return tuple((name, json.dumps(options or {}, sort_keys=True)) for name, options in table.items())


def _augment_table(steps: tuple[tuple[str, str], ...]) -> dict[str, dict[str, Any]]:
    return {name: json.loads(options) for name, options in steps}


Augment = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_parse_augment), PlainSerializer(_augment_table)]
"""Augmentations in the order in which they are applied; hashable, and a mapping again in YAML."""


class DataSpec(Frozen):
    """Which images, how they are split, and what is done to them before the model sees them."""

    name: str
    path: str | None = None
    image_size: Annotated[int, Ge(1)] | None = None
    validation_fraction: Fraction = 0.1
    test_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    split_seed: Annotated[int, Ge(0)] = 42
    train_limit: Annotated[int, Ge(1)] | None = None
    skip_unreadable: bool = False
    normalize: Literal["half", "dataset", "none"] | Normalization = "half"
    augment: Augment = ()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in datasets.names():
            raise ValueError(f"{name!r} is not a data set; {nearest(name, datasets.names())}")
        return name

    @model_validator(mode="after")
    def _only_folders_have_paths(self) -> DataSpec:
        given = [key for key in ("path", "image_size") if getattr(self, key) is not None]
        if self.name == "folder" and len(given) < 2:
            raise ValueError("the data set `folder` needs both path and image_size")
        if self.name != "folder" and given:
            raise ValueError(f"{' and '.join(given)} go with the data set `folder`, not with {self.name}")
        return self

    @property
    def source(self) -> data.Source:
        """What the data package needs to read the images."""
        return data.Source(
            name=self.name,
            path=self.path,
            image_size=self.image_size,
            test_fraction=self.test_fraction,
            split_seed=self.split_seed,
            skip_unreadable=self.skip_unreadable,
        )


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
        option.name: (Annotated[option.annotation, BeforeValidator(_tuple_from_list)], option.default)
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

    @model_validator(mode="after")
    def _belongs(self) -> OptimizerSpec:
        sgd = self.name == "sgd"
        foreign = ["amsgrad"] * (sgd and self.amsgrad)
        foreign += ["momentum"] * (not sgd and self.momentum is not None) + ["nesterov"] * (not sgd and self.nesterov)
        if foreign:
            raise ValueError(f"{self.name} has no {' and no '.join(foreign)}; legal: leave it out, or another name")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum; legal: momentum > 0")
        return self


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
