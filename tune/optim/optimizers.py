"""The table of optimizers: `training.optimizer.name` and how each is built.

To add one, write a function `(model, device, *, fields of OptimizerSpec)` and add a row. An option that no other has
also needs its field, with limits and default, in `tune.spec.recipe.OptimizerSpec`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=lr,
        momentum=momentum or 0.0,
        weight_decay=weight_decay,
        nesterov=nesterov,
        fused=_fused(device),
    )
    if momentum:  # which torch leaves uninitialized if float16 overflows in the first step, so that it is skipped
        for parameter in model.parameters():
            if parameter.requires_grad:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


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


_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def norm_biases(model: nn.Module) -> list[nn.Parameter]:
    """The learned biases of a model's norms."""
    norms = (module for module in model.modules() if isinstance(module, _NORMS))
    return [norm.bias for norm in norms if isinstance(norm.bias, nn.Parameter)]


def divide_groups(optimizer: Optimizer, model: nn.Module, bias_lr_factor: float, decay: str) -> None:
    """Give norms' biases another learning rate, or norms and biases no weight decay.

    Divides each group of a new optimizer; the group of what is trained as before is always the first of them.

    Args:
        optimizer: Of the model's parameters, before its first step.
        model: The same.
        bias_lr_factor: What the learning rate of norms' biases is multiplied by.
        decay: "weights" decays the weights of convolutions and linear layers only; "all" decays every parameter.
    """
    biases = set(map(id, norm_biases(model)))
    groups = list[dict[str, Any]]()
    for group in optimizer.param_groups:
        parts: dict[tuple[float, float], list[nn.Parameter]] = {(1.0, 1.0): []}
        for parameter in group["params"]:
            rate = bias_lr_factor if id(parameter) in biases else 1.0
            share = 1.0 if decay == "all" or parameter.ndim > 1 else 0.0
            parts.setdefault((rate, share), []).append(parameter)
        groups += [
            {**group, "params": members, "lr": rate * group["lr"], "weight_decay": share * group["weight_decay"]}
            for (rate, share), members in parts.items()
            if members
        ]
    optimizer.param_groups[:] = groups
