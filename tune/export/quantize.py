"""Post-training quantization of convolutions and linear layers to 8-bit integers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

import data
from tune.evaluation.evaluate import Say, images_of
from tune.export.onnx_model import INPUT, require_onnx, to_onnx, with_facts
from tune.runs.weights import TrainedRun

if TYPE_CHECKING:
    from onnx import ModelProto

CALIBRATION_IMAGES = 1024
_CALIBRATION_BATCH = 128
_CALIBRATION_SEED = 0


def quantize(run: TrainedRun, root: Path, say: Say) -> bytes:
    """A run's classifier as an ONNX model whose weights are int8 and whose activations are uint8, scaled statically.

    Weights are scaled per output channel, activations per tensor, by their ranges on training images (Jacob et al.
    2018, https://arxiv.org/abs/1712.05877; Nagel et al. 2021, https://arxiv.org/abs/2106.08295), with ONNX Runtime's
    quantizer in QDQ format. The result is deterministic.

    Args:
        run: The run of a classifier.
        root: The data directory, as torchvision's `root`.
        say: Told of everything slow or unexpected.

    Raises:
        UserError: The packages are missing, the model is not a classifier, or the images are not the training images.
        data.DataError: The images cannot be read.
    """
    require_onnx()
    model = to_onnx(run)
    images = calibration_images(images_of(run, "train", root, say))
    with tempfile.TemporaryDirectory() as place:
        return with_facts(_quantized(model, images, Path(place)), run)


def calibration_images(train: data.Resident) -> data.Resident:
    """A random choice of training images, the same each time; no other image influences the scales."""
    every = torch.arange(len(train)) if train.index is None else train.index
    generator = torch.Generator().manual_seed(_CALIBRATION_SEED)
    drawn = torch.randperm(len(train), generator=generator)[:CALIBRATION_IMAGES]
    return data.Resident(train.images, train.labels, every[drawn], normalization=train.normalization)


def _quantized(model: bytes, images: data.Resident, place: Path) -> ModelProto:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Feeds the images to the quantizer."""

        def __init__(self) -> None:
            self._batches = _inputs(images)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._batches, None)

    whole, prepared, result = (place / f"{name}.onnx" for name in ("whole", "prepared", "result"))
    whole.write_bytes(model)
    quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)  # fuses layers as inference does
    quantize_static(
        str(prepared),
        str(result),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
        # 7-bit weights: without VNNI instructions (AVX2, many AVX-512) pairs of products are summed in 16 bits and may
        # saturate. simple_cnn after one epoch of MNIST: 97.05 % in float32, 96.35 % with 8 bits, 97.05 % with 7 bits at
        # the same speed, and a model gives the same results on every machine.
        reduce_range=True,
    )
    return onnx.load(result)


def _inputs(images: data.Resident) -> Iterator[dict[str, NDArray[np.float32]]]:
    for batch, _ in images.batches(_CALIBRATION_BATCH):
        yield {INPUT: batch.contiguous().numpy()}
