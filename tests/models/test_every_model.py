"""What holds for every model of the registry, over image sizes, channels and numbers of classes."""

from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name the whole field uses

import models

BATCH = 3
SIDES = (8, 28, 32, 33, 64)
CASES = list(product(models.names(), SIDES, (1, 3), (2, 10, 100)))


def options_for(name: str, side: int) -> dict[str, Any]:
    """Default options, but for the stages of the classifier on images too small for six of them."""
    return {"cnn_layers": 4} if (name, side) == ("classifier", 8) else {}


def images_and_labels(channels: int, side: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, channels, side, side, generator=generator)
    return images, torch.randint(classes, (BATCH,), generator=generator)


def test_the_cases_are_all_there() -> None:
    assert len({name for name, *_ in CASES}) == len(models.names()) == 4
    assert len(CASES) == 4 * 5 * 2 * 3


@pytest.mark.parametrize(("name", "side", "channels", "classes"), CASES)
def test_shape_finiteness_and_gradients(name: str, side: int, channels: int, classes: int) -> None:
    torch.manual_seed(0)
    model = models.build(name, (channels, side, side), classes, **options_for(name, side))
    images, labels = images_and_labels(channels, side, classes)

    logits = model.train()(images)
    assert logits.shape == (BATCH, classes)
    torch.autograd.backward(F.cross_entropy(logits, labels))
    parameters = dict(model.named_parameters())
    assert parameters
    for parameter_name, parameter in parameters.items():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        # A norm cancels the bias before it, up to rounding; every weight must be reached.
        assert parameter_name.endswith("bias") or parameter.grad.any(), parameter_name

    with torch.no_grad():
        logits = model.eval()(images)
    assert logits.shape == (BATCH, classes)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", models.names())
def test_evaluation_is_repeatable_and_draws_nothing(name: str) -> None:
    model = models.build(name, (3, 32, 32), 10).eval()
    images, _ = images_and_labels(3, 32, 10)
    with torch.no_grad():
        first = model(images)
        state = torch.get_rng_state()
        assert torch.equal(model(images), first)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", models.names())
def test_an_image_is_judged_alike_alone_and_in_a_batch(name: str) -> None:
    model = models.build(name, (3, 32, 32), 10).eval()
    images, _ = images_and_labels(3, 32, 10)
    with torch.no_grad():
        torch.testing.assert_close(model(images)[:1], model(images[:1]))


@pytest.mark.parametrize("name", models.names())
def test_training_resumes_bitwise_from_the_random_state(name: str) -> None:
    torch.manual_seed(3)
    model = models.build(name, (3, 32, 32), 10).train()
    images, _ = images_and_labels(3, 32, 10)
    state = torch.get_rng_state()
    first = model(images)
    torch.set_rng_state(state)
    assert torch.equal(model(images), first)


@pytest.mark.parametrize("name", models.names())
def test_bfloat16_autocast_trains_and_evaluates(name: str) -> None:
    torch.manual_seed(0)
    model = models.build(name, (3, 32, 32), 10)
    images, labels = images_and_labels(3, 32, 10)
    for mode in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model.train(mode)(images)
            loss = F.cross_entropy(logits, labels)
        assert logits.dtype == torch.bfloat16
        model.zero_grad()
        torch.autograd.backward(loss)
        for parameter in model.parameters():
            assert parameter.grad is not None
            assert parameter.grad.dtype == torch.float32
            assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("name", models.names())
def test_weights_survive_saving_and_loading(name: str) -> None:
    torch.manual_seed(0)
    model = models.build(name, (3, 32, 32), 10)
    torch.manual_seed(1)
    other = models.build(name, (3, 32, 32), 10)
    images, _ = images_and_labels(3, 32, 10)
    with torch.no_grad():
        model.train()(images)  # moves the running statistics of norms, which must survive as well
        wanted = model.eval()(images)
        assert not torch.equal(other.eval()(images), wanted)
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(images), wanted)


@pytest.mark.parametrize("name", models.names())
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    first, second = (build_with_seed(name, 5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def build_with_seed(name: str, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return models.build(name, (3, 32, 32), 10)


@pytest.mark.parametrize("name", models.names())
def test_export_keeps_the_numbers_at_any_batch_size(name: str) -> None:
    model = models.build(name, (3, 32, 32), 10).eval()
    images, _ = images_and_labels(3, 32, 10)
    exported = torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    more = torch.cat([images, images + 1])
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(more), model(more))
