"""The parametric classifier, built from a plan.

The published CIFAR-10 search varies the four numbers of the plan; the other options were added here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated

from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from models.blocks import (
    ACTIVATIONS,
    Activation,
    Norm,
    Pooling,
    Probability,
    Residual,
    Scale,
    conv_norm_activation,
    dense,
    dropouts,
    pool,
)
from models.classifier_plan import Channels, ClassifierPlan, Layers, plan
from models.errors import ModelError

ResidualLayers = Annotated[int, Ge(1), Le(8)]
LogitScale = Annotated[float, Gt(0), Le(1_000)]


class Classifier(nn.Module):
    """Convolution stages that shrink the image and change the channels, then linear layers.

    A stage is a 3 x 3 convolution, norm, activation and pooling, and optionally a residual block.

    Args:
        channels: of the image, then after each stage.
        sizes: side of the image, then of the feature map after each stage, in pixels; as many as `channels`.
        widths: features entering the head, then after each linear layer.
        activation: name of the activation.
        pooling: name of the pooling; "max" and "average" are adaptive, so that the sizes are the same for all three.
        residual_layers: each stage ends with `x + body(x)`, where the body is this number of layers
            `activation(norm(conv3x3(.)))`; 0 for none.
        norm: name of the norm after each convolution.
        dropout: probability of zeroing a feature before each linear layer.
        logit_scale: factor on the outputs of the last linear layer.
    """

    def __init__(
        self,
        channels: Sequence[int],
        sizes: Sequence[int],
        widths: Sequence[int],
        *,
        activation: Activation,
        pooling: Pooling,
        residual_layers: int,
        norm: Norm,
        dropout: float,
        logit_scale: float,
    ) -> None:
        super().__init__()

        def stage(in_channels: int, out_channels: int, in_size: int, out_size: int) -> Iterator[tuple[str, nn.Module]]:
            yield from conv_norm_activation(in_channels, out_channels, norm=norm, activation=activation)
            yield "pool", pool(pooling, in_size, out_size)
            if residual_layers:
                yield "residual", Residual(residual_body(out_channels, residual_layers, norm, activation))

        steps = zip(pairwise(channels), pairwise(sizes), strict=True)
        self.stages = nn.Sequential(*(nn.Sequential(OrderedDict(stage(*c, *s))) for c, s in steps))
        self.head = nn.Sequential(
            ACTIVATIONS[activation](),
            nn.Flatten(),
            *dropouts(dropout),
            *dense(widths, activation=activation, dropout=dropout),
            *(() if logit_scale == 1 else (Scale(logit_scale),)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, classes)."""
        logits: Tensor = self.head(self.stages(images))
        return logits


def residual_body(channels: int, layers: int, norm: Norm, activation: Activation) -> nn.Sequential:
    """Return `layers` convolutions that keep the shape (B, channels, H, W), each with its norm and activation."""
    named = (
        (name if layer == 0 else f"{name}{layer + 1}", module)
        for layer in range(layers)
        for name, module in conv_norm_activation(channels, channels, norm=norm, activation=activation)
    )
    return nn.Sequential(OrderedDict(named))


def check_classifier(
    input_shape: Sequence[int],
    classes: int,
    *,
    starting_channels: int,
    final_channels: int,
    cnn_layers: int,
    fcn_layers: int,
    residual: bool,
    residual_layers: int,
    **_others: object,
) -> ClassifierPlan:
    """Return the plan of these options; raise `ModelError` if there is none, or if an option would be ignored."""
    if residual_layers > 1 and not residual:
        raise ModelError(
            f"classifier: residual_layers={residual_layers} has no effect without residual=true; set that, or leave "
            "residual_layers out"
        )
    return plan(
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
    residual_layers: ResidualLayers = 1,
    norm: Norm = "batch",
    dropout: Probability = 0.0,
    logit_scale: LogitScale = 1.0,
) -> Classifier:
    """Build the classifier; the defaults are the best of the published CIFAR-10 search (875,592 parameters there).

    With `residual` and two `residual_layers`, a stage is like a block of ResNet-9 (Page 2018, "How to train your
    ResNet"). That network also scales its logits by 1/8, so that training with a large learning rate starts from nearly
    equal probabilities.
    """
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
        residual_layers=residual_layers if residual else 0,
        norm=norm,
        dropout=dropout,
        logit_scale=logit_scale,
    )
