"""ONNX models and int8: the same answers, a quarter of the bytes, and no image that was not trained on."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, numpy_helper
from onnxruntime import InferenceSession
from torch import nn

import data
import models
from tests.tune.runs.folders import trained
from tune.errors import UserError
from tune.evaluation.classification import pixel_classifier_of, predict_by
from tune.evaluation.evaluate import images_of
from tune.evaluation.inference import PixelInput, drawn, index_of, pixels_of
from tune.evaluation.scores import score
from tune.export.onnx_model import OnnxClassifier, to_onnx
from tune.export.quantize import CALIBRATION_IMAGES, quantize
from tune.runs.weights import TrainedRun, open_run
from tune.spec.data_spec import Normalization
from tune.training import open_splits

CPU = torch.device("cpu")
WIDE = ("model.conv_channels=[32, 64]", "model.hidden_dim=128", "training.batch_size=32", "training.epochs=4")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quantize")


@pytest.fixture(scope="module")
def run(place: Path) -> TrainedRun:
    return open_run(trained(place, *WIDE).folder, CPU)


@pytest.fixture(scope="module")
def floating(run: TrainedRun) -> bytes:
    return to_onnx(run)


@pytest.fixture(scope="module")
def int8(run: TrainedRun, place: Path) -> bytes:
    return quantize(run, place, print)


def weights(model: ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


# -- float32


def pixels(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_the_exported_model_says_what_the_network_says_of_normalized_images(run: TrainedRun, floating: bytes) -> None:
    onnx.checker.check_model(onnx.load_from_string(floating), full_check=True)
    classify = OnnxClassifier(floating, 1)
    for batch in (1, 3, 64):
        images = pixels(batch, 1, 8, 8, seed=batch)
        with torch.inference_mode():
            expected = run.model((images / 255 - 0.5) / 0.5)  # as `data.normalize: half` is documented
        torch.testing.assert_close(classify(images), expected, rtol=1e-4, atol=1e-5)


def test_its_input_and_outputs_have_names_and_types(floating: bytes, int8: bytes) -> None:
    for content in (floating, int8):
        session = InferenceSession(content, providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        assert (given.name, given.type, given.shape[1:]) == ("images", "tensor(uint8)", [1, 8, 8])
        assert isinstance(given.shape[0], str)  # any number of images
        images = pixels(5, 1, 8, 8).numpy()
        logits, probabilities = session.run(["logits", "probabilities"], {"images": images})
        expected = torch.from_numpy(logits).softmax(1)
        torch.testing.assert_close(torch.from_numpy(probabilities), expected, rtol=1e-4, atol=1e-6)


def test_images_in_another_layout_are_taken_as_they_mean(floating: bytes) -> None:
    images = pixels(4, 1, 8, 8).transpose(2, 3)
    classify = OnnxClassifier(floating, 1)
    assert torch.equal(classify(images), classify(images.contiguous()))


def test_it_tells_what_its_user_needs_and_nothing_of_this_machine(
    run: TrainedRun, floating: bytes, int8: bytes
) -> None:
    for content in (floating, int8):
        model = onnx.load_from_string(content)
        texts = {prop.key: prop.value for prop in model.metadata_props}
        assert json.loads(texts["classes"]) == [str(digit) for digit in range(10)]
        assert json.loads(texts["input_shape"]) == [1, 8, 8]
        assert json.loads(texts["normalization"]) == {"mean": [0.5], "std": [0.5]}
        assert texts["model"] == "simple_cnn"
        assert texts["resize"].startswith("to 8 x 8 pixels, bilinear")
        assert texts["input"].startswith("uint8 grey pixels from 0 to 255")
        assert json.loads(texts["epoch"]) == run.epoch
        assert [(part.domain, part.version) for part in model.opset_import] == [("", 18)]
        assert b"site-packages" not in content
        assert str(Path(__file__).parents[3]).encode() not in content


def exported(run: TrainedRun, model: nn.Module, shape: tuple[int, int, int]) -> tuple[OnnxClassifier, nn.Module]:
    """A network exported as if it were the run's, and the network as it takes pixels."""
    normalization = Normalization(mean=(0.5,) * shape[0], std=(0.25,) * shape[0])
    info = run.info.model_copy(update={"input_shape": shape, "normalization": normalization})
    network = PixelInput(model.eval(), normalization)
    return OnnxClassifier(to_onnx(replace(run, model=model.eval(), info=info)), 1), network.eval()


CLASSIFIERS = [name for name in models.names() if models.get(name).task == "classification"]


def check_exported(run: TrainedRun, name: str, **options: Any) -> None:
    entry = models.get(name)
    torch.manual_seed(0)
    model = models.build(name, entry.native_input, entry.native_classes, **options)
    classify, network = exported(run, model, entry.native_input)
    images = pixels(3, *entry.native_input)
    with torch.inference_mode():
        torch.testing.assert_close(classify(images), network(images), rtol=1e-3, atol=1e-4)


def test_fractional_pooling_and_mish_export(run: TrainedRun) -> None:
    check_exported(run, "classifier")


