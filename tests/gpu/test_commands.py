"""Commands on a GPU: train, resume, evaluate, predict and export agree with the CPU; a search packs two trials on it."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest
import torch

import data
from tests.gpu.trainings import CPU, GPU
from tests.tune.cli.conftest import Command, imagetune  # noqa: F401
from tests.tune.runs.folders import trained, written
from tests.tune.search.processes import start
from tune.evaluation.classification import classifier_of, predict_by
from tune.evaluation.evaluate import images_of
from tune.export.onnx_model import OnnxClassifier, to_onnx
from tune.runs.info import read_run
from tune.runs.weights import open_run
from tune.training import load_weights

VAE = "model={name: vae, cnn_layers: 2, starting_channels: 8, final_channels: 16, latent_dim: 4}"
SPACE = """
experiment:
  data: {name: digits}
  model: {name: simple_cnn, conv_channels: [4, 8], hidden_dim: 16}
  training: {epochs: 3, optimizer: {name: adam}, threads: 1}
space:
  training.optimizer.lr: {float: [1e-3, 1e-2], log: true}
search: {metric: val_loss, trials: 6, scheduler: {name: none}, sampler: {name: random}, resources: {gpu: 0.5}}
"""
# A batch of 1,200 images takes 1.2 GB at each of several places; a trial may allocate about a gigabyte, on a GPU of 140
# GB about two.
TOO_LARGE = """
experiment:
  data: {name: digits}
  model: {name: simple_cnn, conv_channels: [4096, 8], hidden_dim: 16}
  training: {epochs: 1, optimizer: {name: adam}, threads: 1}
space:
  training.batch_size: {choice: [32, 1200]}
  training.optimizer.lr: {float: [1e-3, 1e-2], log: true}
first:
  - {training.batch_size: 1200, training.optimizer.lr: 0.002}
  - {training.batch_size: 32, training.optimizer.lr: 0.002}
search: {metric: val_loss, trials: 6, scheduler: {name: none}, sampler: {name: random}, resources: {gpu: 0.02},
  concurrent: 2}
"""


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_two_trials_of_a_search_share_the_gpu(tmp_path: Path) -> None:
    space = written(tmp_path, SPACE, "shared.yaml")
    seen = 0
    with start(tmp_path / "out", "shared", space=space) as search:
        while search.process.poll() is None:
            seen = max(seen, len(search.workers))
            time.sleep(0.1)
        assert search.process.returncode == 0, search.said
    trials = pd.read_parquet(search.folder / "trials.parquet")
    assert trials["status"].tolist() == ["completed"] * 6
    assert seen in (2, 3)  # one may be ending while the next begins
    print(f"seconds of the trials: {trials['seconds'].round(2).tolist()}")


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_after_a_trial_that_ran_out_of_memory_the_next_ones_run(tmp_path: Path) -> None:
    space = written(tmp_path, TOO_LARGE, "large.yaml")
    with start(tmp_path / "out", "large", space=space) as search:
        assert search.wait(200) == 0, search.said
    trials = pd.read_parquet(search.folder / "trials.parquet")
    large = trials["config.training.batch_size"] == 1200
    assert 0 < large.sum() < len(trials)
    assert set(trials["status"][large]) == {"out_of_memory"}
    assert set(trials["status"][~large]) == {"completed"}
    assert trials["reason"][large].str.contains("out of memory").all()


def test_a_run_resumed_on_the_gpu_equals_one_with_all_epochs(imagetune: Command, tmp_path: Path) -> None:  # noqa: F811
    space = written(tmp_path)
    assert imagetune("train", space, "training.schedule.name=constant", "--name", "whole").code == 0
    begun = imagetune("train", space, "training.schedule.name=constant", "training.epochs=1", "--name", "part")
    assert begun.code == 0
    assert imagetune("train", "part", "--resume", "training.epochs=3").code == 0
    (one, _), (other, _) = (
        load_weights(Path("checkpoints") / name / "model.safetensors") for name in ("whole", "part")
    )
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-2, atol=1e-3)


def test_a_run_says_on_which_gpu_it_was_trained(tmp_path: Path) -> None:
    result = trained(tmp_path)
    _, info = read_run(result.folder)
    assert info.device == "cuda:0"
    assert torch.cuda.get_device_name() in str(info.hardware)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_run_of_the_gpu_is_evaluated_alike_on_both(precision: str, tmp_path: Path) -> None:
    result = trained(tmp_path, f"training.precision={precision}", "training.epochs=6")
    there, here = (open_run(result.folder, device) for device in (GPU, CPU))
    images = images_of(here, "test", tmp_path, print)
    one, other = (predict_by(classifier_of(opened), images, opened.info.classes) for opened in (there, here))
    assert (one.label_probability - other.label_probability).abs().max() < (0.01 if precision == "float32" else 0.1)
    assert (one.predicted == other.predicted).double().mean() > 0.99
    assert (other.predicted == other.labels).double().mean() > 0.3  # it has learnt something


def test_evaluate_predict_and_the_vaes_pictures_run_there(imagetune: Command, tmp_path: Path) -> None:  # noqa: F811
    from PIL import Image

    assert imagetune("train", written(tmp_path), "--name", "run").code == 0
    assert imagetune("train", written(tmp_path), VAE, "--name", "vae").code == 0
    scores = imagetune("evaluate", "run", "--json").document
    assert scores["accuracy"] > 0.3
    assert imagetune("evaluate", "vae", "--json").document["loss"] > 0
    test = data.load_test(data.Source("digits"), tmp_path)
    Image.fromarray(test.images[0, 0].numpy()).save(tmp_path / "0.png")
    row = imagetune("predict", "run", tmp_path / "0.png", "--json").document["predictions"][0]
    table = pd.read_parquet("checkpoints/run/predictions.parquet")
    assert row["class"] == table["predicted_name"][0]
    assert row["probability"] == pytest.approx(table["probability"][0], abs=1e-3)


@pytest.mark.filterwarnings("default")  # of torch's exporter
def test_a_run_of_the_gpu_is_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    result = trained(tmp_path)
    there, here = (open_run(result.folder, device) for device in (GPU, CPU))
    images = images_of(here, "test", tmp_path, print)
    expected = predict_by(classifier_of(here), images, here.info.classes)
    for place, opened in {"cpu": here, "cuda": there}.items():
        exported = predict_by(OnnxClassifier(to_onnx(opened), 1), images, here.info.classes)
        apart = float((exported.label_probability - expected.label_probability).abs().max())
        print(f"exported from {place}: {apart:.1e}")
        assert apart < 1e-3, place
