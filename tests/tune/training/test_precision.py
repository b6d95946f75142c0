"""float16 on a CPU, summed in float32, agrees with torch's own slower kernels; what is fixed on a GPU."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tune.training import precision
from tune.training.precision import ProductsInFloat32, _float16_on_cpu

STEP = 2.0**-10  # between neighbours in float16, relative


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, groups=2, bias=False),
        nn.ConvTranspose2d(4, 3, 2, stride=2),
        nn.Flatten(),
        nn.Linear(3 * 8 * 8, 5),
    )


def outputs_and_gradients(model: nn.Module, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    with _float16_on_cpu():
        outputs = model(images)
    F.cross_entropy(outputs.float(), torch.arange(len(images)) % 5).mul(1024).backward()  # type: ignore[no-untyped-call]
    return outputs.detach(), [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("own", [False, True])
def test_the_context_is_torchs_own_where_the_cpu_has_instructions(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_computes_float16", lambda: own)
    seen: list[ProductsInFloat32] = []

    def mode() -> ProductsInFloat32:
        seen.append(ProductsInFloat32())
        return seen[-1]

    monkeypatch.setattr(precision, "ProductsInFloat32", mode)
    outputs, _ = outputs_and_gradients(network(), torch.ones(1, 2, 6, 6).expand(2, -1, -1, -1))
    assert outputs.dtype == torch.float16
    assert (seen == []) is own


def test_outputs_and_gradients_are_those_of_torchs_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    images, found = torch.randn(8, 2, 6, 6), []
    for own in (True, False):
        monkeypatch.setattr(precision, "cpu_computes_float16", lambda own=own: own)
        found.append(outputs_and_gradients(network(), images))
    (torchs, gradients), (ours, our_gradients) = found
    torch.testing.assert_close(ours, torchs, rtol=4 * STEP, atol=4 * STEP)
    assert len(gradients) == len(our_gradients) == 8
    for gradient, other in zip(gradients, our_gradients, strict=True):
        assert other.dtype == torch.float32
        # Both round on the way down, and the sums of a batch norm's gradients cancel.
        torch.testing.assert_close(other, gradient, rtol=0.02, atol=0.02 * float(gradient.abs().max()))


def test_products_are_rounded_once_and_exact_before() -> None:
    """One in 2,048 is lost beside 1 in float16, and kept by a sum in float32 until that is rounded."""
    many = torch.cat([torch.ones(1), torch.full((2048,), 2.0**-11)])
    with _float16_on_cpu(), ProductsInFloat32():
        assert F.linear(many, torch.ones(1, len(many))).item() == 2.0
        assert F.linear(torch.tensor([1 + 2.0**-12]), torch.ones(1, 1)).item() == 1.0
        too_large = F.linear(torch.tensor([300.0]), torch.tensor([[300.0]]))
    assert too_large.dtype == torch.float16
    assert too_large.isinf().all()  # beyond 65,504, as on a GPU: the gradient scaler is there for it


def test_flags_of_float32_on_a_gpu_are_set_for_a_block_and_a_cpu_has_none() -> None:
    def flags() -> tuple[bool, bool, bool]:
        cudnn = torch.backends.cudnn
        return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark

    before = flags()
    with precision.float32_on_gpu(torch.device("cpu")):
        assert flags() == before
    with precision.float32_on_gpu(torch.device("cuda")):
        assert flags() == (True, True, False)
    assert flags() == before
