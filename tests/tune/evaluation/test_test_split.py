"""The test split is read by `evaluate` alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import data
from tests.tune.runs.folders import Quiet, search_folder, trained
from tune.evaluation.evaluate import evaluate
from tune.record.opening import read_search
from tune.runs.retrain import chosen, retrain

TUNE = Path(__file__).parents[3] / "tune"


class ReadError(Exception):
    """Somebody read the test split."""


def test_training_and_retraining_never_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise ReadError

    monkeypatch.setattr(data, "load_test", refuse, raising=False)
    monkeypatch.setattr("data.sources.load_test", refuse)
    result = trained(tmp_path)
    found = read_search(search_folder(tmp_path / "s"))
    for full in (False, True):
        retrain(found, chosen(found, 1, None), 1, tmp_path, Quiet(), full=full)
    evaluate(result.folder, "validation", tmp_path, print)
    with pytest.raises(ReadError):
        evaluate(result.folder, "test", tmp_path, print)


def test_no_other_source_names_it() -> None:
    naming = [path.relative_to(TUNE) for path in TUNE.rglob("*.py") if "load_test" in path.read_text(encoding="utf-8")]
    assert naming == [Path("evaluation/evaluate.py")]
