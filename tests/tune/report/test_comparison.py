"""Runs side by side: ranked, compared on the same images, and the statistics against published figures."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

from tests.tune.report.browser import needs_browser, seen_in_browser
from tests.tune.report.run_folders import VAE, evaluated, evaluated_loss, run_folder
from tests.tune.runs.folders import trained
from tune.errors import UserError, WorkError
from tune.evaluation.evaluate import evaluate
from tune.record.folder import RunFolder
from tune.report.comparison.compare import compare
from tune.report.comparison.page import render
from tune.report.comparison.paired import accuracy_difference, mean_difference
from tune.report.comparison.runs import names
from tune.report.comparison.words import largest, notes, sentences
from tune.report.run_results import load_run
from tune.training import load_weights, save_weights


def answers(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether each of two models is right, for these numbers of images."""
    one = [True] * (both + first) + [False] * (second + neither)
    other = [True] * both + [False] * first + [True] * second + [False] * neither
    return np.array(one), np.array(other)


def test_the_interval_is_that_of_bonett_and_price() -> None:
    """Their own example, as in the documentation of R's statpsych: ci.prop.ps(.05, 12, 4, 26, 6)."""
    found = accuracy_difference(*answers(6, 26, 4, 12))
    assert (found.n, found.difference) == pytest.approx((48, 22 / 48))
    assert (found.low, found.high) == pytest.approx((0.2548067, 0.6251933), abs=1e-7)


def test_the_test_is_mcnemars_exact_one() -> None:
    """Of 8 images on which the models disagree, 7 go one way: 2 (C(8, 7) + C(8, 8)) / 2^8 = 18 / 256."""
    found = accuracy_difference(*answers(1, 1, 7, 12))
    assert found.p == pytest.approx(18 / 256)
    assert found.difference == pytest.approx(-6 / 21)


def test_models_that_never_disagree_have_an_interval_all_the_same() -> None:
    for counts in [(20, 0, 0, 0), (0, 0, 0, 1)]:
        found = accuracy_difference(*answers(*counts))
        assert (found.difference, found.p) == (0, 1)
        assert -1 <= found.low < 0 < found.high <= 1


def test_the_difference_lies_in_its_interval_and_the_order_only_changes_the_sign() -> None:
    for counts in [(0, 5, 0, 0), (0, 0, 1, 0), (3, 10, 2, 5), (500, 1, 0, 3)]:
        one, other = answers(*counts)
        found, back = accuracy_difference(one, other), accuracy_difference(other, one)
        assert found.low <= found.difference <= found.high
        assert (back.low, back.high, back.p) == pytest.approx((-found.high, -found.low, found.p))


def test_means_are_compared_by_students_paired_test() -> None:
    one, other = np.array([1.0, 2.0, 4.0]), np.array([0.5, 1.0, 1.0])
    found = mean_difference(one, other)
    assert found.p == pytest.approx(ttest_rel(one, other).pvalue)
    reach = 4.302653 * np.std(one - other, ddof=1) / math.sqrt(3)  # t for 2 degrees of freedom
    assert (found.low, found.high) == pytest.approx((1.5 - reach, 1.5 + reach))
    assert math.isnan(mean_difference(one[:1], other[:1]).low)
    same = mean_difference(one, one)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/c/a", "/c/b"], ["a", "b"]),
        (["/c/x/winners/1", "/c/y/winners/1", "/c/x/winners/2"], ["x/winners/1", "y/winners/1", "2"]),
        (["/a/r", "/b/a/r"], ["//a/r", "b/a/r"]),
        (["/c/naïve run"], ["naïve run"]),
    ],
)
def test_names_are_the_shortest_that_differ(paths: list[str], expected: list[str]) -> None:
    assert names([Path(path) for path in paths]) == expected


