"""Open a file that `imagetune export` wrote, whatever its format."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor

from data.untrusted import read_json
from tune.buckets.parsing import folder_of
from tune.errors import UserError, WorkError
from tune.evaluation.prediction import ImageClassifier, classifier_of_run
from tune.export.facts import parse_facts
from tune.export.onnx_model import OnnxClassifier
from tune.export.torch_program import TorchProgram
from tune.files import fetch, needed
from tune.record.folder import locate_run

RECORD = "export.json"
"""Lies beside exported files and has the digest of each."""

_RUNTIMES: dict[str, type[OnnxClassifier | TorchProgram]] = {".onnx": OnnxClassifier, ".pt2": TorchProgram}


def is_exported(name: str) -> bool:
    """Whether an argument that may also be a run names an exported file: by its ending."""
    return Path(name).suffix.lower() in _RUNTIMES and not Path(name).is_dir()


def exported_file(name: str) -> Path:
    """The path of an exported file; one in S3 is downloaded.

    Raises:
        UserError: It is a URL that cannot be used, or the bucket cannot be read.
    """
    path = folder_of(name)
    fetch(path.parent)
    needed(path)
    return path


def open_classifier(name: str, out: Path) -> ImageClassifier:
    """The classifier of an exported file or a run.

    Args:
        name: The file, the run's folder, or the run's name below `out`.
        out: The folder for runs.

    Raises:
        UserError: There is none of this name, it is not a classifier, or packages are missing.
        WorkError: It is damaged.
    """
    return open_exported(exported_file(name)) if is_exported(name) else classifier_of_run(locate_run(name, out))


def open_exported(path: Path, threads: int = 0) -> ImageClassifier:
    """A classifier from a file, run on the CPU.

    Args:
        path: Of the file; its ending is its format.
        threads: CPU threads; 0 for as many as the runtime uses by itself.

    Raises:
        UserError: There is no such file, imagetune did not export it, or packages are missing.
        WorkError: It is damaged.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; imagetune export RUN writes one into the run's folder")
    content = path.read_bytes()
    _compare(content, path)
    runtime = _RUNTIMES[path.suffix.lower()](content, threads, path)
    facts = parse_facts(runtime.texts, path)

    def classify(pixels: Tensor) -> Tensor:
        logits = runtime(pixels)
        if logits.shape != (len(pixels), len(facts.classes)):
            shape = tuple(logits.shape)
            raise WorkError(f"{path} gives {shape} for {len(facts.classes)} classes; export the run again")
        return logits

    return ImageClassifier(classify, facts.input_shape, facts.classes, facts.max_pixels)


def _compare(content: bytes, path: Path) -> None:
    """Compare a file with its digest, if that lies beside it: the formats themselves do not notice a changed weight."""
    record = path.with_name(RECORD)
    try:
        known = read_json(record)["files"][path.name]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # the file was copied without it
    if known != hashlib.sha256(content).hexdigest():
        raise WorkError(f"{path} is not the file that {record} describes: damaged or changed; export the run again")
