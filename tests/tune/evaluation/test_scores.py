"""Scores against scikit-learn, torchmetrics and arithmetic by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss, precision_recall_fscore_support, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_calibration_error

from tune.evaluation.calibration import fit_temperature
from tune.evaluation.scores import Predictions, accuracy_interval, score
from tune.reproduce.subprocess_training import peak_bytes


def drawn(n: int = 400, classes: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    logits = torch.randn(n, classes, generator=generator)
    logits[torch.arange(n), labels] += 1.0
    return logits, labels


def of(rows: list[list[float]] | torch.Tensor, labels: list[int] | torch.Tensor) -> Predictions:
    logits, truth = torch.as_tensor(rows, dtype=torch.float32), torch.as_tensor(labels)
    batches = zip(torch.split(logits, 150), torch.split(truth, 150), strict=True)
    return Predictions.of(batches, torch.arange(len(truth)), tuple("abcdefgh"[: logits.shape[1]]))


def error(made: Predictions) -> float:
    return float(score(made)["expected_calibration_error"])


def test_against_scikit_learn() -> None:
    logits, truth = drawn()
    found = score(of(logits, truth))
    labels, predicted, probabilities = truth.numpy(), logits.argmax(1).numpy(), logits.double().softmax(1).numpy()
    assert found["n"] == 400
    assert found["accuracy"] == pytest.approx((labels == predicted).mean())
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, average=average)
        expected = {"precision": precision, "recall": recall, "f1": f1}
        assert {name: found[f"{average}_{name}"] for name in expected} == pytest.approx(expected)
    assert found["weighted_recall"] == pytest.approx(found["accuracy"])
    assert found["loss"] == pytest.approx(log_loss(labels, probabilities))
    assert found["top5_accuracy"] == pytest.approx(top_k_accuracy_score(labels, probabilities, k=5))
    assert np.sum(found["confusion"]) == 400
    assert np.trace(found["confusion"]) == (labels == predicted).sum()


def test_calibration_against_torchmetrics_and_by_hand() -> None:
    logits, labels = drawn()
    library = multiclass_calibration_error(logits.softmax(1), labels, num_classes=7, n_bins=15)
    assert error(of(logits, labels)) == pytest.approx(float(library), abs=1e-6)
    # Two images of confidence .65, one right and one wrong.
    pair = of([[math.log(0.65), math.log(0.35)]] * 2, [0, 1])
    assert error(pair) == pytest.approx(0.65 - 0.5)


def test_what_is_certain_shares_the_last_bin() -> None:
    # Confidences 1 (wrong) and .95 (right) in one bin: |(0 - 1) + (1 - .95)| / 2. A bin of its own would give 1.05 / 2.
    made = of([[1000.0, 0.0], [math.log(0.95), math.log(0.05)]], [1, 0])
    assert error(made) == pytest.approx(0.95 / 2)


def test_per_class_figures_by_hand() -> None:
    # truth a a a b; predicted a a b b
    found = score(of([[2, 0], [2, 0], [0, 2], [0, 2]], [0, 0, 0, 1]))
    first, second = found["per_class"]
    assert first == {
        "name": "a",
        "n": 3,
        "accuracy": 2 / 3,
        "precision": 1.0,
        "recall": 2 / 3,
        "f1": pytest.approx(0.8),
    }
    assert second == {"name": "b", "n": 1, "accuracy": 1.0, "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)}
    assert found["confusion"] == [[2, 1], [0, 1]]


def test_an_undefined_precision_is_0() -> None:
    found = score(of([[2, 0, 0], [2, 0, 0]], [0, 1]))  # b is never predicted
    assert found["per_class"][1]["precision"] == 0.0
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_a_class_without_images_has_no_accuracy_and_averages_leave_it_out() -> None:
    # truth a b a; predicted a b c: c has no images, but one prediction
    found = score(of([[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]], [0, 1, 0]))
    nothing = {"n": 0, "accuracy": None, "precision": 0.0, "recall": None, "f1": None}
    assert found["per_class"][2:] == [{"name": name, **nothing} for name in "cd"]
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["confusion"][2:] == [[0, 0, 0, 0]] * 2


def test_one_image_of_one_class() -> None:
    found = score(of([[0, 2, 0]], [1]))
    assert (found["n"], found["accuracy"], found["macro_f1"], found["weighted_precision"]) == (1, 1.0, 1.0, 1.0)
    assert [row["accuracy"] for row in found["per_class"]] == [None, 1.0, None]


@pytest.mark.parametrize(
    ("logits", "label", "share"),
    [([2.0, 0], 1, None), ([5.0, 4, 3, 2, 1], 4, None), ([6.0, 5, 4, 3, 2, 1], 5, 0.0), ([6.0, 5, 4, 3, 2, 1], 4, 1.0)],
)
def test_top_5_is_known_of_more_than_five_classes(logits: list[float], label: int, share: float | None) -> None:
    assert score(of([logits], [label]))["top5_accuracy"] == share


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (7, 10), (9720, 10000), (10, 10)])
def test_the_interval_is_wilsons(right: int, n: int) -> None:
    z, p = 1.959963984540054, right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert accuracy_interval(right, n) == pytest.approx([middle - half, middle + half], abs=1e-12)


def test_the_most_confused_pairs_by_hand() -> None:
    # truth a a a b c; predicted b b a a a
    found = score(of(torch.eye(3)[torch.tensor([1, 1, 0, 0, 0])], [0, 0, 0, 1, 2]))
    assert found["most_confused"] == [
        {"truth": "a", "predicted": "b", "n": 2, "share": pytest.approx(2 / 3)},
        {"truth": "b", "predicted": "a", "n": 1, "share": 1.0},
        {"truth": "c", "predicted": "a", "n": 1, "share": 1.0},
    ]
    assert score(of([[1, 0]], [0]))["most_confused"] == []


def test_a_temperature_is_found_again() -> None:
    """Labels drawn from softmax(logits): T times these logits need temperature T."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, 4, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    for temperature in (0.3, 1.0, 3.0):
        found = fit_temperature((batch * temperature, part) for batch, part in [(logits, labels)])
        assert found == pytest.approx(temperature, rel=0.03)
    # At the optimum, the derivative by 1 / T vanishes: the mean logit of the truth is that of the probabilities.
    assert found is not None
    shares = (logits.double() * 3 / found).softmax(1)
    expected, truth = (shares * logits).sum(1).mean(), logits[torch.arange(20_000), labels].mean()
    assert float(expected) == pytest.approx(float(truth), abs=1e-4)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [([[2.0, 0], [0, 3]], [0, 1]), ([[2.0, 0]], [1]), ([[1.0], [2]], [0, 0])],
    ids=["all right", "all wrong", "one class"],
)
def test_no_temperature_where_none_is_best(logits: list[list[float]], labels: list[int]) -> None:
    assert fit_temperature([(torch.tensor(logits), torch.tensor(labels))]) is None


