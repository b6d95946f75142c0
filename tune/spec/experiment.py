"""An experiment: the complete description of one training. Hashable, and equal after being written and read as YAML."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Discriminator, create_model

import models
from tune.spec.base import FROM_LIST, Frozen, Seed
from tune.spec.data_spec import DataSpec
from tune.spec.recipe import TrainingSpec


class ModelSpec(Frozen):
    """A model; each registered one has a subclass with its own options (`imagetune describe MODEL`)."""

    name: str

    def options(self) -> dict[str, Any]:
        """The model's keyword arguments."""
        return self.model_dump(exclude={"name"})


@functools.cache
def model_spec_class(name: str) -> type[ModelSpec]:
    """The specification of a registered model: its options with types, limits and defaults."""
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


class Experiment(Frozen):
    """Everything that a training depends on.

    Attributes:
        data: Which images, and how they are prepared.
        model: The network.
        training: The recipe.
        seed: The seed of the initial weights, the order of the images and the augmentation.
    """

    data: DataSpec
    model: AnyModelSpec
    training: TrainingSpec = TrainingSpec()
    seed: Seed = 0

    def to_tree(self) -> dict[str, Any]:
        """The YAML form: every field, including defaults."""
        return self.model_dump(mode="json")
