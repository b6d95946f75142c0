"""What holds for every model of the registry, over image sizes, channels and numbers of classes."""

import re
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import models
from models.cost import build_meta

BATCH = 3
SIDES = (8, 28, 32, 33, 64)
# Sides that are legal; the classifier and the VAE take any above 2 with few enough stages.
LEAST_SIDES = {"mnist_v1": 28, "mnist_v2": 12, "mnist_v3": 12, "mnist_small": 12}
CHANNELS_AND_CLASSES = ((1, 2), (3, 10), (3, 100))
# The costly 64 x 64 pixels once per model.
SHAPES = [*((side, *others) for side, others in product(SIDES[:-1], CHANNELS_AND_CLASSES)), (64, 3, 10)]
CASES = [(name, *shape) for name in models.names() for shape in SHAPES if shape[0] >= LEAST_SIDES.get(name, 1)]
EVERY_MODEL = pytest.mark.parametrize("name", models.names())


# For images of 8 x 8 pixels: fewer stages than by default.
SMALL: dict[str, dict[str, Any]] = {
    "classifier": {"cnn_layers": 4},
    "vae": {"cnn_layers": 3},
    "cifar_model": {"conv_channels": (8, 16, 32)},
}


def build(name: str, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return models.build(name, (3, 32, 32), 10)


def images_and_labels(channels: int = 3, side: int = 32, classes: int = 10) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, channels, side, side, generator=generator)
    return images, torch.randint(classes, (BATCH,), generator=generator)


def tensors(outputs: Any) -> tuple[Tensor, ...]:
    """All that a model returns: logits, or a reconstruction's images, mu and logvar."""
    return tuple(outputs) if isinstance(outputs, tuple) else (outputs,)


def loss_of(outputs: Any, images: Tensor, labels: Tensor) -> Tensor:
    if not isinstance(outputs, models.Reconstruction):
        return F.cross_entropy(outputs, labels)
    squares = (outputs.images - images).square().sum() / 2
    return squares + (outputs.mu.square() + outputs.logvar.exp() - 1 - outputs.logvar).sum() / 2


def assert_shapes(outputs: Any, images: Tensor, classes: int) -> None:
    if isinstance(outputs, models.Reconstruction):
        assert outputs.images.shape == images.shape
        assert outputs.mu.shape == outputs.logvar.shape == (len(images), 128)
    else:
        assert outputs.shape == (len(images), classes)
    assert all(tensor.isfinite().all() for tensor in tensors(outputs))


def test_the_cases_are_all_there() -> None:
    assert len({name for name, *_ in CASES}) == len(models.names()) == 14
    # Four sizes by three channel and class counts, and one size more; four models cannot take the smallest.
    assert len(CASES) == 14 * (4 * 3 + 1) - 4 * 3


@pytest.mark.parametrize(("name", "side", "channels", "classes"), CASES)
def test_shape_finiteness_and_gradients(name: str, side: int, channels: int, classes: int) -> None:
    torch.manual_seed(0)
    model = models.build(name, (channels, side, side), classes, **(SMALL.get(name, {}) if side == 8 else {}))
    images, labels = images_and_labels(channels, side, classes)

    outputs = model.train()(images)
    assert_shapes(outputs, images, classes)
    torch.autograd.backward(loss_of(outputs, images, labels))
    parameters = dict(model.named_parameters())
    assert parameters
    for parameter_name, parameter in parameters.items():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        # A norm cancels the bias before it, up to rounding; every weight must be reached.
        assert parameter_name.endswith("bias") or parameter.grad.any(), parameter_name

    with torch.no_grad():
        assert_shapes(model.eval()(images), images, classes)


@EVERY_MODEL
def test_one_class_and_one_image(name: str) -> None:
    shape = models.get(name).native_input
    model = models.build(name, shape, 1)
    images = torch.randn(2, *shape)
    with torch.no_grad():
        assert_shapes(model.train()(images), images, 1)
        assert_shapes(model.eval()(images[:1]), images[:1], 1)


OBLONG = [name for name in models.names() if name not in {"classifier", "vae"}]


@pytest.mark.parametrize("name", OBLONG)
def test_images_need_not_be_square(name: str) -> None:
    assert len(OBLONG) == 12
    images = torch.randn(2, 3, 29, 41)
    model = models.build(name, (3, 29, 41), 7)
    with torch.no_grad():
        assert_shapes(model(images), images, 7)