def test_calibration_before_and_after() -> None:
    logits, labels = drawn()
    plain, cooled = of(logits, labels), of(logits / 2, labels)
    made = Predictions.of([(logits, labels)], torch.arange(400), plain.classes, 2.0)
    found = score(made, 123)["calibration"]
    assert (found["temperature"], found["fitted_on"]) == (2.0, 123)
    assert found["before"] == score(plain)["calibration"]["before"]
    assert found["after"] == score(cooled)["calibration"]["before"]
    unfitted = score(plain, 123)["calibration"]
    assert (unfitted["temperature"], unfitted["fitted_on"], unfitted["after"]) == (None, 0, None)
    bins = found["before"]["bins"]
    assert len(bins) == 15
    assert sum(row["n"] for row in bins) == 400
    assert [row["confidence"] for row in bins if not row["n"]] == [None] * sum(not row["n"] for row in bins)
    assert all(row["low"] < row["confidence"] <= row["high"] for row in bins if row["n"])


def test_five_thousand_classes_need_no_memory_for_their_logits() -> None:
    classes, images = 5000, 4000

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for labels in torch.split(torch.arange(images), 50):
            logits = torch.zeros(len(labels), classes)
            logits[torch.arange(len(labels)), labels] = 20
            yield logits, labels

    before = peak_bytes()
    made = Predictions.of(batches(), torch.arange(images), tuple(map(str, range(classes))))
    assert peak_bytes() - before < 60_000_000  # the logits have 80 MB
    found = score(made)
    assert (found["accuracy"], found["macro_f1"], len(found["confusion"])) == (1.0, 1.0, classes)
    assert [row["n"] for row in found["per_class"]] == [1] * images + [0] * (classes - images)
