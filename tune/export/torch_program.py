"""Export a run's model as a program of `torch.export` (.pt2), and read such a file without executing code from it."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.untrusted import check_archive, parse_json
from tune.errors import UserError, WorkError, named_line
from tune.evaluation.inference import PixelInput
from tune.export.facts import facts_of
from tune.runs.weights import TrainedRun
from tune.training import cpu_threads

_MEMBERS = re.compile(
    r"[^/]+/(\.data/(version|serialization_id)|archive_format|archive_version|byteorder|models/model\.json|extra/\w+"
    r"|data/(weights/(weight_\d+|model_weights_config\.json)|constants/(tensor_\d+|model_constants_config\.json)"
    r"|sample_inputs/model\.pt))"
)
# Names and numbers, operators of ATen, and a size that varies; nothing else that torch could look up or evaluate.
_TEXT = re.compile(
    r"(?!(torch|_operator|math)\.)[\w.+]*|torch\.ops\.aten(\.\w+)+|Symbol\('s\d+', positive=True, integer=True\)"
)
_TREES = ("in_spec", "out_spec", "context")  # JSON in JSON


def to_torch_program(run: TrainedRun) -> bytes:
    """A classifier in float32, for batches of any size: a file for `torch.export.load(...).module()`.

    It maps pixels, (N, C, H, W) uint8 from 0 to 255, to logits (N, classes) float32: the normalization is a part of the
    network. `ModelFacts` are its `extra_files`.

    Raises:
        UserError: The model is not a classifier.
    """
    facts = facts_of(run)
    network = PixelInput(run.model.cpu(), run.info.normalization).eval()
    batch = torch.export.Dim("batch", min=1)
    images = torch.zeros(2, *run.info.input_shape, dtype=torch.uint8)
    program = torch.export.export(network, (images,), dynamic_shapes=({0: batch},))
    for node in program.graph.nodes:
        for note in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
            node.meta.pop(note, None)  # source lines and paths of this machine
    file = io.BytesIO()
    torch.export.save(program, file, extra_files=dict(facts.texts()))
    return file.getvalue()


class TorchProgram:
    """An exported program run by torch on the CPU.

    `torch.export.load` unpickles objects, evaluates text and loads compiled code if a file contains any. A file that
    does is refused before.

    Args:
        content: The bytes of the file.
        threads: CPU threads; 0 for as many as torch uses by itself.
        path: Of the file, for messages.

    Attributes:
        texts: Its extra files.

    Raises:
        UserError: The file contains more than imagetune writes.
        WorkError: It is damaged, or not an exported program.
    """

    def __init__(self, content: bytes, threads: int = 0, path: Path = Path("model.pt2")) -> None:
        try:
            self.texts = _checked(content, path)
            self._module = _loaded(content)
        except (MemoryError, UserError):
            raise
        except Exception as error:
            problem = f"is damaged or not an exported program ({named_line(error)})"
            raise WorkError(f"{path} {problem}; export the run again") from error
        self._threads = threads

    def __call__(self, pixels: Tensor) -> Tensor:
        """Logits (B, classes) float32 for pixels (B, C, H, W) from 0 to 255 in any data type, on the CPU."""
        with torch.inference_mode(), cpu_threads(self._threads or torch.get_num_threads()):
            logits: Tensor = self._module(pixels.to(torch.uint8).contiguous())
        return logits


def _loaded(content: bytes) -> torch.nn.Module:
    with warnings.catch_warnings():
        # torch 2.11 makes tensors of bytes, which it only reads.
        warnings.filterwarnings("ignore", message="The given buffer is not writable", category=UserWarning)
        return torch.export.load(io.BytesIO(content)).module()


def _checked(content: bytes, path: Path) -> dict[str, str]:
    """The extra files of a program, which is refused if it is damaged or has parts that torch would execute.

    Raises:
        UserError: There are such parts; says which.
        Exception: The file is damaged (of many kinds).
    """
    check_archive(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"wrong checksum of {damaged}")
        names = archive.namelist()
        unknown = [name for name in names if not _MEMBERS.fullmatch(name)] + sorted(
            {name for name in names if names.count(name) > 1}
        )
        documents = {name: parse_json(archive.read(name)) for name in names if name.endswith(".json")}
        for name in names:
            if name.endswith("sample_inputs/model.pt"):
                # Where this fails, `torch.export.load` unpickles anything.
                check_archive(inner := archive.read(name))
                torch.load(io.BytesIO(inner), weights_only=True)
        texts = {name.rpartition("/")[2]: archive.read(name).decode() for name in names if "/extra/" in name}
    unknown += [f"{text!r} in {name}" for name, document in documents.items() for text in _foreign(document)]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise UserError(
            f"{path} contains what imagetune does not export and torch might execute: "
            f"{', '.join(unknown[:3])}{more}; if you trust the file, load it with torch.export.load"
        )
    return texts


def _foreign(value: Any, key: str = "") -> Iterator[str]:
    """The texts of a JSON document that are neither names nor numbers nor ATen's operators."""
    if key == "use_pickle" and value is not False:
        yield f"use_pickle: {value}"
    elif isinstance(value, str):
        if key in _TREES and "__enum__" not in value:
            yield from _foreign(parse_json(value))
        elif not _TEXT.fullmatch(value):
            yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _foreign(name)
            yield from _foreign(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _foreign(item)