def test_runs_are_ranked_and_compared_with_the_best(tmp_path: Path) -> None:
    a = run_folder(tmp_path / "a", (0.9, 0.5, 0.6))
    b = run_folder(tmp_path / "b", (0.4, 0.2), "seed=7", parameters=99)
    c = run_folder(tmp_path / "c", (0.8,))
    labels = [0, 0, 1, 1, 2, 2]
    evaluated(a, labels, [0, 1, 0, 1, 2, 2])
    evaluated(b, labels, [0, 0, 1, 1, 2, 2])
    evaluated(c, labels, [1, 1, 1, 1, 2, 2])
    found = compare([a, b, c])
    assert [run.name for run in found.runs] == ["b", "a", "c"]
    best, second, _ = found.rows
    assert (best["best_epoch"], best["epochs"], best["val_loss"], best["parameters"]) == (2, 2, 0.2, 99)
    assert (second["best_epoch"], second["test_accuracy"], second["seconds"]) == (2, pytest.approx(4 / 6), 1.5)
    assert [(pair.run, pair.against) for pair in found.pairs] == [("a", "b"), ("c", "b")]
    assert found.pairs[0].overall is not None
    assert found.pairs[0].overall.difference == pytest.approx(-2 / 6)
    assert [(name, one.n, one.difference) for name, one in found.pairs[0].per_class] == [
        ("0", 2, -0.5), ("1", 2, -0.5), ("2", 2, 0),
    ]  # fmt: skip
    assert found.settings == {"seed": [7, 0, 0]}
    assert sentences(found)[0] == "b is best: val_loss 0.2000 in epoch 2."
    assert sentences(found)[1].startswith("a is right 33.33 percentage points less often than b on 6 test images")


def test_the_differences_of_many_runs_are_told_in_one_sentence(tmp_path: Path) -> None:
    labels = [0, 1, 2] * 20
    for number, wrong in enumerate((0, 2, 20, 30, 40)):
        folder = run_folder(tmp_path / f"run{number}", (0.1 + number / 10,), f"seed={number}")
        evaluated(folder, labels, [(label + 1) % 3 if n < wrong else label for n, label in enumerate(labels)])
    run_folder(tmp_path / "new", (0.9,))
    words = sentences(compare([RunFolder(path) for path in sorted(tmp_path.glob("[rn]*"))]))
    assert words[1] == (
        "On the test images, the difference from run0 is unlikely to be chance for run2, run3 and run4, "
        "and may be chance for run1."
    )
    assert words[2].startswith("new is not compared: not evaluated; run: imagetune evaluate ")
    assert len(words) == 3


def test_a_difference_that_is_left_out_says_why_and_what_to_do(tmp_path: Path) -> None:
    first = run_folder(tmp_path / "first")
    twin = run_folder(tmp_path / "twin", (0.7,))
    new = run_folder(tmp_path / "my new", (0.6,))
    other = run_folder(tmp_path / "other", (0.8,), data="other images")
    old = run_folder(tmp_path / "old", (0.9,), data="unknown")
    none = run_folder(tmp_path / "none", ())
    for folder in (first, twin, other, old):
        evaluated(folder, [0, 1], [0, 1])
    reasons = {pair.run: pair.reason for pair in compare([first, twin, new, other, old, none]).pairs}
    assert reasons["twin"] == ""
    assert reasons["my new"].endswith(f"run: imagetune evaluate '{tmp_path}/my new'")
    assert reasons["other"] == "no other of these runs was evaluated on the same images"
    assert "before imagetune recorded" in reasons["old"]
    assert "imagetune evaluate" in reasons["none"]
    found = compare([none, first])
    assert [run.name for run in found.runs] == ["first", "none"]
    assert found.rows[1]["val_loss"] is None
    assert notes(found)[-1] == "Ranked last, without a value of val_loss: none."


def test_predictions_of_other_images_are_not_paired(tmp_path: Path) -> None:
    a, b = run_folder(tmp_path / "a"), run_folder(tmp_path / "b", (0.7,))
    evaluated(a, [0, 1, 2], [0, 1, 2])
    evaluated(b, [0, 1], [0, 1])
    assert "evaluate both again" in compare([a, b]).pairs[0].reason


def test_autoencoders_are_compared_by_their_loss(tmp_path: Path) -> None:
    a, b = run_folder(tmp_path / "a", text=VAE), run_folder(tmp_path / "b", (0.7,), text=VAE)
    evaluated_loss(a, [1, 2, 3, 4])
    evaluated_loss(b, [2, 2, 4, 4])
    found = compare([a, b])
    (pair,) = found.pairs
    assert pair.overall is not None
    assert pair.overall.difference == 0.5
    assert [(name, one.difference) for name, one in pair.per_class] == [("0", 1.0), ("1", 0.0)]
    assert "The loss of b is 0.5 nats per image higher than that of a" in " ".join(sentences(found))
    assert "KL divergence (training solid" in render(found)
    scaled = run_folder(tmp_path / "scaled", (0.8,), "training.beta=2", text=VAE)
    evaluated_loss(scaled, [1, 2, 3, 4])
    assert "training.beta" in compare([a, scaled]).pairs[0].reason


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    a, vae = run_folder(tmp_path / "a"), run_folder(tmp_path / "v", text=VAE)
    with pytest.raises(UserError, match=r"cannot compare a \(simple_cnn, classification\) with v \(vae"):
        compare([a, vae])
    with pytest.raises(UserError, match="is given twice"):
        compare([a, a])
    evaluated(a, [0], [0])
    a.predictions.write_bytes(b"nothing")
    with pytest.raises(WorkError, match=r"predictions.parquet is damaged"):
        compare([a])


