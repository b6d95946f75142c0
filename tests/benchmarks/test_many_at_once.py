"""All ways to train networks together compute what `torch.optim.SGD` does, one network after the other."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from tests.benchmarks.many_at_once import BATCH_SIZES, WAYS
from tests.benchmarks.many_trainings import Trials, trials


def expected(common: Trials, steps: int) -> Tensor:
    """The losses (steps, N), with torch's optimizer."""
    losses = []
    images = common.images.double() / 127.5 - 1
    for n, order in enumerate(common.orders):
        weights = {name: each[n].clone().requires_grad_() for name, each in common.weights.items()}
        optimizer = torch.optim.SGD(weights.values(), lr=float(common.rates[n]), momentum=float(common.momenta[n]))
        for step in range(steps):
            places = order[step % len(order)]
            loss = F.cross_entropy(functional_call(common.net, weights, (images[places],)), common.labels[places])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.detach())
    return torch.stack(losses).view(-1, steps).T


@pytest.mark.parametrize("name", BATCH_SIZES)
def test_every_way_has_the_losses_of_separate_trainings(name: str) -> None:
    common = trials(name, 3, torch.device("cpu"), batch=8, count=64, shape=(1, 8, 8))
    right = expected(common, 20)
    assert len(set(right[0].tolist())) == 3, "seeds and orders differ"
    for way in WAYS.values():
        torch.testing.assert_close(way(common).losses_of(20), right, rtol=1e-8, atol=0)
    assert len(WAYS) == 5
