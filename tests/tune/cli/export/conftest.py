"""Runs to be exported, and what they were exported to."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto
from PIL import Image

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import image_folder, trained
from tune.export import onnx_model
from tune.record.folder import RunFolder
from tune.runs.weights import TrainedRun

CLASSES = ("rötlich | rot", "green apple", "<blue>")
VAE = "model={name: vae, cnn_layers: 2, starting_channels: 8, final_channels: 16, latent_dim: 4}"
COLOUR = "model={name: classifier, cnn_layers: 2, starting_channels: 8, final_channels: 16}"


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of grey digits, one with fractional pooling of colour photos, and a VAE."""
    place = tmp_path_factory.mktemp("export")
    images = image_folder(place / "my images", CLASSES)
    trained(place, name="run")
    own = f"data={{name: folder, path: {images}, image_size: 12, validation_fraction: 0.2}}"
    trained(place, own, COLOUR, "training.precision=bfloat16", "training.batch_size=16", name="colour")
    trained(place, VAE, name="vae")
    return place


@pytest.fixture(autouse=True)
def exported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter of torch takes seconds: the same weights are given to it once."""
    really = onnx_model._exported

    def quick(run: TrainedRun) -> ModelProto:
        weights = run.folder.weights.read_bytes()
        if weights not in GRAPHS:
            GRAPHS[weights] = really(run)
        return copy.deepcopy(GRAPHS[weights])

    monkeypatch.setattr(onnx_model, "_exported", quick)


GRAPHS: dict[bytes, ModelProto] = {}


@pytest.fixture
def export(imagetune: Command, place: Path, tmp_path: Path) -> Command:
    """`imagetune` with copies of the runs where it looks for them."""
    shutil.copytree(place / "out", tmp_path / "checkpoints")
    return imagetune


@pytest.fixture(scope="session")
def files(place: Path) -> Path:
    """The grey classifier in three formats."""
    from tune.export.export import TARGETS
    from tune.export.export import export as write

    run = RunFolder(place / "out" / "run")
    for target in TARGETS.values():
        write(run, target, place, print, place=place / "files")
    return place / "files"


@pytest.fixture
def exported(export: Command, files: Path) -> tuple[Command, list[str]]:
    return export, [str(files / "model.onnx"), str(files / "model.pt2")]


RUN, COLOURED = RunFolder(Path("checkpoints/run")), RunFolder(Path("checkpoints/colour"))


def photo(path: str = "photo.jpg") -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((400, 500)).save(path)
    return Path(path)
