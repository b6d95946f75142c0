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
from tune.evaluation.inference import drawn, pixels_of
from tune.export.facts import INPUT, PROBABILITIES, facts_of
from tune.export.onnx_model import require_onnx, to_onnx, with_facts
from tune.runs.weights import TrainedRun

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

CALIBRATION_IMAGES = 1024
_CALIBRATION_BATCH = 128


def quantize(run: TrainedRun, root: Path, say: Say) -> bytes:
    """A run's classifier as an ONNX model whose weights are int8 and whose activations are uint8, scaled statically.

    Weights are scaled per output channel, activations per tensor, by their ranges on training images (Jacob et al.
    2018, https://arxiv.org/abs/1712.05877; Nagel et al. 2021, https://arxiv.org/abs/2106.08295), with ONNX Runtime's
    quantizer in QDQ format. The result is deterministic.

    Args:
        run: The run of a classifier.
        root: The data directory, as torchvision's `root`.
        say: Called with a line about anything slow or unexpected.

    Raises:
        UserError: The packages are missing, the model is not a classifier, or the images are not the training images.
        data.DataError: The images cannot be read.
    """
    require_onnx()
    model = to_onnx(run)
    images = drawn(pixels_of(images_of(run, "train", root, say)), CALIBRATION_IMAGES)  # no others influence the scales
    with tempfile.TemporaryDirectory() as place:
        return with_facts(_quantized(model, images, Path(place)), facts_of(run))


def _quantized(model: bytes, images: data.Resident, place: Path) -> ModelProto:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Feeds the images to the quantizer."""

        def __init__(self) -> None:
            self._batches = _inputs(images)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
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
        nodes_to_exclude=_kept_in_float(onnx.load(prepared).graph),
    )
    return onnx.load(result)


def _kept_in_float(graph: GraphProto) -> list[str]:
    """Names of the nodes that normalize the pixels or make the probabilities, which 8 bits would only make coarser."""
    names, values = [node.name for node in graph.node if PROBABILITIES in node.output], {INPUT}
    for node in graph.node:
        if node.op_type in ("Cast", "Mul", "Add") and values & set(node.input):
            names.append(node.name)
            values.update(node.output)
    return names


def _inputs(images: data.Resident) -> Iterator[dict[str, NDArray[np.uint8]]]:
    for batch, _ in images.batches(_CALIBRATION_BATCH):
        yield {INPUT: batch.to(torch.uint8).contiguous().numpy()}
