"""What the weights of convolutions start from: whitening filters of the training images, and the identity."""

from __future__ import annotations

from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 5e-4
PATCHES = 5_000_000  # about as many as 5,000 images of 32 x 32 pixels have


class Whitening(nn.Conv2d):
    """A first convolution without padding that whitens patches; its filters are frozen, and its bias is learned.

    The filters are the eigenvectors v of the patches' covariance, each as v / sqrt(eigenvalue + 5e-4), with both signs,
    so that an activation after them loses nothing: (B, C, H, W) becomes (B, 2 C size^2, H - size + 1, W - size + 1).
    The bias starts where the outputs have mean 0 (Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU",
    https://arxiv.org/abs/2404.00498, section 3, after Page 2019; images there have mean 0 already).

    Args:
        in_channels: C.
        size: side of the patches, in pixels.
    """

    def __init__(self, in_channels: int, size: int) -> None:
        super().__init__(in_channels, 2 * in_channels * size**2, size)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Set filters and bias by images (N, C, H, W) as the network gets them; before, they are random."""
        patches = (F.unfold(part.double(), self.kernel_size).mT.flatten(0, 1) for part in torch.split(images, 256))
        count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        for part in patches:
            count, total, squares = count + len(part), total + part.sum(0), squares + part.mT @ part
        mean = total / count
        values, vectors = torch.linalg.eigh(squares / count - torch.outer(mean, mean))
        scaled = (vectors / (values.clamp(min=0) + EPSILON).sqrt()).mT.flip(0)  # the largest eigenvalue first
        filters = torch.cat([scaled, -scaled])
        self.weight.copy_(filters.view_as(self.weight))
        assert self.bias is not None
        self.bias.copy_(-filters @ mean)


def whitening_images(height: int, width: int) -> int:
    """How many images `Whitening.fit` needs for an estimate that no longer changes much."""
    return max(1, PATCHES // (height * width))


@torch.no_grad()
def start_as_identity(model: nn.Module) -> None:
    """Let every convolution but the first begin by copying its inputs to as many of its outputs (Dirac filters).

    The other outputs, where there are more than inputs, keep their random filters (Jordan 2024, as above; Zagoruyko &
    Komodakis 2017, https://arxiv.org/abs/1706.00388).
    """
    convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    for convolution in islice(convolutions, 1, None):
        weight = convolution.weight
        if not weight.is_meta:
            nn.init.dirac_(weight[: weight.shape[1]])
