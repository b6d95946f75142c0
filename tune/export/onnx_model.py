"""Export a run's model to ONNX, and run ONNX models. Needs the extra `onnx`."""

from __future__ import annotations

import json
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor

import models
from tune.errors import UserError
from tune.runs.weights import TrainedRun

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
OPSET = 18
INPUT, OUTPUT = "images", "logits"


def require_onnx() -> None:
    """Check that the packages of the extra `onnx` are installed.

    Raises:
        UserError: One of them is missing; says what to install.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(
            f"ONNX models need packages that are not installed: {', '.join(missing)}; "
            "run pip install -e '.[onnx]' in the checkout, or pip install onnx onnxruntime onnxscript"
        )


def to_onnx(run: TrainedRun) -> bytes:
    """A classifier in float32, for batches of any size.

    Its input `images` is (B, C, H, W) float32, normalized as in training; its output `logits` is (B, classes). The
    normalization and the class names are in the model's property `imagetune`, as JSON.

    Raises:
        UserError: The packages are missing, or the model is not a classifier.
    """
    require_onnx()
    name = run.experiment.model.name
    if (task := models.get(name).task) != "classification":
        raise UserError(f"{run.folder.path}: {name} is a model for {task}; only classifiers can be exported to ONNX")
    model = _exported(run)
    _strip(model.graph)
    return with_facts(model, run)


def _exported(run: TrainedRun) -> ModelProto:
    device = next(run.model.parameters()).device
    images = torch.zeros(2, *run.info.input_shape, device=device)
    with warnings.catch_warnings():
        # torch 2.11 calls a function that it has deprecated itself.
        warnings.filterwarnings("ignore", message=".isinstance\\(treespec", category=FutureWarning)
        program = torch.onnx.export(
            run.model,
            (images,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise AssertionError("torch.onnx.export returns a program if dynamo=True")
    return program.model_proto


def _strip(graph: GraphProto) -> None:
    """Remove the exporter's notes on source lines and local paths, which are a third of a small file."""
    del graph.value_info[:]  # intermediate shapes, which can be inferred
    graph.doc_string = ""
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]


def with_facts(model: ModelProto, run: TrainedRun) -> bytes:
    """The model as a file, with what its users need to know about the run."""
    from onnx.helper import set_model_props

    facts = {
        "model": run.experiment.model.name,
        "input_shape": run.info.input_shape,
        "normalization": {"mean": run.info.normalization.mean, "std": run.info.normalization.std},
        "classes": run.info.classes,
        "epoch": run.epoch,
    }
    used = {node.domain for node in model.graph.node}
    for opset in [opset for opset in model.opset_import if opset.domain not in used]:
        model.opset_import.remove(opset)  # the quantizer adds eight that other runtimes do not know
    del model.metadata_props[:]
    set_model_props(model, {"imagetune": json.dumps(facts)})
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class OnnxClassifier:
    """An ONNX model run by ONNX Runtime on the CPU.

    Args:
        content: The bytes of the model's file.
        threads: CPU threads per operation.
    """

    def __init__(self, content: bytes, threads: int) -> None:
        require_onnx()
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (B, classes) for normalized images (B, C, H, W), both float32 on the CPU."""
        (logits,) = self._session.run([OUTPUT], {INPUT: images.contiguous().numpy()})
        return torch.from_numpy(logits)
