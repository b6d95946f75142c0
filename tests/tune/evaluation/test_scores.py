"""Figures of merit against scikit-learn, torchmetrics and arithmetic by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_calibration_error

from tune.evaluation.scores import Predictions, calibration_error, score, top_accuracy


def predictions(n: int = 400, classes: int = 7, seed: int = 0) -> Predictions:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    logits = torch.randn(n, classes, generator=generator)
    logits[torch.arange(n), labels] += 1.0
    return Predictions(logits, labels, torch.arange(n), tuple(f"c{i}" for i in range(classes)))


def of(rows: list[list[float]], labels: list[int]) -> Predictions:
    logits = torch.tensor(rows)
    return Predictions(logits, torch.tensor(labels), torch.arange(len(rows)), tuple("abcdefgh"[: logits.shape[1]]))


def test_against_scikit_learn() -> None:
    made = predictions()
    found = score(made)
    labels, predicted = made.labels.numpy(), made.predicted.numpy()
    probabilities = made.probabilities.numpy()
    assert found["n"] == 400
    assert found["accuracy"] == pytest.approx((labels == predicted).mean())
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found["loss"] == pytest.approx(log_loss(labels, probabilities))
    assert found["top5_accuracy"] == pytest.approx(top_k_accuracy_score(labels, probabilities, k=5))
    assert np.sum(found["confusion"]) == 400
    assert np.trace(found["confusion"]) == (labels == predicted).sum()


def test_calibration_against_torchmetrics_and_by_hand() -> None:
    made = predictions()
    library = multiclass_calibration_error(made.probabilities.float(), made.labels, num_classes=7, n_bins=15)
    assert calibration_error(made) == pytest.approx(float(library), abs=1e-6)
    # Two images of confidence .65, one right and one wrong.
    pair = of([[math.log(0.65), math.log(0.35)]] * 2, [0, 1])
    assert calibration_error(pair) == pytest.approx(0.65 - 0.5)


def test_what_is_certain_shares_the_last_bin() -> None:
    # Confidences 1 (wrong) and .95 (right) in one bin: |(0 - 1) + (1 - .95)| / 2. A bin of its own would give 1.05 / 2.
    made = of([[1000.0, 0.0], [math.log(0.95), math.log(0.05)]], [1, 0])
    assert calibration_error(made) == pytest.approx(0.95 / 2)


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


def test_a_class_without_images_counts_nothing() -> None:
    found = score(of([[2, 0, 0], [0, 2, 0]], [0, 1]))
    assert found["per_class"][2] == {"name": "c", "n": 0, "accuracy": 0.0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert found["macro_f1"] == 1.0
    assert found["confusion"][2] == [0, 0, 0]


def test_five_of_fewer_classes_are_all_of_them() -> None:
    assert top_accuracy(of([[2.0, 0.0]], [1]), 5) == 1.0
    assert top_accuracy(of([[6.0, 5, 4, 3, 2, 1]], [5]), 5) == 0.0
    assert top_accuracy(of([[6.0, 5, 4, 3, 2, 1]], [4]), 5) == 1.0
