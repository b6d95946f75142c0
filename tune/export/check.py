"""Compare an exported model with the run that it comes from, on images of the run's data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import data
from tune.errors import UserError, WorkError
from tune.evaluation.classification import Classifier, logits, pixel_classifier_of
from tune.evaluation.evaluate import Say, SplitName, images_of
from tune.evaluation.inference import PixelInput, drawn, index_of, pixels_of
from tune.runs.weights import TrainedRun

IMAGES = 1000
_RELATIVE, _ABSOLUTE = 1e-4, 1e-4


@dataclass(frozen=True)
class ExportCheck:
    """An exported model beside its run.

    Attributes:
        split: Which images: never the test split, which only `imagetune evaluate` reads.
        images: Their number.
        largest_difference: Between two logits of the exported model and of the run's network in float32.
        same_class: For how many images both give the same class.
        accuracy: Of the exported model, as a fraction.
        run_accuracy: Of the run, in the precision it is trained and evaluated in.
    """

    split: SplitName
    images: int
    largest_difference: float
    same_class: int
    accuracy: float
    run_accuracy: float


@dataclass(frozen=True)
class CheckImages:
    """Images to compare models on; pixels from 0 to 255 in their batches."""

    split: SplitName
    images: data.Resident


def check_images(run: TrainedRun, root: Path, say: Say) -> CheckImages | None:
    """Validation images of a run, or training images where it has none; None where its data cannot be read."""
    has_validation = not run.info.full and run.experiment.data.validation_fraction > 0
    split: SplitName = "validation" if has_validation else "train"
    try:
        return CheckImages(split, drawn(pixels_of(images_of(run, split, root, say)), IMAGES))
    except (data.DataError, UserError) as error:
        say(f"not compared with the run on images, as they cannot be read: {error}")
        return None


def check(run: TrainedRun, exported: Classifier, chosen: CheckImages, *, exact: bool) -> ExportCheck:
    """Compare.

    Args:
        run: On the CPU.
        exported: From pixels to logits.
        chosen: The images.
        exact: Whether the logits must be the same, but for the last digits of float32.

    Raises:
        WorkError: They are not the same.
    """
    network = PixelInput(run.model, run.info.normalization).eval()

    def in_float32(pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            output: Tensor = network(pixels)
        return output

    classes = len(run.info.classes)
    labels = chosen.images.labels[index_of(chosen.images)]
    before, after, as_run = (
        torch.cat([batch for batch, _ in logits(classify, chosen.images, classes)])
        for classify in (in_float32, exported, pixel_classifier_of(run))
    )
    largest = float((after - before).abs().max())
    if exact and not torch.allclose(after, before, rtol=_RELATIVE, atol=_ABSOLUTE):
        raise WorkError(
            f"{run.folder.path}: the exported model gives other logits than the run (largest difference "
            f"{largest:.3g}), so nothing was written; this is a bug in imagetune or the exporter; please report it"
        )
    predicted = after.argmax(1)
    return ExportCheck(
        split=chosen.split,
        images=len(labels),
        largest_difference=largest,
        same_class=int((predicted == as_run.argmax(1)).sum()),
        accuracy=_share(predicted == labels),
        run_accuracy=_share(as_run.argmax(1) == labels),
    )


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())
