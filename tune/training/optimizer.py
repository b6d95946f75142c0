"""A recipe's words made into torch's objects: optimizer and precision. Schedules, averages: in files of their own."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from tune.spec.experiment import OptimizerSpec, TrainingSpec
from tune.training.float16 import float16_on_cpu
from tune.training.muon import Muon

# Devices where torch's fused optimizers work: one kernel for all parameters, and the same bits at every run.
_FUSED = ("cpu", "cuda")

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def build_optimizer(spec: OptimizerSpec, model: nn.Module, device: torch.device) -> Optimizer:
    """The optimizer over the model's parameters, which lie on the device; fused where torch can."""
    common: dict[str, Any] = {"lr": spec.lr, "weight_decay": spec.weight_decay}
    if spec.name == "muon":
        return Muon(model, momentum=0.95 if spec.momentum is None else spec.momentum, **common)
    common["fused"] = device.type in _FUSED
    if spec.name == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=spec.momentum or 0.0, nesterov=spec.nesterov, **common)
    adam = torch.optim.Adam if spec.name == "adam" else torch.optim.AdamW
    return adam(model.parameters(), amsgrad=spec.amsgrad, **common)


def autocast(spec: TrainingSpec, device: torch.device) -> AbstractContextManager[Any]:
    """The context in which a model is applied, in training and in validation alike; float32 is torch's plain course."""
    if spec.precision == "float32":
        return nullcontext()
    if spec.precision == "float16" and device.type == "cpu":
        return float16_on_cpu()
    return torch.autocast(device.type, dtype=_DTYPES[spec.precision])
