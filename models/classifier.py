"""The parametric classifier, built from a plan.

The published CIFAR-10 search varies the four numbers of the plan; the other options were added here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MaxLen
from torch import Tensor, nn

from models.blocks import (
    ACTIVATIONS,
    Activation,
    Norm,
    Probability,
    Residual,
    Scale,
    conv_norm_activation,
    dense,
    dropouts,
)
from models.classifier_plan import FINAL_SIZE, Channels, ClassifierPlan, Layers, plan
from models.errors import ModelError
from models.first_weights import Whitening, start_as_identity
from models.pooling import MaxPool, Pooling, pool

Initialization = Literal["default", "dirac"]
Patches = Literal["none", "2x2", "3x3"]
ResidualLayers = Annotated[int, Ge(1), Le(8)]
StageLayers = Annotated[int, Ge(1), Le(8)]
LogitScale = Annotated[float, Gt(0), Le(1_000)]
StageChannels = Annotated[tuple[Channels, ...], MaxLen(64)]
FinalSize = Annotated[int, Ge(1), Le(256)]
_SPACED = {"starting_channels": 46, "final_channels": 210, "cnn_layers": 6}


class Classifier(nn.Module):
    """Convolution stages that shrink the image and change the channels, then linear layers.

    A stage is a 3 x 3 convolution, norm, activation and pooling, and optionally more convolutions and a residual block.

    Args:
        channels: of the image, then after each stage.
        sizes: side of the image, then of the feature map after each stage, in pixels; as many as `channels`.
        widths: features entering the head, then after each linear layer.
        activation: name of the activation.
        pooling: name of the pooling; "max" and "average" are adaptive, so that the sizes are the same for all three.
            With them, images may be smaller or larger than they were planned to be: sizes change in proportion.
        early_pooling: pool right after a stage's first convolution, not after its last activation.
        stage_layers: convolutions of a stage, each with its norm and activation.
        residual_layers: each stage ends with `x + body(x)`, where the body is this number of layers
            `activation(norm(conv3x3(.)))`; 0 for none.
        norm: name of the norm after each convolution.
        dropout: probability of zeroing a feature before each linear layer.
        logit_scale: factor on the outputs of the last linear layer.
        global_pooling: the head begins with each channel's maximum, not with an activation of all features.
        whitening: the patches, in pixels, that a first, frozen convolution whitens (`Whitening`), or "none".
        initialization: "dirac" lets the convolutions after the first begin as identities (`start_as_identity`).
    """

    def __init__(
        self,
        channels: Sequence[int],
        sizes: Sequence[int],
        widths: Sequence[int],
        *,
        activation: Activation,
        pooling: Pooling,
        early_pooling: bool,
        stage_layers: int,
        residual_layers: int,
        norm: Norm,
        dropout: float,
        logit_scale: float,
        global_pooling: bool,
        whitening: Patches,
        initialization: Initialization,
    ) -> None:
        super().__init__()
        self.whitening = None if whitening == "none" else Whitening(channels[0], int(whitening[0]))
        if self.whitening is not None:
            channels = (self.whitening.out_channels, *channels[1:])
            sizes = (sizes[0] - self.whitening.kernel_size[0] + 1, *sizes[1:])

        def stage(in_channels: int, out_channels: int, in_size: int, out_size: int) -> Iterator[tuple[str, nn.Module]]:
            pooled = pool(pooling, in_size, out_size, fixed=out_size == sizes[-1] and not global_pooling)
            early = pooled if early_pooling else None
            yield from conv_norm_activation(in_channels, out_channels, norm=norm, activation=activation, pooling=early)
            yield from body(out_channels, stage_layers, norm, activation, first=2)
            if not early_pooling:
                yield "pool", pooled
            if residual_layers:
                yield (
                    "residual",
                    Residual(nn.Sequential(OrderedDict(body(out_channels, residual_layers, norm, activation)))),
                )

        steps = zip(pairwise(channels), pairwise(sizes), strict=True)
        self.stages = nn.Sequential(*(nn.Sequential(OrderedDict(stage(*c, *s))) for c, s in steps))
        self.head = nn.Sequential(
            MaxPool(1) if global_pooling else ACTIVATIONS[activation](),
            nn.Flatten(),
            *dropouts(dropout),
            *dense(widths, activation=activation, dropout=dropout),
            *(() if logit_scale == 1 else (Scale(logit_scale),)),
        )
        if initialization == "dirac":
            start_as_identity(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, classes)."""
        features = images if self.whitening is None else self.whitening(images)
        logits: Tensor = self.head(self.stages(features))
        return logits


