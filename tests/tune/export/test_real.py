"""An exported classifier with fractional pooling on MNIST, where IMAGETUNE_DATA names a folder that has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.tune.runs.folders import Quiet, written
from tune.evaluation.classification import logits, pixel_classifier_of
from tune.evaluation.evaluate import images_of
from tune.evaluation.inference import drawn, index_of, pixels_of
from tune.export.onnx_model import OnnxClassifier, to_onnx
from tune.export.quantize import quantize
from tune.record import RunFolder
from tune.runs.plan import RunPlan
from tune.runs.run import run
from tune.runs.weights import open_run
from tune.spec import load_experiment

ROOT = Path(os.environ.get("IMAGETUNE_DATA", "/nowhere"))
EXPERIMENT = """
data: {name: mnist, train_limit: 6000}
model: {name: classifier, cnn_layers: 3, starting_channels: 12, final_channels: 32, pooling: fractional}
training: {epochs: 2, batch_size: 100, optimizer: {lr: 0.003}, threads: 1}
"""


@pytest.mark.skipif(not (ROOT / "MNIST").is_dir(), reason="IMAGETUNE_DATA names no folder with MNIST")
def test_onnx_equals_torch_and_int8_is_within_half_a_point(tmp_path: Path) -> None:
    experiment = load_experiment(str(written(tmp_path, EXPERIMENT)), root=ROOT)
    folder = run(RunPlan(experiment, RunFolder(tmp_path / "mnist")), ROOT, Quiet()).folder
    trained = open_run(folder, torch.device("cpu"))
    images = drawn(pixels_of(images_of(trained, "test", ROOT, print)), 1000)
    labels = images.labels[index_of(images)]
    classifiers = (
        pixel_classifier_of(trained),
        OnnxClassifier(to_onnx(trained)),
        OnnxClassifier(quantize(trained, ROOT, print)),
    )
    original, onnx, int8 = (torch.cat([batch for batch, _ in logits(each, images, 10)]) for each in classifiers)
    assert len(labels) == 1000
    assert float((onnx - original).abs().max()) < 1e-4
    accuracies = [float((found.argmax(1) == labels).double().mean()) for found in (original, int8)]
    assert accuracies[0] > 0.9
    assert abs(accuracies[0] - accuracies[1]) <= 0.005
