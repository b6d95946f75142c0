"""Smaller images in the first epochs: which sizes, what the network sees, and what stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import models
from tune.spec.checks.experiment import check_experiment
from tune.spec.checks.images import inspect_data
from tune.spec.progressive_size import ProgressiveSizeSpec
from tune.training import Training, fingerprint, load, save, train
from tune.training.batches import resized

from .conftest import Make, Start
from .test_exactness import equal, numbers

NETWORK: dict[str, Any] = {
    **{"name": "classifier", "conv_channels": [4, 8], "fcn_layers": 1, "pooling": "max", "final_size": 2},
    "global_pooling": True,
}
HALVES = {"start": 0.5, "until": 0.5}


def test_sides_grow_in_steps_of_4_pixels_to_those_of_whole_images() -> None:
    spec = ProgressiveSizeSpec(start=0.5, until=0.5)
    # 16 + 16 (epoch - 1) / 8 pixels, rounded down to a multiple of 4; whole from the ninth of 16 epochs on.
    assert [spec.side(32, epoch, 16) for epoch in range(1, 11)] == [16, 16, 20, 20, 24, 24, 28, 28, 32, 32]
    assert spec.size((32, 28), 1, 16) == (16, 12)
    assert [ProgressiveSizeSpec(until=0.1).side(32, epoch, 30) for epoch in (3, 4)] == [28, 32]


@given(st.integers(1, 300), st.integers(1, 60), st.floats(0.01, 0.99), st.floats(0.01, 1))
def test_sides_never_shrink_and_never_exceed_the_image(own: int, epochs: int, start: float, until: float) -> None:
    spec = ProgressiveSizeSpec(start=start, until=until)
    sides = [spec.side(own, epoch, epochs) for epoch in range(1, epochs + 1)]
    assert sides == sorted(sides)
    assert all(side == own or side % 4 == 0 for side in sides)
    assert min(4, own) <= sides[0] <= max(4, start * own)
    assert sides[-1] <= own
    whole = [side for epoch, side in enumerate(sides, 1) if epoch - 1 >= until * epochs]
    assert whole == [own] * len(whole)


def test_the_share_of_pixels_is_that_of_the_sides_squared() -> None:
    spec = ProgressiveSizeSpec(start=0.5, until=0.5)
    expected = (2 * (16**2 + 20**2 + 24**2 + 28**2) + 8 * 32**2) / (16 * 32**2)
    assert spec.pixels((32, 32), 16) == pytest.approx(expected)
    assert spec.pixels((32, 32), 1) == 0.25


def sizes_seen(training: Training) -> list[set[tuple[bool, int]]]:
    """For each epoch, whether the network was trained and the side of the images it saw."""
    seen: list[set[tuple[bool, int]]] = []

    def note(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        assert inputs[0].shape[2] == inputs[0].shape[3]
        seen[-1].add((module.training, inputs[0].shape[2]))

    hook = training.model.register_forward_pre_hook(note)
    while training.end is None:
        seen.append(set())
        training.run_epoch()
    hook.remove()
    return seen


def test_a_network_is_trained_on_smaller_images_first_and_validated_on_whole_ones(start: Start) -> None:
    training = start(model=NETWORK, epochs=4, progressive_size=HALVES)
    assert sizes_seen(training) == [{(True, 4), (False, 8)}] * 2 + [{(True, 8), (False, 8)}] * 2


def test_statistics_of_averaged_weights_are_those_of_whole_images(start: Start) -> None:
    averaging = {"name": "swa", "start": 0.25}
    training = start(model=NETWORK, epochs=4, progressive_size={"start": 0.5, "until": 1.0}, averaging=averaging)
    seen: list[int] = []
    update = training._averaging.after_epoch

    def after_epoch(epoch: int, batches: Iterable[torch.Tensor]) -> None:
        def noted() -> Iterator[torch.Tensor]:
            for images in batches:
                seen.append(images.shape[2])
                yield images

        update(epoch, noted())

    training._averaging.after_epoch = after_epoch  # type: ignore[method-assign]
    train(training)
    assert seen
    assert set(seen) == {8}


@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
def test_a_resumed_training_equals_one_never_stopped(start: Start, tmp_path: Path, interrupted_after: int) -> None:
    fields: dict[str, Any] = {"model": NETWORK, "progressive_size": {"start": 0.5, "until": 0.75}, "epochs": 5}
    whole, first, second = start(**fields), start(**fields), start(**fields)
    train(whole)
    for _ in range(interrupted_after):
        first.run_epoch()
    save(tmp_path / "state.pt", first.state())
    second.load(load(tmp_path / "state.pt"))
    train(second)
    assert numbers(second) == numbers(whole)
    assert equal(second.model.state_dict(), whole.model.state_dict())


def test_images_keep_their_mean_and_come_from_torch_by_antialiasing() -> None:
    images = torch.rand(3, 2, 32, 28)
    assert resized(images, (32, 28)) is images
    smaller = resized(images, (16, 14))
    assert smaller.shape == (3, 2, 16, 14)
    torch.testing.assert_close(smaller.mean(), images.mean(), atol=0.01, rtol=0)
    flat = resized(torch.ones(1, 1, 8, 8), (4, 4))
    torch.testing.assert_close(flat, torch.ones(1, 1, 4, 4))
    checks = (
        torch.arange(64).view(8, 8) + torch.arange(8)[:, None]
    ) % 2  # averages out, and vanishes without smoothing
    torch.testing.assert_close(
        resized(checks.view(1, 1, 8, 8).float(), (4, 4)), torch.full((1, 1, 4, 4), 0.5), atol=0.02, rtol=0
    )


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("global_pooling", [True, False])
def test_the_classifier_pools_smaller_images_in_proportion(pooling: str, global_pooling: bool) -> None:
    options: dict[str, Any] = {"conv_channels": [4, 6, 8], "final_size": 4, "pooling": pooling}
    model = models.build("classifier", (3, 32, 32), 10, **options, global_pooling=global_pooling).eval()
    sides: list[int] = []
    for stage in model.stages:  # type: ignore[union-attr]
        stage.register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert sides == [16, 8, 4]
    sides.clear()
    assert model(torch.rand(2, 3, 24, 24)).shape == (2, 10)
    assert sides == [12, 6, 3 if global_pooling else 4]  # the linear layers without it need the size they have


def test_whole_images_are_pooled_as_they_always_were() -> None:
    for pooling, function in (("max", F.adaptive_max_pool2d), ("average", F.adaptive_avg_pool2d)):
        layer = models.pooling.pool(pooling, 20, 13, fixed=False)  # type: ignore[arg-type]
        x = torch.rand(2, 3, 20, 20)
        assert torch.equal(layer(x), function(x, 13))


@pytest.mark.parametrize(
    ("model", "accepted"),
    [
        (NETWORK, True),
        ({**NETWORK, "global_pooling": False}, True),
        ({"name": "mini_resnet", "width": 4}, True),
        ({**NETWORK, "pooling": "fractional"}, False),
        ({"name": "mnist_mlr"}, False),
        ({"name": "mnist_cnn"}, False),
    ],
)
def test_a_model_that_needs_one_size_is_refused_by_name(make: Make, model: dict[str, Any], accepted: bool) -> None:
    experiment = make(model=model, progressive_size={})
    problems = check_experiment(experiment, inspect_data(experiment.data))
    if accepted:
        assert problems == []
    else:
        (problem,) = problems
        assert problem.field == "training.progressive_size"
        assert f"{model['name']} takes images of 8 x 8 pixels as it is, not of 4 x 4" in problem.message
        assert "remove it" in problem.message


def test_images_to_be_reconstructed_keep_their_size(make: Make) -> None:
    experiment = make(model={"name": "vae", "cnn_layers": 2}, progressive_size={})
    (problem,) = check_experiment(experiment, inspect_data(experiment.data))
    assert problem.field == "training.progressive_size"
    assert "only for classification" in problem.message


def test_it_is_a_training_of_its_own_that_depends_on_the_number_of_epochs(make: Make) -> None:
    plain, other = make(model=NETWORK), make(model=NETWORK, progressive_size={})
    assert fingerprint(plain) != fingerprint(other)
    assert other.training.spanning == ("progressive_size",)
    assert fingerprint(other) != fingerprint(make(model=NETWORK, progressive_size={}, epochs=5))
    assert fingerprint(plain) == fingerprint(make(model=NETWORK, epochs=5))
