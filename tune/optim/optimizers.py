"""The table of optimizers: `training.optimizer.name` and how each is built.

To add one, write a function `(model, device, *, fields of OptimizerSpec)` and add a row. An option that no other has
also needs its field, with limits and default, in `tune.spec.recipe.OptimizerSpec`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from tune.optim.muon import Muon


def _fused(device: torch.device) -> bool:
    """Whether the device has fused optimizers: one kernel for all parameters, and the same bits in every run."""
    return device.type in ("cpu", "cuda")


def _sgd(
    model: nn.Module, device: torch.device, *, lr: float, weight_decay: float, momentum: float | None, nesterov: bool
) -> Optimizer:
    return torch.optim.SGD(
        model.parameters(),
        lr=lr,
        momentum=momentum or 0.0,
        weight_decay=weight_decay,
        nesterov=nesterov,
        fused=_fused(device),
    )


def _adam(model: nn.Module, device: torch.device, *, lr: float, weight_decay: float, amsgrad: bool) -> Optimizer:
    return torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay, amsgrad=amsgrad, fused=_fused(device))


def _adamw(model: nn.Module, device: torch.device, *, lr: float, weight_decay: float, amsgrad: bool) -> Optimizer:
    return torch.optim.AdamW(
        model.parameters(), lr=lr, weight_decay=weight_decay, amsgrad=amsgrad, fused=_fused(device)
    )


def _muon(
    model: nn.Module, device: torch.device, *, lr: float, weight_decay: float, momentum: float | None
) -> Optimizer:
    return Muon(model, lr=lr, weight_decay=weight_decay, momentum=0.95 if momentum is None else momentum)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"sgd": _sgd, "adam": _adam, "adamw": _adamw, "muon": _muon}
"""By name: `build(model, device, *, fields)`, for a model whose parameters are on the device."""
