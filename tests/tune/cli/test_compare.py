"""`compare` as a user meets it."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from statistics import NormalDist

import pytest

from tests.tune.cli.conftest import Command
from tests.tune.report.run_folders import VAE, evaluated, evaluated_loss, run_folder

CLASSES = ["red", "green", "blue"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two evaluated runs and one that is not, with a long name."""
    out = tmp_path / "checkpoints"
    a, b = run_folder(out / "a"), run_folder(out / "b", (0.7, 0.65), "training.optimizer.lr=0.5")
    run_folder(out / "long" / ("a-very-" * 8 + "long-name"), (0.8,), parameters=123_456_789)
    labels = [0, 0, 1, 1, 2, 2] * 5
    evaluated(a, labels, labels, CLASSES)
    evaluated(b, labels, [0, 0, 0, 1, 2, 2] * 5, CLASSES)
    return out


def test_the_tables_fit_80_columns(imagetune: Command, out: Path) -> None:
    found = imagetune("compare", "a", "b")
    assert found.code == 0
    assert "2 runs, ranked by val_loss (lower is better)" in found.out
    assert "training.optimizer.lr: 0.01 | 0.5" in found.out
    lines = [line.split() for line in found.out.splitlines()]
    assert next(words[3:5] for words in lines if words[:4] == ["b", "-", "a", "30"]) == ["30", "-16.67"]
    assert "green" in found.out
    third = next((out / "long").iterdir())
    many = imagetune("compare", "a", "b", third)
    assert "is not compared: not evaluated run: imagetune evaluate" in " ".join(many.out.split())
    printed = [*found.out.splitlines(), *many.out.splitlines()]
    assert max(len(line) for line in printed if "run: imagetune evaluate" not in line) <= 80


def test_json_is_one_document(imagetune: Command, out: Path) -> None:
    found = imagetune("compare", "a", "b", "--json").document
    assert list(found) == ["metric", "runs", "settings", "measure", "differences"]
    assert [row["run"] for row in found["runs"]] == ["a", "b"]
    (difference,) = found["differences"]
    assert (difference["run"], difference["against"], difference["n"]) == ("b", "a", 30)
    assert difference["low"] < difference["difference"] < difference["high"]
    assert [row["name"] for row in difference["per_class"]] == CLASSES


def test_the_printed_difference_is_that_of_the_formulas(imagetune: Command, tmp_path: Path) -> None:
    """Of 200 images both runs are right about 150, only a about 25, only b about 11, neither about 14."""
    out, labels = tmp_path / "checkpoints", [0] * 100 + [1] * 100
    right_a = [True] * 150 + [True] * 25 + [False] * 25
    right_b = [True] * 150 + [False] * 25 + [True] * 11 + [False] * 14
    for name, loss, right in (("a", 0.5, right_a), ("b", 0.6, right_b)):
        predicted = [label if one else 2 for label, one in zip(labels, right, strict=True)]
        evaluated(run_folder(out / name, (loss,)), labels, predicted, CLASSES)
    p = min(1.0, 2 * sum(math.comb(36, k) for k in range(12)) / 2**36)  # McNemar (1947), exact
    more, less = (11 + 1) / 202, (25 + 1) / 202  # Bonett and Price (2012), equation 2
    reach = NormalDist().inv_cdf(0.975) * math.sqrt((more + less - (more - less) ** 2) / 202)
    low, high = more - less - reach, more - less + reach

    (found,) = imagetune("compare", "a", "b", "--json").document["differences"]
    assert (found["n"], found["difference"]) == (200, pytest.approx((11 - 25) / 200))
    assert (found["low"], found["high"], found["p"]) == pytest.approx((low, high, p))
    lines = [" ".join(line.split()) for line in imagetune("compare", "a", "b").out.splitlines()]
    assert f"b - a 200 -7.00 {100 * low:.2f} to {100 * high:.2f} {p:.3f}" in lines
    assert any(line.startswith("red 100 +0.00 ") for line in lines)
    assert any(line.startswith("green 100 -14.00 ") for line in lines)


def test_a_page_is_written_where_asked(imagetune: Command, out: Path, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "ab é.html"
    found = imagetune("compare", "a", out / "b", "--output", page, "--json")
    assert found.code == 0
    assert found.document["runs"][1]["run"] == "b"
    assert "a and b" in page.read_text(encoding="utf-8")


def test_autoencoders(imagetune: Command, tmp_path: Path) -> None:
    for name, losses in (("v", [1, 2, 3, 5]), ("w", [1, 2, 4, 4])):
        evaluated_loss(run_folder(tmp_path / "checkpoints" / name, text=VAE), losses)
    found = imagetune("compare", "v", "w")
    assert "Difference in test loss, in nats per image:" in found.out
    assert max(map(len, found.out.splitlines())) <= 80


def test_refusals(imagetune: Command, out: Path) -> None:
    run_folder(out / "v", text=VAE)
    for words, line in (
        (["a", "v"], "give runs of one task"),
        (["a", "a"], "is given twice"),
        (["a", "nothing"], "'nothing' is not a run"),
        ([], "RUN"),
    ):
        found = imagetune("compare", *words, "--output", "page.html")
        assert (found.code, found.out) == (2, "")
        assert line in found.err
    assert not Path("page.html").exists()


def test_evaluations_that_are_gone_are_asked_for(imagetune: Command, out: Path) -> None:
    (out / "b" / "predictions.parquet").unlink()
    found = imagetune("compare", "a", "b")
    assert found.code == 0
    assert "run: imagetune evaluate" in found.out
    shutil.rmtree(out / "b")
    assert imagetune("compare", "a").code == 0
