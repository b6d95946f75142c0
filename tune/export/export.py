"""Export a run into a folder that can be copied away: the model, its labels, and a card that says how to use it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data.untrusted import read_json
from tune.errors import UserError, WorkError
from tune.evaluation.evaluate import Say
from tune.export.card import card
from tune.export.check import ExportCheck, check, check_images
from tune.export.exported import RECORD
from tune.export.facts import ModelFacts, facts_of
from tune.export.onnx_model import OnnxClassifier, require_onnx, to_onnx
from tune.export.quantize import quantize
from tune.export.torch_program import TorchProgram, to_torch_program
from tune.files import write_whole
from tune.json_output import json_text
from tune.record.folder import RunFolder
from tune.runs.weights import TrainedRun, open_run

FOLDER, LABELS, CARD = "export", "labels.txt", "README.md"


@dataclass(frozen=True)
class Target:
    """What a run can be exported to.

    Attributes:
        file: Name of the file.
        build: From a run, the data directory and a listener to the file's content.
        load: From the content to what runs it.
        exact: Whether it computes in float32, as the run's network.
    """

    file: str
    build: Callable[[TrainedRun, Path, Say], bytes]
    load: Callable[[bytes], OnnxClassifier | TorchProgram]
    exact: bool = True


TARGETS = {
    ("onnx", None): Target("model.onnx", lambda run, root, say: to_onnx(run), OnnxClassifier),
    ("onnx", "int8"): Target("model-int8.onnx", quantize, OnnxClassifier, exact=False),
    ("torch", None): Target("model.pt2", lambda run, root, say: to_torch_program(run), TorchProgram),
}
"""By format and quantization."""


@dataclass(frozen=True)
class Export:
    """An exported run.

    Attributes:
        file: The model.
        files: All files that were written, the model first.
        bytes: Size of the model.
        check: The comparison with the run; None if its data could not be read.
    """

    file: Path
    files: tuple[Path, ...]
    bytes: int
    check: ExportCheck | None


def export(
    folder: RunFolder, target: Target, root: Path, say: Say, *, path: str | None = None, place: Path | None = None
) -> Export:
    """Export a run's best weights.

    Files of other formats that are in the folder stay, and files of the same names are replaced, each atomically.
    Nothing is written unless the exported model was compared with the run, or the run's data cannot be read.

    Args:
        folder: The run's.
        target: The format.
        root: The data directory, as torchvision's `root`.
        say: Called with a line about anything slow or unexpected.
        path: Where the run's images are now, if they were moved since the training.
        place: The folder to write; None for `export` in the run's.

    Raises:
        UserError: The run has no weights or is not a classifier, packages are missing, or int8 cannot be scaled.
        WorkError: The weights are damaged, the exported model differs from the run, or the folder cannot be written.
    """
    if target.load is OnnxClassifier:
        require_onnx()
    run = open_run(folder, torch.device("cpu"), path)
    facts = facts_of(run)
    chosen = check_images(run, root, say)
    if chosen is None and not target.exact:
        raise UserError(
            f"{folder.path}: int8 is calibrated on the run's training images, which cannot be read; "
            "restore them, use data.path=FOLDER, or leave out --quantize"
        )
    say(f"exporting {folder.path} as {target.file}")
    content = target.build(run, root, say)
    found = None if chosen is None else check(run, target.load(content), chosen, exact=target.exact)
    place = place or folder.path / FOLDER
    try:
        files = _write(run, facts, target, content, found, place)
    except OSError as error:
        raise WorkError(f"cannot write to {place}: {error.strerror}; use --output DIR to write elsewhere") from error
    return Export(files[0], files, len(content), found)


def _write(
    run: TrainedRun, facts: ModelFacts, target: Target, content: bytes, found: ExportCheck | None, place: Path
) -> tuple[Path, ...]:
    models = _models(run, facts, target, content, found, place)
    labels = "".join(f"{' '.join(name.splitlines())}\n" for name in facts.classes)
    files = {
        target.file: content,
        LABELS: labels.encode(errors="backslashreplace"),
        RECORD: f"{json_text({'files': models})}\n".encode(),
        CARD: card(run, facts, models).encode(errors="backslashreplace"),
    }
    for name, own in files.items():
        write_whole(place / name, own)
    return tuple(place / name for name in files)


def _models(
    run: TrainedRun, facts: ModelFacts, target: Target, content: bytes, found: ExportCheck | None, place: Path
) -> dict[str, Any]:
    """The models in the folder by file name, as in `export.json`: the new one, and others of the same weights."""
    weights = hashlib.sha256(run.folder.weights.read_bytes()).hexdigest()
    new = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "weights_sha256": weights,
        "epoch": facts.epoch,
        "check": None if found is None else dataclasses.asdict(found),
    }
    others = {
        name: facts
        for name, facts in _recorded(place).items()
        if facts.get("weights_sha256") == weights and (place / name).is_file()
    }
    known = others | {target.file: new}
    return {each.file: known[each.file] for each in TARGETS.values() if each.file in known}


def _recorded(place: Path) -> dict[str, dict[str, Any]]:
    """The models that `export.json` lists; none if it is missing or damaged."""
    try:
        return dict(read_json(place / RECORD)["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
