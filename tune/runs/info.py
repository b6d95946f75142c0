"""`experiment.yaml`: the experiment of a run, and what it was made with."""

from __future__ import annotations

import json
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tune.files import write_whole
from tune.record.folder import RunFolder
from tune.record.same_data import UNRECORDED
from tune.runs.versions import UNKNOWN
from tune.spec import Experiment, SpecError, dump_yaml
from tune.spec.base import Frozen
from tune.spec.checks.pydantic_errors import translate
from tune.spec.data_spec import Normalization
from tune.spec.dotted import with_values
from tune.spec.errors import OVERRIDE
from tune.spec.files import read_tree

M = TypeVar("M", bound=BaseModel)


class RunInfo(Frozen):
    """What a run was made with: all that is needed to use it, beside its experiment and weights.

    Attributes:
        metric: Chooses the best epoch.
        mode: Whether the metric is minimized or maximized.
        epochs: The last epoch, if it comes before the experiment's own.
        full: Whether the model was trained on validation images too.
        device: Where the training was started.
        weights_from: The run whose weights it started from, if any.
        input_shape: (C, H, W) of the images, in pixels.
        classes: Names in the order of the labels.
        normalization: Of the images; anyone who uses the model needs the same.
        split_hash: Of the split into training and validation images.
        parameters: Of the model.
        versions: Of Python and the packages that results depend on.
        hardware: The machine, in words.
        commit: Of the checkout.
        date: When the training was started, in UTC.
        data: Digest of the images (`tune.record.same_data`).
        train_images: That the model was trained on; None if unknown.
    """

    model_config = ConfigDict(extra="ignore")  # other versions write other fields

    metric: str
    mode: Literal["min", "max"]
    epochs: int | None
    full: bool
    device: str
    weights_from: str | None
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    normalization: Normalization
    split_hash: str
    parameters: int
    versions: dict[str, str]
    # Missing in runs of earlier versions.
    hardware: str = UNKNOWN
    commit: str = UNKNOWN
    date: str = UNKNOWN
    data: str = UNRECORDED
    train_images: int | None = None


def write_run(folder: RunFolder, experiment: Experiment, info: RunInfo) -> None:
    """Write `experiment.yaml`, from which `imagetune train` can repeat the training.

    Raises:
        OSError: It cannot be written.
    """
    tree = {"experiment": experiment.to_tree(), "made_with": info.model_dump(mode="json")}
    write_whole(folder.experiment, dump_yaml(tree).encode())


def read_run(folder: RunFolder) -> tuple[Experiment, RunInfo]:
    """The experiment of a run and what it was made with; neither images nor weights are read.

    Raises:
        SpecError: `experiment.yaml` is missing, damaged or of another version.
    """
    tree = read_tree(folder.experiment)
    file = str(folder.experiment)
    experiment = _section(Experiment, tree, "experiment", "", file)
    return experiment, _section(RunInfo, tree, "made_with", "made_with", file)


def with_path(experiment: Experiment, path: str) -> Experiment:
    """The experiment with its images elsewhere.

    Raises:
        SpecError: Its images are not in a folder of the user's.
    """
    try:
        return Experiment.model_validate(with_values(experiment.to_tree(), {"data.path": path}))
    except ValidationError as error:
        raise SpecError(translate(error, Experiment, file=OVERRIDE)) from None


def _section(kind: type[M], tree: dict[str, Any], name: str, prefix: str, file: str) -> M:
    try:
        # By way of JSON, in which a list may become a tuple.
        return kind.model_validate_json(json.dumps(tree.get(name)))
    except ValidationError as error:
        raise SpecError(translate(error, kind, prefix, file)) from None
