"""Export a run's model to ONNX, and run ONNX models. Needs the extra `onnx`."""

from __future__ import annotations

import math
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tune.errors import MOST, UserError, WorkError, first_line
from tune.evaluation.inference import PixelInput
from tune.export.facts import INPUT, LOGITS, PROBABILITIES, ModelFacts, facts_of
from tune.runs.weights import TrainedRun

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
OPSET = 18
MOST_NUMBERS = 2**28
"""Of one image, between two operations: a gigabyte."""


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

    Its input `images` are pixels, (N, C, H, W) uint8 from 0 to 255: the normalization is a part of the network. Its
    outputs are `logits` and `probabilities`, (N, classes) float32 each. `ModelFacts` are its `metadata_props`.

    Raises:
        UserError: The packages are missing, or the model is not a classifier.
    """
    require_onnx()
    facts = facts_of(run)
    model = _exported(run)
    _strip(model.graph)
    return with_facts(model, facts)


class _WithProbabilities(PixelInput):
    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        logits = super().forward(pixels)
        return logits, logits.softmax(1)


def _exported(run: TrainedRun) -> ModelProto:
    network: nn.Module = _WithProbabilities(run.model.cpu(), run.info.normalization).eval()
    with warnings.catch_warnings():
        # torch 2.11 calls a function that it has deprecated itself.
        warnings.filterwarnings("ignore", message=".isinstance\\(treespec", category=FutureWarning)
        program = torch.onnx.export(
            network,
            (torch.zeros(2, *run.info.input_shape, dtype=torch.uint8),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[LOGITS, PROBABILITIES],
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


def with_facts(model: ModelProto, facts: ModelFacts) -> bytes:
    """The model as a file, with what its users need to know."""
    from onnx.helper import set_model_props

    used = {node.domain for node in model.graph.node}
    for opset in [opset for opset in model.opset_import if opset.domain not in used]:
        model.opset_import.remove(opset)  # the quantizer adds eight that other runtimes do not know
    del model.metadata_props[:]
    set_model_props(model, facts.texts())
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class OnnxClassifier:
    """An ONNX model run by ONNX Runtime on the CPU.

    Such a file is a program: one that may run for ever or take any amount of memory is refused (`_check_bounded`).

    Args:
        content: The bytes of the model's file.
        threads: CPU threads per operation; 0 for one per core.
        path: Of the file, for messages.

    Attributes:
        texts: Its metadata.

    Raises:
        UserError: Packages are missing.
        WorkError: The file is damaged, or not an ONNX model.
    """

    def __init__(self, content: bytes, threads: int = 0, path: Path = Path("model.onnx")) -> None:
        require_onnx()
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong with a file is in the exception
        self._path = path
        try:
            _check_bounded(content)
            self._session = InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's have no common class
            problem = f"is damaged or not an ONNX model ({first_line(error, MOST)})"
            raise WorkError(f"{path} {problem}; export the run again") from error
        self.texts: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Logits (B, classes) float32 for pixels (B, C, H, W) from 0 to 255 in any data type, on the CPU."""
        images = pixels.to(torch.uint8).contiguous().numpy()
        try:
            (logits,) = self._session.run([LOGITS], {INPUT: images})
        except Exception as error:  # ONNX Runtime's have no common class
            raise WorkError(f"{self._path} cannot be run ({first_line(error, MOST)}); export the run again") from error
        return torch.from_numpy(logits)


def _check_bounded(content: bytes) -> None:
    """Refuse what imagetune never exports and what has no bound: loops, and values far larger than an image's.

    Raises:
        ValueError: Says what.
        google.protobuf.message.DecodeError: This is no ONNX model.
    """
    from onnx import AttributeProto, load_model_from_string
    from onnx.shape_inference import infer_shapes

    model = load_model_from_string(content)
    for node in model.graph.node:
        if any(given.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for given in node.attribute):
            raise ValueError(f"it contains a {node.op_type}, which may run for ever")
    inferred = infer_shapes(model, data_prop=True).graph
    for value in (*inferred.value_info, *inferred.output):
        sizes = [size.dim_value or 1 for size in value.type.tensor_type.shape.dim]
        if math.prod(sizes) > MOST_NUMBERS:
            raise ValueError(f"its value {value.name} has {math.prod(sizes):,} numbers for an image")
