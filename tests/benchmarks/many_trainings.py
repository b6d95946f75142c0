"""The trainings that many_at_once.py times: of one network, or of N with the same layers in batched operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

import models

IMAGES = 8_192
Weights = dict[str, Tensor]
Gradients = Callable[[nn.Module, Weights, Tensor, Tensor], tuple[Tensor, Sequence[Tensor]]]
"""The loss, and the gradients in the order of the weights, of one network or of N: of each, (N,) and (N, ...)."""


@dataclass
class Trials:
    """What N trainings start with: images (M, C, H, W) uint8, orders (N, steps, B), rates and momenta (N,), weights."""

    net: nn.Module
    images: Tensor
    labels: Tensor
    orders: Tensor
    rates: Tensor
    momenta: Tensor
    weights: Weights

    @property
    def lanes(self) -> list[torch.cuda.Stream]:
        """A stream for each network; none on the CPU."""
        return [new_stream() for _ in self.rates] if self.images.is_cuda else []

    def alone(self) -> list[Training]:
        """A training of each network."""
        return [
            Training(self, own_gradients, order, rate, momentum, {name: each[n] for name, each in self.weights.items()})
            for n, (order, rate, momentum) in enumerate(zip(self.orders, self.rates, self.momenta, strict=True))
        ]

    def stacked(self, gradients: Gradients, weights: Weights) -> Training:
        """One training of all networks."""
        return Training(self, gradients, self.orders, self.rates, self.momenta, weights)


def trials(
    name: str, n: int, device: torch.device, *, batch: int, count: int = IMAGES, shape: Sequence[int] | None = None
) -> Trials:
    """N networks of a model, on `count` images of the model's size or of another shape; float64 on the CPU."""
    dtype = torch.float32 if device.type == "cuda" else torch.float64
    shape = shape or models.get(name).native_input
    chance = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (count,), generator=chance)
    images = torch.randint(0, 128, (count, *shape), generator=chance) + 12 * labels.view(-1, 1, 1, 1)
    steps = count // batch
    orders = [torch.randperm(count, generator=chance)[: steps * batch].view(steps, batch) for _ in range(n)]
    nets = []
    for seed in range(n):
        torch.manual_seed(seed)
        nets.append(models.build(name, shape, 10, dropout=0.0).to(device, dtype))
    return Trials(
        nets[0],
        images.to(device, torch.uint8),
        labels.to(device),
        torch.stack(orders).to(device),
        torch.linspace(0.01, 0.03, n, dtype=dtype, device=device),
        torch.linspace(0.9, 0.5, n, dtype=dtype, device=device),
        {key: values.detach() for key, values in stack_module_state(nets)[0].items()},
    )