def test_runs_without_validation_come_last_or_are_ranked_by_their_own_metric(tmp_path: Path) -> None:
    a = run_folder(tmp_path / "a", (0.1,), metric="val_accuracy", mode="max")
    b = run_folder(tmp_path / "b", (0.2,), metric="train_loss", full=True)
    b.epochs_table.write_bytes(a.epochs_table.read_bytes())  # it has these columns, but was not chosen by them
    found = compare([b, a])
    assert found.metric.name == "val_accuracy"
    assert compare([b]).metric.name == "train_loss"


def test_a_page_of_many_classes_and_odd_names(tmp_path: Path) -> None:
    classes = [f"class <{label}>" for label in range(1000)]
    a, b = run_folder(tmp_path / "a <b>"), run_folder(tmp_path / "b", (0.7,))
    labels = list(range(1000)) * 2
    evaluated(a, labels, labels, classes)
    evaluated(b, labels, [*range(1000), *([0] * 1000)], classes)
    found = compare([a, b])
    page = render(found)
    assert len(page) < 10e6
    assert "a <b>" not in page
    assert "class <7>" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "The 30 classes that differ most" in page
    assert "All 1,000 classes" in page
    assert len(largest(found.pairs[0].per_class, 30)) == 30
    assert "http" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


@needs_browser
def test_a_browser_shows_the_page_without_an_error_and_nothing_is_cut_off(tmp_path: Path) -> None:
    names = [f"a class with a rather long name {label}" for label in range(12)]
    folders = [run_folder(tmp_path / ("run " * 9 + str(n)), (0.9, 0.5 + n / 10), f"seed={n}") for n in range(3)]
    for n, folder in enumerate(folders):
        evaluated(folder, list(range(12)) * 5, [*range(12 - n), *([0] * n)] * 5, names)
    seen = seen_in_browser(render(compare(folders)), tmp_path, 400)
    assert (seen["errors"], seen["charts"]) == ([], 3 * (2 + 1 + 2))  # three layers each
    assert seen["wide"] <= 0


def test_one_run_and_runs_without_epochs_have_a_page(tmp_path: Path) -> None:
    assert "Learning curves" in render(compare([run_folder(tmp_path / "a")]))
    page = render(compare([run_folder(tmp_path / "b", ()), run_folder(tmp_path / "c", (float("nan"),))]))
    assert "Differences" not in page


def test_runs_as_train_and_evaluate_leave_them(tmp_path: Path) -> None:
    folders = [trained(tmp_path, f"seed={seed}", name=f"run{seed}").folder for seed in (0, 1)]
    for folder in folders:
        evaluate(folder, "test", tmp_path, print)
    found = compare(folders)
    (pair,) = found.pairs
    assert pair.overall is not None
    one, other = found.rows[1], found.rows[0]
    assert pair.overall.difference == pytest.approx(one["test_accuracy"] - other["test_accuracy"])
    assert (pair.overall.n, len(pair.per_class)) == (359, 10)
    assert found.settings == {"seed": [run.experiment.seed for run in found.runs]}


def test_an_evaluation_of_earlier_weights_does_not_count(tmp_path: Path) -> None:
    """The run was trained further after it had been evaluated."""
    folders = [trained(tmp_path, f"seed={seed}", name=f"run{seed}").folder for seed in (0, 1)]
    for folder in folders:
        evaluate(folder, "test", tmp_path, print)
    weights, facts = load_weights(folders[0].weights)
    save_weights(folders[0].weights, weights, {"epoch": str(int(facts["epoch"]) + 1)})
    found = compare(folders)
    assert [row["run"] for row in found.rows if row["test_accuracy"] is None] == ["run0"]
    assert not load_run(folders[0].path).evaluated
    with pytest.raises(UserError, match="imagetune evaluate"):
        _ = load_run(folders[0].path).predictions