def body(
    channels: int, layers: int, norm: Norm, activation: Activation, first: int = 1
) -> Iterator[tuple[str, nn.Module]]:
    """Yield convolutions that keep the shape (B, channels, H, W), each with its norm and activation.

    Those after the first have their number in their name: `conv2`. Layers before `first` are left out.
    """
    for layer in range(first, layers + 1):
        for name, module in conv_norm_activation(channels, channels, norm=norm, activation=activation):
            yield (name if layer == 1 else f"{name}{layer}"), module


def check_classifier(
    input_shape: Sequence[int],
    classes: int,
    *,
    fcn_layers: int,
    conv_channels: Sequence[int],
    residual: bool,
    residual_layers: int,
    final_size: int,
    global_pooling: bool,
    whitening: Patches,
    **others: Any,
) -> ClassifierPlan:
    """Return the plan of these options; raise `ModelError` if there is none, or if an option would be ignored."""
    if residual_layers > 1 and not residual:
        raise ModelError(
            f"classifier: residual_layers={residual_layers} has no effect without residual=true; set that, or leave "
            "residual_layers out"
        )
    spaced = {name: others[name] for name in _SPACED}
    if conv_channels and spaced != _SPACED:
        name = next(name for name in _SPACED if spaced[name] != _SPACED[name])
        raise ModelError(
            f"classifier: {name}={spaced[name]} has no effect with conv_channels={list(conv_channels)}, which gives "
            "the channels of every stage; leave one of the two out"
        )
    numbers = plan(
        input_shape,
        classes,
        **spaced,
        fcn_layers=fcn_layers,
        conv_channels=conv_channels,
        final_size=final_size,
        head_size=1 if global_pooling else None,
    )
    left = input_shape[-1] + 1 - (1 if whitening == "none" else int(whitening[0]))
    if numbers.sizes[0] >= left:
        raise ModelError(
            f"classifier: whitening={whitening} leaves {left} x {left} pixels, too few for a first stage that pools to "
            f"{numbers.sizes[0]} x {numbers.sizes[0]}; use fewer cnn_layers, or no whitening"
        )
    return numbers


def classifier(
    input_shape: Sequence[int],
    classes: int,
    *,
    starting_channels: Channels = _SPACED["starting_channels"],
    final_channels: Channels = _SPACED["final_channels"],
    cnn_layers: Layers = _SPACED["cnn_layers"],
    fcn_layers: Layers = 4,
    conv_channels: StageChannels = (),
    activation: Activation = "mish",
    pooling: Pooling = "fractional",
    residual: bool = False,
    residual_layers: ResidualLayers = 1,
    norm: Norm = "batch",
    dropout: Probability = 0.0,
    logit_scale: LogitScale = 1.0,
    stage_layers: StageLayers = 1,
    early_pooling: bool = False,
    final_size: FinalSize = FINAL_SIZE,
    global_pooling: bool = False,
    whitening: Patches = "none",
    initialization: Initialization = "default",
) -> Classifier:
    """Build the classifier; the defaults are the best of the published CIFAR-10 search (875,592 parameters there).

    With `residual` and two `residual_layers`, a stage is like a block of ResNet-9 (Page 2018, "How to train your
    ResNet"). That network also scales its logits by 1/8, so that training with a large learning rate starts from nearly
    equal probabilities.

    The channels are spaced geometrically, unless `conv_channels` lists those of every stage.

    The network of Jordan 2024 (https://arxiv.org/abs/2404.00498) has the `conv_channels` 64, 256 and 256, `whitening`
    "2x2", two `stage_layers`, `early_pooling` by maxima, the norm "batch_unscaled", `final_size` 3, `global_pooling`
    and `initialization` "dirac".
    """
    numbers = plan(
        input_shape,
        classes,
        starting_channels=starting_channels,
        final_channels=final_channels,
        cnn_layers=cnn_layers,
        fcn_layers=fcn_layers,
        conv_channels=conv_channels,
        final_size=final_size,
        head_size=1 if global_pooling else None,
    )
    return Classifier(
        numbers.channels,
        (input_shape[-1], *numbers.sizes),
        numbers.widths,
        activation=activation,
        pooling=pooling,
        early_pooling=early_pooling,
        stage_layers=stage_layers,
        residual_layers=residual_layers if residual else 0,
        norm=norm,
        dropout=dropout,
        logit_scale=logit_scale,
        global_pooling=global_pooling,
        whitening=whitening,
        initialization=initialization,
    )
