"""With `--json` every command prints one JSON document on stdout and nothing else there, with the keys that stay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import image_folder, search_folder, written
from tune.cli.main import COMMANDS
from tune.cluster.jobs import Job
from tune.export import latency
from tune.record.opening import read_search
from tune.search.shutdown import Outcome

SEARCH = {"search", "request", "id"}
KEYS: dict[str, tuple[str, set[str]]] = {
    "datasets": ("", {"datasets"}),
    "models": ("", {"models"}),
    "spaces": ("", {"spaces"}),
    "new": ("own.yaml --images images", {"file", "classes", "image_size", "trials", "epochs", "seconds"}),
    "prepare": ("digits", {"name", "train_size", "test_size", "input_shape", "classes", "mean", "std"}),
    "describe": (
        "classifier cnn_layers=5",
        {"parameters", "mult_adds", "forward_backward_mb", "params_mb", "channels", "sizes", "widths", "channel_ratio"},
    ),
    "train": ("tiny.yaml training.epochs=1 --name run", {"name", "folder", "end", "epochs", "best_epoch", "val_loss"}),
    "preview": ("checkpoints/spaces/space.yaml", {"search", "trials", "epochs", "rungs", "parameters", "disk_mb", "seconds"}),
    "search": ("s --resume", {"search", "status", "counts", "best"}),
    "status": ("s", {"search", "status", "counts", "best"}),
    "stop": ("s --trial 4", {"search"}),
    "add": ("s model.hidden_dim=9", {"search"}),
    "set": ("s search.concurrent=2", {"search"}),
    "results": ("s", {"trials"}),
    "report": ("s", {"report", "bytes", "trials"}),
    "retrain": ("s --seeds 1", {"trials"}),
    "evaluate": (
        "s/winners/00002-seed0",
        {"split", "n", "loss", "accuracy", "macro_f1", "top5_accuracy", "expected_calibration_error", "per_class", "confusion"},
    ),
    "compare": ("run s/winners/00002-seed0", {"metric", "runs", "settings", "measure", "differences"}),
    "export": ("run", {"file", "files", "bytes", "check"}),
    "latency": ("run", {"runs"}),
    "predict": ("run images", {"predictions", "unreadable"}),
    "dashboard": ("s --port 0", {"search", "url"}),
    "log": ("s --to tensorboard", {"search", "to", "place", "trials"}),
    "submit": ("digits --out /shared", {"job", "search"}),
    "jobs": ("", {"jobs"}),
    "logs": ("digits-3f9a2c -f", {"job", "status", "log"}),
    "cancel": ("digits-3f9a2c", {"job", "cancelled", "status"}),
    "reproduce": ("--list", {"rows"}),
}  # fmt: skip
TRIAL = (
    "trial status reason best_epoch val_loss val_accuracy train_loss train_accuracy epochs seconds parameters mult_adds "
    "efficiency checkpoint config.model.hidden_dim config.training.optimizer.lr"
)


class Cluster:
    """The jobs of a cluster that is not there."""

    def __init__(self, address: str | None) -> None:
        self._job = Job("digits-3f9a2c", "digits", "running", 1.7e9, None, "")

    def submit(self, request: object) -> str:
        return self._job.id

    def all(self) -> list[Job]:
        return [self._job]

    def job(self, id: str) -> Job:
        return self._job

    def follow(self, id: str) -> Iterator[str]:
        yield from ("a line\n", "another\n")

    def cancel(self, id: str) -> bool:
        return True


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images, an experiment and a search with trials; without Ray, a cluster, a browser, or time to measure it."""
    image_folder(tmp_path / "images")
    written(tmp_path)
    folder = search_folder(tmp_path / "checkpoints" / "s")

    def ended(*args: Any) -> Outcome:
        return Outcome(folder, read_search(folder).spec, "finished", "", {"waiting": 0}, None)

    def interrupted(server: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tune.search.runner.run_search", ended)
    monkeypatch.setattr("tune.cluster.jobs.Jobs", Cluster)
    monkeypatch.setattr("tune.report.dashboard._Server.serve_forever", interrupted)
    monkeypatch.setattr(latency, "latencies", partial(latency.latencies, seconds=0.0))
    return tmp_path


def test_of_every_command(imagetune: Command, work: Path) -> None:
    assert len(KEYS) == 28
    assert set(KEYS) == set(COMMANDS)
    documents = {}
    for name, (words, keys) in KEYS.items():
        found = imagetune(name, *words.split(), "--json")
        assert found.code == (130 if name == "dashboard" else 0), (name, found.err)
        documents[name] = json.loads(found.out)
        assert keys <= set(documents[name]), name
    assert set(documents["results"]["trials"][0]) >= set(TRIAL.split())
    assert set(documents["evaluate"]["per_class"][0]) >= {"name", "n", "accuracy", "precision", "recall", "f1"}
    assert documents["evaluate"] == json.loads(Path("checkpoints/s/winners/00002-seed0/evaluation.json").read_text())
    assert documents["jobs"]["jobs"][0]["id"] == documents["submit"]["job"]
    assert documents["logs"]["log"] == "a line\nanother\n"


@pytest.mark.parametrize("kind", ["kuberay", "slurm", "launcher", "docker"])
def test_of_a_file_that_starts_a_cluster(imagetune: Command, kind: str) -> None:
    words = ("submit", "digits", "--out", "/shared", "--print", kind)
    assert imagetune(*words, "--json").document == {"search": "digits", "print": kind, "text": imagetune(*words).out}


def test_of_an_autoencoder(imagetune: Command, work: Path) -> None:
    text = "data: {name: digits, train_limit: 100}\nmodel: {name: vae}\ntraining: {epochs: 1, batch_size: 64}\n"
    row = imagetune("train", written(work, text, "vae.yaml"), "--json").document
    assert set(row) >= {"val_loss", "val_reconstruction", "val_kl"}
    assert set(imagetune("evaluate", "vae", "--json").document) >= {"split", "n", "loss", "reconstruction", "kl"}
    Image.new("L", (8, 8)).save("a.png")
    for words in (["--sample", "1x2"], ["a.png"], ["a.png", "a.png", "--interpolate", "2"]):
        assert set(imagetune("predict", "vae", *words, "--json").document) == {"predictions", "picture"}
