"""The cost of a model: parameters, multiply-adds and memory, by torchinfo on the meta device (nothing is computed)."""

from __future__ import annotations

import copy
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from types import ModuleType
from typing import Any

import torch
import torchinfo
from torch import Tensor, nn
from torchinfo.enums import Units

from models import registry
from models.errors import ModelError


@dataclass(frozen=True)
class Cost:
    """The cost of one forward and backward pass over a batch, as torchinfo counts it.

    Attributes:
        parameters: number of parameters, trainable or not.
        mult_adds: multiply-adds of the forward pass, of layers with parameters, including biases.
        forward_backward_bytes: outputs of layers with parameters, counted twice for the gradients.
        params_bytes: bytes of the parameters.
        input_bytes: bytes of the images as float32, plus about 64 for the Python object.
    """

    parameters: int
    mult_adds: int
    forward_backward_bytes: int
    params_bytes: int
    input_bytes: int

    @property
    def activation_bytes(self) -> int:
        """Bytes of the outputs of layers with parameters, without their gradients."""
        return self.forward_backward_bytes // 2

    @property
    def model_bytes(self) -> int:
        """Bytes of the parameters, which is about the size of a checkpoint of the weights."""
        return self.params_bytes


def cost(model: nn.Module, input_shape: Sequence[int], batch: int = 1) -> Cost:
    """Return the cost of a model on any device, for a batch of images (C, H, W); the model is not changed."""
    return _count(_without_storage(model), input_shape, batch)


def cost_of(name: str, input_shape: Sequence[int], classes: int, batch: int = 1, **options: Any) -> Cost:
    """Return the cost of a model of the registry, without allocating weights or using random numbers.

    Raises:
        ModelError: it cannot be built; see `registry.check`.
    """
    return _count(build_meta(name, input_shape, classes, **options), input_shape, batch)


def build_meta(name: str, input_shape: Sequence[int], classes: int, **options: Any) -> nn.Module:
    """Build a model of the registry on the meta device: shapes without weights.

    Raises:
        ModelError: it cannot be built; see `registry.check`.
    """
    with torch.device("meta"), _without_compiler():
        return registry.build(name, input_shape, classes, **options)


def require_size(name: str, input_shape: Sequence[int], classes: int, size: Sequence[int], **options: Any) -> None:
    """Raise `ModelError` if the model of images (C, H, W) does not accept a batch with the height and width `size`."""
    model = build_meta(name, input_shape, classes, **options)
    try:
        with _without_compiler():
            model(torch.empty(2, input_shape[0], *size, device="meta"))
    except (RuntimeError, ValueError):
        own, other = (" x ".join(map(str, sides)) for sides in (input_shape[1:], size))
        raise ModelError(f"{name} takes images of {own} pixels as it is, not of {other}") from None


def summary(model: nn.Module, input_shape: Sequence[int], batch: int = 1, width: int | None = None) -> str:
    """Return torchinfo's table for a batch of images (C, H, W): each layer's shapes, parameters and multiply-adds.

    If it is wider than `width` characters, columns are as narrow as their cells, and input shapes are left out if need
    be: each is the output of the layer above.
    """
    columns = ("input_size", "output_size", "num_params", "mult_adds")
    statistics = _statistics(_without_storage(model), input_shape, batch, col_names=columns)
    table = str(statistics)
    for unit in Units:
        table = table.replace(f"({unit!s})", f"({unit.value})")  # torchinfo 1.8 prints "(Units.GIGABYTES)" for "(G)"
    return _narrow(table, width) if width is not None and statistics.formatting.get_total_width() > width else table


def _narrow(table: str, width: int) -> str:
    cells = {line: re.split(" {2,}", line.replace("│    ", "│ ")) for line in table.splitlines()}
    rows = {line: found for line, found in cells.items() if len(found) == 5}
    widths = [max(len(found[column]) for found in rows.values()) for column in range(5)]
    shown = [0, 1, 2, 3, 4] if sum(widths) + 2 * 4 <= width else [0, 2, 3, 4]
    rule = "=" * (sum(widths[column] for column in shown) + 2 * (len(shown) - 1))
    return "\n".join(
        "  ".join(f"{rows[line][column]:<{widths[column]}}" for column in shown).rstrip()
        if line in rows
        else rule
        if line.startswith("==")
        else line
        for line in table.splitlines()
    )


def layer_counts(model: nn.Module) -> dict[str, int]:
    """Return how many layers of each type a model has, such as {"Conv2d": 6, "Linear": 4}, in order of appearance.

    A layer is a module without modules inside.
    """
    return dict(Counter(type(module).__name__ for module in model.modules() if not any(module.children())))


def _count(model: nn.Module, input_shape: Sequence[int], batch: int) -> Cost:
    statistics = _statistics(model, input_shape, batch)
    return Cost(
        parameters=statistics.total_params,
        mult_adds=statistics.total_mult_adds,
        forward_backward_bytes=statistics.total_output_bytes,
        params_bytes=statistics.total_param_bytes,
        input_bytes=statistics.total_input,
    )


def _statistics(model: nn.Module, input_shape: Sequence[int], batch: int, **settings: Any) -> torchinfo.ModelStatistics:
    # With `input_size=`, torchinfo would draw random images, and move the model to a GPU if there is one.
    images = torch.empty(batch, *input_shape, device="meta")
    with _without_compiler():
        return torchinfo.summary(model, input_data=images, mode="eval", verbose=0, **settings)


class _NoCompiler(ModuleType):
    """Stands in for `torch._dynamo`, and gives way to it as soon as anything but `disable` is asked for."""

    def disable(self, function: Any, *args: Any, **options: Any) -> Any:
        return function

    def __getattr__(self, name: str) -> Any:
        self.leave()
        return getattr(import_module(self.__name__), name)

    def leave(self) -> None:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
            vars(torch).pop("_dynamo", None)


@contextmanager
def _without_compiler() -> Iterator[None]:
    """For the block, do not import torch's compiler.

    The functions that infer shapes on the meta device are written in Python. Each begins by importing `torch._dynamo`,
    in 1.5 s, for no other purpose than that it be not compiled; nothing is.
    """
    if "torch._dynamo" in sys.modules:
        yield
        return
    stand_in = _NoCompiler("torch._dynamo")
    sys.modules["torch._dynamo"] = stand_in
    try:
        yield
    finally:
        stand_in.leave()


def _without_storage(model: nn.Module) -> nn.Module:
    """Return a copy of the model on the meta device, without copying its weights."""
    memo: dict[int, Tensor] = {}
    for tensor in chain(model.parameters(), model.buffers()):
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
    return copy.deepcopy(model, memo)
