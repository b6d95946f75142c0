"""The images on a node: whether it has the search's, and how they are sent to one that has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import data
from tests.tune.search.worker.attempts import attempt, job
from tune.search.worker.attempt import Attempt
from tune.search.worker.images import SentImages, why_missing
from tune.search.worker.messages import Assignment
from tune.spec.data_spec import DataSpec


@pytest.fixture
def spec(tmp_path: Path) -> DataSpec:
    """A user's own images, of one class each with a space and an umlaut."""
    for label, name in enumerate(("ä b", "c")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (8, 8), (9 * number, 99 * label, 0)).save(tmp_path / "images" / name / f"{number}.png")
    return DataSpec(name="folder", path=str(tmp_path / "images"), image_size=8)


def test_a_node_with_the_images(tmp_path: Path, spec: DataSpec) -> None:
    digest = data.identify(spec.source, tmp_path).digest
    assert why_missing(spec, str(tmp_path), digest, download=False) == ""


def test_a_node_with_other_images(tmp_path: Path, spec: DataSpec) -> None:
    assert "has other content" in why_missing(spec, str(tmp_path), "0" * 32, download=False)


def test_a_node_without_the_folder(tmp_path: Path, spec: DataSpec) -> None:
    gone = spec.model_copy(update={"path": str(tmp_path / "nowhere")})
    (line,) = why_missing(gone, str(tmp_path), "", download=False).splitlines()
    assert str(tmp_path / "nowhere") in line


def test_a_published_set_is_not_downloaded_to_shared_storage(tmp_path: Path) -> None:
    why = why_missing(DataSpec(name="cifar10"), str(tmp_path), "", download=False)
    assert why.startswith("cifar10 is missing")
    assert "downloads are disabled" in why


def test_images_are_opened_as_they_were_sent_and_shared(tmp_path: Path, spec: DataSpec) -> None:
    sent = SentImages.read(spec, tmp_path)
    stored, labels = sent.images.copy(), sent.labels.copy()
    for array in (stored, labels):
        array.setflags(write=False)  # as those of Ray's object store
    images, identity = SentImages(stored, labels, sent.classes, sent.identity).opened()
    assert identity.digest == data.identify(spec.source, tmp_path).digest
    assert images.images.data_ptr() == stored.ctypes.data
    assert torch.equal(images.images, torch.from_numpy(np.array(sent.images)))
    assert sent.size == 10 * (3 * 8 * 8 + 8)  # without the test set


def test_training_on_sent_images_is_the_same(tmp_path: Path) -> None:
    for name in ("read", "sent"):
        (tmp_path / name).mkdir()
    read = attempt(tmp_path / "read").step()
    task = job(tmp_path / "sent")
    sent = SentImages.read(DataSpec.model_validate(task.base["data"]), tmp_path)
    other = Attempt(replace(task, images=sent), Assignment(0, "a", {"training.optimizer.lr": 0.01})).step()
    assert other.epochs[0].values == read.epochs[0].values
