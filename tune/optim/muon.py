"""Muon: orthogonalized momentum for hidden matrices, AdamW for all other parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# The quintic iteration of Jordan et al. 2024: steep at 0, so that five steps bring all singular values near 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


class Muon(torch.optim.AdamW):
    """Muon for hidden matrices and AdamW for the rest, as one optimizer with one learning rate.

    K. Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon/). Convolutions are matrices of (out, in x height x
    width). Muon's steps are scaled to the size of AdamW's, so that both can share a learning rate and weight decay
    (J. Liu et al. 2025, https://arxiv.org/abs/2502.16982, section 2.2). All matrices are hidden except for the last,
    which computes the outputs.

    The implementations of torch, timm and pytorch_optimizer iterate in bfloat16 on every device. On a CPU without
    bfloat16 instructions that takes 235 ms for one matrix of 128 x 3,136, and 12.5 ms in float32.

    Args:
        model: The model to train.
        lr: Learning rate of both.
        weight_decay: Of both, decoupled.
        momentum: Of the matrices; stored as the first of their group's betas, where schedules that cycle it look.
    """

    def __init__(self, model: nn.Module, *, lr: float, weight_decay: float, momentum: float) -> None:
        matrices, others = split_parameters(model)
        groups: list[dict[str, Any]] = [
            {"params": others, "matrices": False},
            {"params": matrices, "matrices": True, "betas": (momentum, 0.999)},
        ]
        super().__init__([group for group in groups if group["params"]], lr=lr, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; clears the gradients of the matrices."""
        for group in self.param_groups:
            if group["matrices"]:
                self._step_matrices(group)
        return super().step(closure)  # type: ignore[no-any-return]  # skips parameters without a gradient

    def _step_matrices(self, group: dict[str, Any]) -> None:
        momentum, lr = group["betas"][0], group["lr"]
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(weight)
                state["step"] = torch.tensor(0.0)  # AdamW expects it when it loads a state
            state["momentum_buffer"].lerp_(weight.grad, 1 - momentum)
            update = orthogonal(weight.grad.lerp(state["momentum_buffer"], momentum).flatten(1))
            weight.mul_(1 - lr * group["weight_decay"])
            weight.add_(update.view(weight.shape), alpha=-0.2 * math.sqrt(max(update.shape)) * lr)
            weight.grad = None


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The hidden matrices of a network, and its other parameters: biases, norms, and the output layer's matrix."""
    parameters = list(model.parameters())
    hidden = {id(parameter) for parameter in [parameter for parameter in parameters if parameter.ndim > 1][:-1]}
    matrices = [parameter for parameter in parameters if id(parameter) in hidden]
    return matrices, [parameter for parameter in parameters if id(parameter) not in hidden]


def orthogonal(matrix: Tensor) -> Tensor:
    """The (rows, columns) matrix with all singular values moved near 1 (.68 to 1.14) by Newton-Schulz; float32."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    if x.device.type == "cuda":
        x = _iterated(x.bfloat16())
    else:
        x = _iterated(x) if x.shape[1] < 2 * x.shape[0] else _factor(x @ x.T) @ x
    return (x.T if tall else x).float().contiguous()


def _iterated(x: Tensor) -> Tensor:
    """The iteration `x = (a + b x x' + c (x x')^2) x`, as published."""
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _factor(gram: Tensor) -> Tensor:
    """The same iteration of a wide matrix as one factor (rows, rows), from its `x x'` alone.

    All factors are polynomials of the first `x x'`, so that they commute and `x x'` becomes `p (x x') p`. It takes 17
    products of (rows, rows) and two with the matrix, instead of 5 and ten.
    """
    a, b, c = COEFFICIENTS
    factor = torch.empty(0)
    for step in range(STEPS):
        p = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        p.diagonal().add_(a)
        factor = p if step == 0 else p @ factor
        if step < STEPS - 1:
            gram = p @ gram @ p
    return factor
