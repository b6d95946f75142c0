"""The optimizer of an experiment, and one step of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tune.optim import fields_of
from tune.optim.optimizers import OPTIMIZERS, divide_groups
from tune.spec.recipe import OptimizerSpec, TrainingSpec


def build_optimizer(spec: OptimizerSpec, model: nn.Module, device: torch.device) -> Optimizer:
    """The optimizer of a model's parameters, which are on the device."""
    build = OPTIMIZERS[spec.name]
    optimizer = build(model, device, **{field: getattr(spec, field) for field in fields_of(build)})
    if (spec.bias_lr_factor, spec.decay) != (1.0, "all"):
        divide_groups(optimizer, model, spec.bias_lr_factor, spec.decay)
    return optimizer


class OptimizerStep:
    """Backward pass, clipping, and the optimizer's step.

    float16 represents nothing below 6e-8 and loses precision below 6e-5, where many gradients are. The loss is scaled
    up before the backward pass and the gradients down after it, and a step whose gradients overflow is skipped
    (torch.amp.GradScaler; Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740). In other precisions the scaler
    does nothing.

    Attributes:
        optimizer: Of the model's parameters.

    Args:
        spec: The recipe.
        model: On its device.
        device: The same.
    """

    def __init__(self, spec: TrainingSpec, model: nn.Module, device: torch.device) -> None:
        self.optimizer = build_optimizer(spec.optimizer, model, device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=spec.precision == "float16")
        self._parameters = list(model.parameters())
        self._clip_norm = spec.clip_norm

    def step(self, loss: Tensor) -> None:
        """Update the parameters by the gradient of a scalar loss, clipped to the recipe's norm."""
        self.backward(loss)
        self.update()

    def backward(self, loss: Tensor) -> None:
        """Set the parameters' gradients to those of a scalar loss."""
        self.optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def update(self) -> None:
        """Update the parameters by their gradients, clipped to the recipe's norm."""
        if self._clip_norm is not None:
            self._scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        self._scaler.step(self.optimizer)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The states of the optimizer and the scaler; the latter is empty if it does nothing."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state, whatever device it was trained on."""
        self.optimizer.load_state_dict(state["optimizer"])
        for parameter, values in self.optimizer.state.items():
            values.update({name: _laid_out(value, parameter) for name, value in values.items()})
        self._scaler.load_state_dict(state["scaler"])


def _laid_out(value: Any, parameter: Tensor) -> Any:
    """A value of an optimizer's state, in its parameter's memory format if it has the parameter's shape.

    Torch moves a state to the parameters' device, but keeps its memory format, which may be another one there
    (`model.memory_format`). Fused optimizers then raise on a GPU; on a CPU they take the numbers in the wrong order.
    """
    if not isinstance(value, Tensor) or value.shape != parameter.shape or value.stride() == parameter.stride():
        return value
    return torch.empty_like(parameter).copy_(value)