def test_maximum_pooling_and_whitening_export(run: TrainedRun) -> None:
    """ONNX has no pooling to a size that does not divide the image's, as from 31 to 15 pixels here."""
    fast = {"pooling": "max", "early_pooling": True, "final_size": 3, "global_pooling": True, "whitening": "2x2"}
    check_exported(run, "classifier", cnn_layers=3, fcn_layers=1, norm="batch_unscaled", **fast)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_exports(run: TrainedRun, name: str) -> None:
    check_exported(run, name)


def test_the_classifiers_are_many() -> None:
    assert len(CLASSIFIERS) >= 11


def test_what_is_no_classifier_is_refused(run: TrainedRun) -> None:
    experiment = run.experiment.model_copy(update={"model": run.experiment.model.model_copy(update={"name": "vae"})})
    with pytest.raises(UserError, match="vae is a model for reconstruction"):
        to_onnx(replace(run, experiment=experiment))


# -- int8


def test_convolutions_and_linear_layers_compute_with_int8(run: TrainedRun, int8: bytes) -> None:
    model = onnx.load_from_string(int8)
    onnx.checker.check_model(model, full_check=True)
    made_by = {output: node for node in model.graph.node for output in node.output}
    tables = weights(model)
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(layers) == len([m for m in run.model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]) == 4
    for layer in layers:
        activation, weight = (made_by[name] for name in layer.input[:2])
        assert (activation.op_type, weight.op_type) == ("DequantizeLinear", "DequantizeLinear")
        assert made_by[activation.input[0]].op_type in ("QuantizeLinear", "MaxPool", "Reshape")
        assert tables[weight.input[0]].dtype == np.int8
        assert tables[activation.input[2]].dtype == np.uint8
        assert tables[weight.input[1]].shape == (tables[weight.input[0]].shape[0],)  # a scale per output channel
    stored = [table for table in tables.values() if table.dtype == np.float32 and table.size > 128]
    assert stored == []


def test_each_weight_is_its_float_rounded_to_seven_bits(run: TrainedRun, int8: bytes) -> None:
    tables = weights(onnx.load_from_string(int8))
    state = run.model.state_dict()
    names = [name for name in state if name.endswith("weight")]
    assert len(names) == 4
    for name in names:
        steps = tables[f"network.{name}_quantized"].astype(np.float32)
        scale = tables[f"network.{name}_scale"].reshape(-1, *[1] * (steps.ndim - 1))
        # 255 * 64 * 2 < 2^15: no pair of products saturates where a CPU sums them in 16 bits
        assert 60 <= np.abs(steps).max() <= 64
        assert np.abs(steps * scale - state[name].numpy()).max() <= 0.51 * scale.max()


def test_the_file_is_less_than_a_third(run: TrainedRun, int8: bytes) -> None:
    assert len(int8) < run.folder.weights.stat().st_size / 3


def test_the_accuracy_stays_within_points(run: TrainedRun, int8: bytes, place: Path) -> None:
    images = pixels_of(images_of(run, "test", place, print))
    scores = [
        score(predict_by(classify, images, run.info.classes))
        for classify in (pixel_classifier_of(run), OnnxClassifier(int8, 1))
    ]
    assert scores[0]["accuracy"] > 0.85
    assert abs(scores[0]["accuracy"] - scores[1]["accuracy"]) <= 0.02
    assert abs(scores[0]["loss"] - scores[1]["loss"]) <= 0.05


def test_the_same_run_gives_the_same_model(run: TrainedRun, int8: bytes, place: Path) -> None:
    assert quantize(run, place, print) == int8


def test_calibration_sees_training_images_only(
    run: TrainedRun, int8: bytes, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("the test images were asked for")

    monkeypatch.setattr(data, "load_test", refuse)
    monkeypatch.setattr("data.sources.load_test", refuse)
    served = []
    batches = data.Resident.batches

    def spied(self: data.Resident, *args: Any, **options: Any) -> Any:
        served.append(self)
        return batches(self, *args, **options)

    monkeypatch.setattr(data.Resident, "batches", spied)
    assert quantize(run, place, print) == int8
    splits = open_splits(run.experiment.data, place, CPU)
    (calibration,) = served
    assert set(index_of(calibration).tolist()) <= set(index_of(splits.train).tolist())
    assert len(calibration) == min(CALIBRATION_IMAGES, len(splits.train)) == 300
    batch, _ = next(calibration.batches(8))
    assert batch.max() > 100  # pixels


@pytest.mark.parametrize(("images", "chosen"), [(1, 1), (5, 5), (2000, CALIBRATION_IMAGES)])
def test_as_many_images_as_there_are_and_no_more_than_needed(images: int, chosen: int) -> None:
    train = data.Resident(torch.zeros(images, 1, 2, 2, dtype=torch.uint8), torch.zeros(images, dtype=torch.int64))
    found = drawn(train, CALIBRATION_IMAGES)
    assert len(set(index_of(found).tolist())) == len(found) == chosen


def test_a_missing_package_is_said_with_what_to_install(
    run: TrainedRun, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in ("onnxruntime", "onnxscript") else find(name, package)

    monkeypatch.setattr("tune.export.onnx_model.find_spec", without)
    for ask in (lambda: quantize(run, place, print), lambda: to_onnx(run), lambda: OnnxClassifier(b"", 1)):
        with pytest.raises(
            UserError, match=r"not installed: onnxruntime, onnxscript.* pip install -e '\.\[onnx\]'"
        ) as caught:
            ask()
        assert caught.value.exit_code == 2
