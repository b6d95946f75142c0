"""A VAE evaluated and used: its figures against what it wrote and what training measured, its pictures pixel by pixel."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import data
from models.vae import VAE
from tests.tune.runs.folders import trained
from tune.errors import UserError
from tune.evaluation import reconstruction
from tune.evaluation.evaluate import evaluate
from tune.evaluation.pictures import GAP, MARGIN, PAIR_GAP, sheet
from tune.evaluation.result import Extras
from tune.runs.run import RunResult
from tune.runs.weights import TrainedRun, open_run

MODEL = "model={name: vae, cnn_layers: 2, starting_channels: 8, final_channels: 16, latent_dim: 4}"
BETA = 0.1


def say(text: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return trained(tmp_path_factory.mktemp("vae"), MODEL, f"training.beta={BETA}", "training.epochs=25")


@pytest.fixture
def vae(done: RunResult) -> TrainedRun:
    return open_run(done.folder, torch.device("cpu"))


def resident(pixels: torch.Tensor) -> data.Resident:
    half = data.Normalization((0.5,), (0.5,))
    return data.Resident(pixels, torch.zeros(len(pixels), dtype=torch.int64), normalization=half)


def opened(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_scores_follow_from_the_table(done: RunResult, tmp_path: Path) -> None:
    found = evaluate(done.folder, "test", tmp_path, say)
    assert list(found.scores) == ["split", "epoch", "n", "loss", "reconstruction", "kl"]
    table = pd.read_parquet(done.folder.predictions)
    assert list(table) == ["index", "label", "loss", "reconstruction", "kl", "label_name"]
    assert len(table) == found.scores["n"] == 359
    for name in ("loss", "reconstruction", "kl"):
        assert table[name].mean() == pytest.approx(found.scores[name])
    bound = table["reconstruction"] / BETA + table["kl"] + 32 * math.log(BETA)
    assert np.allclose(table["loss"], bound)
    assert (table[["reconstruction", "kl"]] > 0).all(axis=None)
    assert json.loads(done.folder.evaluation.read_text()) == found.scores
    assert [path.name for path in found.files] == ["predictions.parquet", "evaluation.json", "reconstructions.png"]


def test_a_second_time_it_is_the_same_whatever_was_drawn_before(done: RunResult, tmp_path: Path) -> None:
    first = evaluate(done.folder, "train", tmp_path, say).scores
    torch.rand(3)
    assert evaluate(done.folder, "train", tmp_path, say).scores == first


def test_validation_is_what_training_measured(done: RunResult, tmp_path: Path) -> None:
    """Another draw of the posterior, so nearly."""
    assert done.best is not None
    scores = evaluate(done.folder, "validation", tmp_path, say).scores
    for name in ("loss", "reconstruction", "kl"):
        assert scores[name] == pytest.approx(done.best.values[f"val_{name}"], rel=0.05, abs=2)


def test_the_grid_that_is_asked_for(done: RunResult, tmp_path: Path) -> None:
    usual = opened((evaluate(done.folder, "test", tmp_path, say).files[2]).read_bytes())
    asked = opened(evaluate(done.folder, "test", tmp_path, say, Extras((2, 3))).files[2].read_bytes())
    assert usual.shape == (4 * (2 * 64 + GAP) + 5 * PAIR_GAP, MARGIN + 8 * 64 + 9 * PAIR_GAP, 3)
    assert asked.shape == (2 * (2 * 64 + GAP) + 3 * PAIR_GAP, MARGIN + 3 * 64 + 4 * PAIR_GAP, 3)
    with pytest.raises(UserError, match="40x40 is 1,600 images, but the test split has 359"):
        evaluate(done.folder, "test", tmp_path, say, Extras((40, 40)))


@pytest.mark.parametrize(
    ("extras", "option"),
    [
        (Extras(mistakes=(1, 1)), "--mistakes"),
        (Extras(corruptions=True), "--corruptions"),
        (Extras(averaging=True), "--test-time-averaging"),
    ],
)
def test_what_only_classifiers_have_is_refused(done: RunResult, tmp_path: Path, extras: Extras, option: str) -> None:
    with pytest.raises(UserError, match=f"{option} is for classifiers; .* is a vae, a model for reconstruction"):
        evaluate(done.folder, "test", tmp_path, say, extras)


@pytest.mark.parametrize(("count", "columns"), [(1, 8), (5, 3), (6, 3)])
def test_originals_stand_above_their_reconstructions(vae: TrainedRun, count: int, columns: int) -> None:
    pixels = torch.randint(256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    png = opened(reconstruction.reconstructions_picture(vae, resident(pixels), columns))
    assert isinstance(vae.model, VAE)
    with torch.inference_mode():
        made = vae.model(pixels.float() / 127.5 - 1).images
    back = ((made + 1) * 127.5).round().clamp(0, 255)
    for i in range(count):
        row, column = divmod(i, columns)
        border = 0 if count == 1 else PAIR_GAP
        top, left = border + row * (2 * 64 + GAP + PAIR_GAP), MARGIN + border + column * (64 + PAIR_GAP)
        for j, image in enumerate((pixels[i, 0], back[i, 0])):
            shown = png[top + j * (64 + GAP) :, left:, 0][:64:8, :64:8].astype(int)
            assert np.abs(shown - image.numpy().astype(int)).max() <= (1 if j else 0)


def test_the_reconstructions_are_closer_than_the_mean_image(vae: TrainedRun, tmp_path: Path) -> None:
    pixels = data.load_test(data.Source("digits"), tmp_path).images
    made = reconstruction.reconstruct(vae, resident(pixels))
    error, spread = ((pixels.float() - other).square().mean() for other in (made.float(), pixels.float().mean(0)))
    assert error < 0.8 * spread


def test_draws_follow_from_the_seed_and_are_the_decoders(vae: TrainedRun) -> None:
    one, again, other = (reconstruction.sample(vae, 6, seed) for seed in (1, 1, 2))
    assert one.shape == (6, 1, 8, 8)
    assert one.dtype == torch.uint8
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_way_between_two_images_has_their_reconstructions_as_ends(vae: TrainedRun, tmp_path: Path) -> None:
    pair = resident(data.load_test(data.Source("digits"), tmp_path).images[:2])
    way = reconstruction.interpolate(vae, pair, 5)
    ends = reconstruction.reconstruct(vae, pair)
    assert way.shape == (5, 1, 8, 8)
    assert (way[[0, -1]].int() - ends.int()).abs().max() <= 1
    assert torch.equal(reconstruction.interpolate(vae, pair, 2)[0], way[0])
    same = resident(pair.images[[0, 0]])
    assert len(torch.unique(reconstruction.interpolate(vae, same, 4), dim=0)) == 1


@pytest.mark.parametrize("name", ["half", "dataset", "none"])
def test_pixels_come_back_through_every_normalization(name: str) -> None:
    pixels = torch.randint(256, (7, 3, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    values = data.normalization(name, pixels)
    (batch, _), *_ = data.Resident(pixels, torch.zeros(7, dtype=torch.int64), normalization=values).batches(7)
    assert torch.equal(values.pixels(batch), pixels)
    assert set(values.pixels(batch * 1000 + 1e4).flatten().tolist()) == {255}


@pytest.mark.parametrize(
    ("shape", "columns", "size"),
    [
        ((6, 1, 28, 28), 3, (2 * 84 + 3 * GAP, 3 * 84 + 4 * GAP)),
        ((3, 3, 32, 32), 2, (2 * 64 + 3 * GAP, 2 * 64 + 3 * GAP)),
        ((1, 3, 100, 100), 1, (100, 100)),
        ((300, 1, 28, 28), 300, (28 + 2 * GAP, 300 * (28 + GAP) + GAP)),  # too wide to be enlarged
    ],
)
def test_sheets(shape: tuple[int, ...], columns: int, size: tuple[int, int]) -> None:
    images = torch.arange(math.prod(shape)).remainder(256).to(torch.uint8).view(shape)
    assert opened(sheet(images, columns)).shape == (*size, 3)
