"""The parametric classifier: the network that a plan describes.

The published CIFAR-10 search varies the plan's four numbers; the other options are ours.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor, nn

from models.blocks import (
    ACTIVATIONS,
    Activation,
    Norm,
    Pooling,
    Probability,
    Residual,
    conv_norm_activation,
    dense,
    dropouts,
    pool,
)
from models.classifier_plan import Channels, Layers, plan


class Classifier(nn.Module):
    """Convolution stages that shrink the image and widen the channels, then linear layers.

    A stage is a 3 x 3 convolution, norm, activation and pooling, and on request a residual convolution after it.

    Args:
        channels: of the image, then after each stage.
        sizes: side of the image, then of the feature map after each stage, in pixels; as many as `channels`.
        widths: features entering the head, then after each linear layer.
        activation: name of the activation, the same throughout.
        pooling: name of the pooling; "max" and "average" are adaptive, so that the sizes are the same with all three.
        residual: add `x + activation(norm(conv3x3(x)))` at the end of each stage.
        norm: name of the norm after each convolution.
        dropout: probability of zeroing a feature before each linear layer.
    """

    def __init__(
        self,
        channels: Sequence[int],
        sizes: Sequence[int],
        widths: Sequence[int],
        *,
        activation: Activation,
        pooling: Pooling,
        residual: bool,
        norm: Norm,
        dropout: float,
    ) -> None:
        super().__init__()

        def stage(in_channels: int, out_channels: int, in_size: int, out_size: int) -> Iterator[tuple[str, nn.Module]]:
            yield from conv_norm_activation(in_channels, out_channels, norm=norm, activation=activation)
            yield "pool", pool(pooling, in_size, out_size)
            if residual:
                body = conv_norm_activation(out_channels, out_channels, norm=norm, activation=activation)
                yield "residual", Residual(nn.Sequential(OrderedDict(body)))

        steps = zip(pairwise(channels), pairwise(sizes), strict=True)
        self.stages = nn.Sequential(*(nn.Sequential(OrderedDict(stage(*c, *s))) for c, s in steps))
        self.head = nn.Sequential(
            ACTIVATIONS[activation](),
            nn.Flatten(),
            *dropouts(dropout),
            *dense(widths, activation=activation, dropout=dropout),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, classes)."""
        logits: Tensor = self.head(self.stages(images))
        return logits


def check_classifier(
    input_shape: Sequence[int],
    classes: int,
    *,
    starting_channels: int,
    final_channels: int,
    cnn_layers: int,
    fcn_layers: int,
    **_others: object,
) -> None:
    """Raise `ModelError` if these options have no plan; the options that do not enter the plan always fit."""
    plan(
        input_shape,
        classes,
        starting_channels=starting_channels,
        final_channels=final_channels,
        cnn_layers=cnn_layers,
        fcn_layers=fcn_layers,
    )


def classifier(
    input_shape: Sequence[int],
    classes: int,
    *,
    starting_channels: Channels = 46,
    final_channels: Channels = 210,
    cnn_layers: Layers = 6,
    fcn_layers: Layers = 4,
    activation: Activation = "mish",
    pooling: Pooling = "fractional",
    residual: bool = False,
    norm: Norm = "batch",
    dropout: Probability = 0.0,
) -> Classifier:
    """Build the classifier; the defaults are the best of the published CIFAR-10 search (875,592 parameters there)."""
    numbers = plan(
        input_shape,
        classes,
        starting_channels=starting_channels,
        final_channels=final_channels,
        cnn_layers=cnn_layers,
        fcn_layers=fcn_layers,
    )
    return Classifier(
        numbers.channels,
        (input_shape[-1], *numbers.sizes),
        numbers.widths,
        activation=activation,
        pooling=pooling,
        residual=residual,
        norm=norm,
        dropout=dropout,
    )
