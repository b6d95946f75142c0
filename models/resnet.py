"""The residual network for small images (He et al. 2016, https://arxiv.org/abs/1512.03385, section 4.2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from models.blocks import ACTIVATIONS, Activation, Probability, dropouts

Shortcut = Literal["identity", "projection"]
Blocks = Annotated[int, Ge(1), Le(64)]
Stages = Annotated[int, Ge(1), Le(6)]
BaseWidth = Annotated[int, Ge(1), Le(4_096)]


class PaddedShortcut(nn.Module):
    """The shortcut without parameters ("option A"): every `stride`-th pixel, and zeros for additional channels.

    Args:
        in_channels: of the input.
        out_channels: of the output; at least `in_channels`.
        stride: in pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels = out_channels - in_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, out, ceil(H / stride), ceil(W / stride))."""
        return F.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


class BasicBlock(nn.Module):
    """`activation(shortcut(x) + norm(conv(activation(norm(conv(x))))))`; the first convolution has the stride.

    Args:
        in_channels: of the input.
        out_channels: of both convolutions.
        stride: in pixels; 1 or 2.
        shortcut: used if the shape changes: "identity" pads with zeros (option A), "projection" is a 1 x 1
            convolution (option B).
        activation: name of the activation.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, shortcut: Shortcut, activation: Activation
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            ACTIVATIONS[activation](),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if (in_channels, stride) != (out_channels, 1):
            self.shortcut = (
                PaddedShortcut(in_channels, out_channels, stride)
                if shortcut == "identity"
                else nn.Sequential(
                    nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
                )
            )
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, out, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.activation(self.shortcut(x) + self.body(x))
        return out


def mini_resnet(
    input_shape: Sequence[int],
    classes: int,
    *,
    blocks_per_stage: Blocks = 3,
    width: BaseWidth = 16,
    stages: Stages = 3,
    shortcut: Shortcut = "identity",
    activation: Activation = "relu",
    dropout: Probability = 0.0,
) -> nn.Sequential:
    """Build the ResNet with n blocks in each of three stages, 6n + 2 layers: by default ResNet-20, 269,722 parameters.

    Strides round up, so that any image size works.

    Args:
        input_shape: (C, H, W), in pixels.
        classes: number of outputs.
        blocks_per_stage: n, blocks of two convolutions each.
        width: channels of the first stage; each further stage doubles them and halves the sides.
        stages: number of stages.
        shortcut: used if a block changes the shape: "identity" (option A, the paper's for CIFAR) or "projection" (B).
        activation: name of the activation.
        dropout: probability of dropping a feature before the linear layer.
    """
    widths = [width * 2**stage for stage in range(stages)]

    def stage(in_channels: int, out_channels: int, stride: int) -> Iterator[nn.Module]:
        for block in range(blocks_per_stage):
            shape = (out_channels, out_channels, 1) if block else (in_channels, out_channels, stride)
            yield BasicBlock(*shape, shortcut=shortcut, activation=activation)

    stem = [
        nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        ACTIVATIONS[activation](),
    ]
    steps = ((width, width, 1), *((*pair, 2) for pair in pairwise(widths)))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *dropouts(dropout), nn.Linear(widths[-1], classes)]
    network = nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(*stem),
            stages=nn.Sequential(*(nn.Sequential(*stage(*step)) for step in steps)),
            head=nn.Sequential(*head),
        )
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d):  # the paper's initial weights (He et al. 2015, arXiv 1502.01852)
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
