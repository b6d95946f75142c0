"""Fields and metrics that belong to one task."""

from __future__ import annotations

import pytest

from tests.tune.spec.conftest import Desk, search
from tune.spec.experiment import TrainingSpec
from tune.spec.tasks import METRICS, OWN_FIELDS

VAE = "{name: vae, cnn_layers: 2}"
LR = "training.optimizer.lr: {float: [1e-4, 1e-2], log: true}"


def text(model: str, training: str) -> str:
    return f"data: {{name: digits}}\nmodel: {model}\ntraining: {training}\n"


def test_the_fields_exist() -> None:
    assert set(OWN_FIELDS) <= set(TrainingSpec.model_fields)
    assert set(OWN_FIELDS.values()) <= set(METRICS)


@pytest.mark.parametrize(
    ("model", "training", "line"),
    [
        (
            "{name: mnist_mlr}",
            "{beta: 0.5}",
            "FILE: training.beta: 0.5 is for reconstruction, and mnist_mlr is trained for classification; legal: leave it out",
        ),
        (
            VAE,
            "{label_smoothing: 0.1}",
            "FILE: training.label_smoothing: 0.1 is for classification, and vae is trained for reconstruction; legal: leave it out",
        ),
        (VAE, "{beta: 0}", "FILE: training.beta: 0 is out of range; legal: > 0"),
    ],
)
def test_fields_of_another_task_are_refused(desk: Desk, model: str, training: str, line: str) -> None:
    assert desk.refusal(desk.experiment, text(model, training)) == [line]


def test_own_fields_and_unset_ones_are_legal(desk: Desk) -> None:
    assert desk.experiment(text(VAE, "{beta: 0.5, label_smoothing: 0.0}")).training.beta == 0.5
    assert (
        desk.experiment(text("{name: mnist_mlr}", "{label_smoothing: 0.1, beta: 1.0}")).training.label_smoothing == 0.1
    )


@pytest.mark.parametrize(
    ("model", "metric", "legal"),
    [
        (VAE, "val_accuracy", "train_loss, train_reconstruction, train_kl, val_loss, val_reconstruction, val_kl"),
        ("{name: mnist_mlr}", "val_kl", "train_loss, train_accuracy, val_loss, val_accuracy"),
    ],
)
def test_a_search_has_a_metric_of_its_task(desk: Desk, model: str, metric: str, legal: str) -> None:
    found = desk.refusal(desk.search, search(LR, model=model), f"search.metric={metric}")
    task = "reconstruction" if model == VAE else "classification"
    assert found == [f"override: search.metric: {metric} is no metric of {task}; legal: {legal}"]


def test_small_reconstructions_are_wanted(desk: Desk) -> None:
    found = desk.search(search(LR, "training.beta: {float: [0.1, 1]}", model=VAE), "search.metric=val_reconstruction")
    assert found.search.direction == "min"
