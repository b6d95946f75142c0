"""What an exported file says about itself, beside the network: all that its user needs, as text under plain names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import models
from data.untrusted import parse_json
from tune.errors import UserError, WorkError, first_line
from tune.runs.versions import imagetune_version
from tune.runs.weights import TrainedRun
from tune.spec.base import Frozen
from tune.spec.data_spec import Normalization

INPUT, LOGITS, PROBABILITIES = "images", "logits", "probabilities"


class ModelFacts(Frozen):
    """The metadata of an exported classifier: `metadata_props` in ONNX, `extra_files` in a torch program.

    Attributes:
        model: Name of the network.
        input: What the network takes, in words.
        resize: How an image gets the size of the input, in words.
        input_shape: (C, H, W) of the input, in pixels.
        classes: Names in the order of the logits.
        normalization: Of the pixels, scaled to 0..1. It is a part of the network: its input must not be normalized.
        epoch: Whose weights these are.
        max_pixels: The largest image that `imagetune predict` decodes for it.
        imagetune: The version that exported it.
    """

    model: str
    input: str
    resize: str
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    normalization: Normalization
    epoch: int
    max_pixels: int
    imagetune: str

    def texts(self) -> dict[str, str]:
        """Each attribute as text; what is not text itself is JSON."""
        values = self.model_dump(mode="json")
        return {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in values.items()
        }


def facts_of(run: TrainedRun) -> ModelFacts:
    """The facts of a run that is exported.

    Raises:
        UserError: Its model is not a classifier.
    """
    name, (channels, height, width) = run.experiment.model.name, run.info.input_shape
    if (task := models.get(name).task) != "classification":
        raise UserError(
            f"{run.folder.path}: {name} is a model for {task}, and only classifiers can be exported; "
            f"load it in Python: tune.load_run({str(run.folder.path)!r}).model()"
        )
    colours = {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
    return ModelFacts(
        model=name,
        input=f"uint8 {colours} pixels from 0 to 255, (N, {channels}, {height}, {width}); do not normalize them",
        resize=f"to {width} x {height} pixels, bilinear with antialiasing, ignoring the aspect ratio",
        input_shape=run.info.input_shape,
        classes=run.info.classes,
        normalization=run.info.normalization,
        epoch=run.epoch,
        max_pixels=run.experiment.data.max_pixels,
        imagetune=imagetune_version(),
    )


def parse_facts(texts: Mapping[str, str], path: Path) -> ModelFacts:
    """The facts in an exported file.

    Args:
        texts: As `ModelFacts.texts` gives them.
        path: Of the file.

    Raises:
        UserError: It was not exported by imagetune.
        WorkError: The facts are damaged.
    """
    if "imagetune" not in texts:
        raise UserError(f"{path} was not exported by imagetune; give a run, or a file that imagetune export wrote")
    try:
        values = {name: _value(name, texts[name]) for name in ModelFacts.model_fields}
        # By way of JSON, in which a list may become a tuple.
        return ModelFacts.model_validate_json(json.dumps(values))
    except (KeyError, ValueError, ValidationError) as error:
        raise WorkError(f"{path}: its metadata are damaged ({first_line(error)}); export the run again") from error


def _value(name: str, text: str) -> Any:
    return text if ModelFacts.model_fields[name].annotation is str else parse_json(text)