def refused(name: str, side: int) -> bool:
    """Whether images of this side are refused, in plain words; else the network is known to work on them."""
    try:
        model = build_meta(name, (1, side, side), 2)
    except models.ModelError as error:
        with pytest.raises(models.ModelError, match=f"^{re.escape(str(error))}$"):
            models.check(name, (1, side, side), 2)
        return "must be" in str(error)
    output = model.eval()(torch.empty(1, 1, side, side, device="meta"))
    assert tensors(output)[0].shape in {(1, 2), (1, 1, side, side)}
    return False


@EVERY_MODEL
def test_every_side_is_possible_or_refused_in_plain_words(name: str) -> None:
    # The classifier's six stages and the VAE's four need a pixel less each after rounding.
    halvings = {"simple_cnn": 4, "cifar_model": 16, "tiny_vgg": 4, "mnist_v0": 4, "mnist_residual": 8}
    least = {"classifier": 11, "vae": 7, **halvings, **LEAST_SIDES}.get(name, 1)
    assert [side for side in range(1, 34) if refused(name, side)] == list(range(1, least))


@EVERY_MODEL
def test_evaluation_is_repeatable_and_draws_nothing(name: str) -> None:
    model = build(name).eval()
    images, _ = images_and_labels()
    with torch.no_grad():
        first = tensors(model(images))
        state = torch.get_rng_state()
        assert all(map(torch.equal, tensors(model(images)), first))
    assert torch.equal(torch.get_rng_state(), state)


@EVERY_MODEL
def test_an_image_is_judged_alike_alone_and_in_a_batch(name: str) -> None:
    model = build(name).eval()
    images, _ = images_and_labels()
    with torch.no_grad():
        together = [tensor[:1] for tensor in tensors(model(images))]
        torch.testing.assert_close(list(tensors(model(images[:1]))), together)


@EVERY_MODEL
def test_training_resumes_bitwise_from_the_random_state(name: str) -> None:
    model = build(name, 3).train()
    images, _ = images_and_labels()
    state = torch.get_rng_state()
    first = tensors(model(images))
    torch.set_rng_state(state)
    assert all(map(torch.equal, tensors(model(images)), first))


@EVERY_MODEL
def test_bfloat16_autocast_trains_and_evaluates(name: str) -> None:
    model = build(name)
    images, labels = images_and_labels()
    for mode in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = model.train(mode)(images)
            loss = loss_of(outputs, images, labels)
        assert {tensor.dtype for tensor in tensors(outputs)} == {torch.bfloat16}
        model.zero_grad()
        torch.autograd.backward(loss)
        for parameter in model.parameters():
            assert parameter.grad is not None
            assert parameter.grad.dtype == torch.float32
            assert parameter.grad.isfinite().all()


@EVERY_MODEL
def test_the_layout_in_memory_changes_no_number(name: str) -> None:
    model = build(name).eval()
    images, _ = images_and_labels()
    with torch.no_grad():
        expected = list(tensors(model(images)))
        model.to(memory_format=torch.channels_last)
        got = list(tensors(model(images.contiguous(memory_format=torch.channels_last))))
    torch.testing.assert_close(got, expected)


@EVERY_MODEL
def test_weights_survive_saving_and_loading(name: str) -> None:
    model, other = build(name, 0), build(name, 1)
    images, _ = images_and_labels()
    with torch.no_grad():
        model.train()(images)  # moves the running statistics of norms, which must survive as well
        wanted = tensors(model.eval()(images))
        assert not any(map(torch.equal, tensors(other.eval()(images)), wanted))
        other.load_state_dict(model.state_dict())
        assert all(map(torch.equal, tensors(other(images)), wanted))


@EVERY_MODEL
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    first, second = build(name, 5), build(name, 5)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@EVERY_MODEL
def test_export_keeps_the_numbers_at_any_batch_size(name: str) -> None:
    model = build(name).eval()
    images, _ = images_and_labels()
    exported = torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    more = torch.cat([images, images + 1])
    with torch.no_grad():
        torch.testing.assert_close(list(tensors(exported.module()(more))), list(tensors(model(more))))
