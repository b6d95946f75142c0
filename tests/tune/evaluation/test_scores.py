"""Scores against scikit-learn, torchmetrics and arithmetic by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_calibration_error

from tune.evaluation.scores import Predictions, calibration_error, score
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


def test_against_scikit_learn() -> None:
    logits, truth = drawn()
    found = score(of(logits, truth))
    labels, predicted, probabilities = truth.numpy(), logits.argmax(1).numpy(), logits.double().softmax(1).numpy()
    assert found["n"] == 400
    assert found["accuracy"] == pytest.approx((labels == predicted).mean())
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found["loss"] == pytest.approx(log_loss(labels, probabilities))
    assert found["top5_accuracy"] == pytest.approx(top_k_accuracy_score(labels, probabilities, k=5))
    assert np.sum(found["confusion"]) == 400
    assert np.trace(found["confusion"]) == (labels == predicted).sum()


def test_calibration_against_torchmetrics_and_by_hand() -> None:
    logits, labels = drawn()
    library = multiclass_calibration_error(logits.softmax(1), labels, num_classes=7, n_bins=15)
    assert calibration_error(of(logits, labels)) == pytest.approx(float(library), abs=1e-6)
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


def test_a_class_without_images_has_no_accuracy_and_averages_leave_it_out() -> None:
    # truth a b a; predicted a b c: c has no images, but one prediction
    found = score(of([[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]], [0, 1, 0]))
    nothing = {"n": 0, "accuracy": None, "precision": 0.0, "recall": None, "f1": None}
    assert found["per_class"][2:] == [{"name": name, **nothing} for name in "cd"]
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["confusion"][2:] == [[0, 0, 0, 0]] * 2


def test_one_image_of_one_class() -> None:
    found = score(of([[0, 2, 0]], [1]))
    assert (found["n"], found["accuracy"], found["macro_f1"]) == (1, 1.0, 1.0)
    assert [row["accuracy"] for row in found["per_class"]] == [None, 1.0, None]


@pytest.mark.parametrize(
    ("logits", "label", "share"), [([2.0, 0], 1, 1.0), ([6.0, 5, 4, 3, 2, 1], 5, 0.0), ([6.0, 5, 4, 3, 2, 1], 4, 1.0)]
)
def test_top_5_of_five_classes_or_fewer_is_1(logits: list[float], label: int, share: float) -> None:
    assert score(of([logits], [label]))["top5_accuracy"] == share


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
