"""`log` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import search_folder


def test_tensorboard(imagetune: Command, tmp_path: Path) -> None:
    search_folder(tmp_path / "checkpoints" / "digits")
    found = imagetune("log", "digits", "--to", "tensorboard", "--json").document
    assert found == {"search": "digits", "to": "tensorboard", "place": "checkpoints/digits/tensorboard", "trials": 4}
    assert len(list(Path("checkpoints/digits/tensorboard").iterdir())) == 4
    found = imagetune("log", "digits", "--to", "tensorboard", "--output", tmp_path / "else where")
    assert "wrote 4 trials" in found.out
    assert f"tensorboard --logdir '{tmp_path}/else where'" in found.err


def test_refusals(imagetune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search_folder(tmp_path / "checkpoints" / "digits")
    for words, line in (
        (["digits"], "--to"),
        (["digits", "--to", "wandb"], "wandb"),
        (["nothing", "--to", "tensorboard"], "'nothing' is not a search"),
    ):
        found = imagetune("log", *words)
        assert (found.code, found.out) == (2, "")
        assert line in found.err
    monkeypatch.setattr("tune.search.loggers.find_spec", lambda name: None)
    found = imagetune("log", "digits", "--to", "mlflow")
    assert (found.code, found.err) == (2, "--to: mlflow is not installed; run: pip install 'imagetune[mlflow]'\n")
    assert not Path("checkpoints/digits/mlflow.db").exists()