def new_stream() -> torch.cuda.Stream:
    """One of torch's 32 streams of the GPU."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


class Training:
    """Training of one network, or of N whose weights, orders and numbers have a first dimension of size N.

    Attributes:
        losses: The sum of the losses of all steps, () or (N,).
    """

    def __init__(
        self, common: Trials, gradients: Gradients, order: Tensor, rate: Tensor, momentum: Tensor, start: Weights
    ) -> None:
        self._common, self._gradients = common, gradients
        self._order, self._rate, self._momentum = order, rate.clone(), momentum.clone()
        self._start = start
        self._weights = {name: weight.clone() for name, weight in start.items()}
        self._velocities = [torch.zeros_like(weight) for weight in self._weights.values()]
        self._position = torch.zeros(1, dtype=torch.int64, device=order.device)
        self.losses = torch.zeros_like(self._rate)

    def reset(self) -> None:
        """Go back to the start."""
        for name, weight in self._weights.items():
            weight.copy_(self._start[name])
        for zero in (*self._velocities, self._position, self.losses):
            zero.zero_()

    def step(self) -> None:
        """Take one step; nothing comes from the host."""
        places = self._order.index_select(-2, self._position).squeeze(-2)  # (B,) or (N, B)
        images = self._common.images.index_select(0, places.flatten()).to(self._rate.dtype).mul_(1 / 127.5).sub_(1)
        images = images.view(*places.shape, *images.shape[1:])
        labels = self._common.labels.index_select(0, places.flatten()).view(places.shape)
        losses, gradients = self._gradients(self._common.net, self._weights, images, labels)
        self._update(gradients)
        self.losses.add_(losses)
        self._position.add_(1).remainder_(self._order.shape[-2])

    def _update(self, gradients: Sequence[Tensor]) -> None:
        weights = list(self._weights.values())
        if self._rate.dim() == 0:  # a few kernels for all weights
            torch._foreach_mul_(self._velocities, self._momentum)
            torch._foreach_add_(self._velocities, list(gradients))
            torch._foreach_sub_(weights, torch._foreach_mul(self._velocities, self._rate))
            return
        for weight, velocity, gradient in zip(weights, self._velocities, gradients, strict=True):
            rate, momentum = (number.view(-1, *[1] * (weight.dim() - 1)) for number in (self._rate, self._momentum))
            torch.addcmul(gradient, velocity, momentum, out=velocity)
            weight.addcmul_(velocity, rate, value=-1)


def loss_of(net: nn.Module, weights: Weights, images: Tensor, labels: Tensor) -> Tensor:
    """The loss of one network."""
    return F.cross_entropy(functional_call(net, weights, (images,)), labels)


def own_gradients(net: nn.Module, weights: Weights, images: Tensor, labels: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
    """Of one network, as everybody computes them."""
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    loss = loss_of(net, leaves, images, labels)
    return loss.detach(), torch.autograd.grad(loss, tuple(leaves.values()))


def vmap_gradients(net: nn.Module, weights: Weights, images: Tensor, labels: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
    """Of N networks: torch turns their convolutions into one with groups."""
    one = grad_and_value(lambda *values: loss_of(net, *values))
    gradients, losses = vmap(one)(weights, images, labels)
    return losses, [gradients[name] for name in weights]


def unfolded_gradients(
    net: nn.Module, weights: Weights, images: Tensor, labels: Tensor
) -> tuple[Tensor, Sequence[Tensor]]:
    """Of N networks: convolutions and linear layers are batched matrix products. Weights are (N, in, out)."""
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    n, count = images.shape[0], images.shape[1]
    x = images.flatten(0, 1).permute(0, 2, 3, 1)  # (N B, H, W, C): a matrix product's output is an image again
    for name, layer in net.named_children():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            size = x.shape[:-1]
            if isinstance(layer, nn.Conv2d):
                x = patches(x, layer)
            weight, bias = leaves[f"{name}.weight"], leaves[f"{name}.bias"]
            x = torch.baddbmm(bias.unsqueeze(1), x.reshape(n, -1, weight.shape[1]), weight).view(*size, -1)
        elif isinstance(layer, nn.MaxPool2d):
            x = layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        elif isinstance(layer, nn.Flatten):
            x = layer(x.permute(0, 3, 1, 2))
        elif isinstance(layer, nn.ReLU):
            x = layer(x)
        else:
            raise TypeError(f"no batched form of {layer}")
    losses = F.cross_entropy(x, labels.flatten(), reduction="none").view(n, count).mean(1)
    return losses.detach(), torch.autograd.grad(losses.sum(), tuple(leaves.values()))


def patches(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """What each output pixel of a convolution that keeps the size sees: (B, H, W, C) to a view (B, H, W, k, k, C).

    Not `F.unfold`: on a GPU it starts a kernel for every image.
    """
    side = layer.kernel_size[0]
    assert layer.stride == (1, 1)
    assert layer.padding == (side // 2, side // 2)
    padded = F.pad(x, (0, 0, *[side // 2] * 4))
    return padded.unfold(1, side, 1).unfold(2, side, 1).permute(0, 1, 2, 4, 5, 3)


def unfolded_weights(weights: Weights) -> Weights:
    """Weights (N, out, in) and (N, out, C, k, k) as (N, in, out) and (N, k k C, out); biases as they are."""
    orders = {3: (0, 2, 1), 5: (0, 3, 4, 2, 1)}
    turned = {name: each.permute(orders.get(each.dim(), (0, 1))).contiguous() for name, each in weights.items()}
    return {name: each.flatten(1, 3) if each.dim() == 5 else each for name, each in turned.items()}
