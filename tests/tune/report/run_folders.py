"""Folders of runs as training and evaluation leave them, with figures of our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.tune.runs.folders import EXPERIMENT, written
from tune.json_output import json_text
from tune.record.folder import RunFolder
from tune.record.tables import to_parquet
from tune.runs.info import RunInfo, write_run
from tune.spec import load_experiment
from tune.spec.data_spec import Normalization

VAE = "data: {name: digits}\nmodel: {name: vae}\ntraining: {epochs: 3, batch_size: 64}\n"


def run_folder(
    path: Path,
    losses: Sequence[float] = (0.9, 0.5, 0.6),
    *overrides: str,
    text: str = EXPERIMENT,
    classes: Sequence[str] = ("0", "1", "2"),
    **info: Any,
) -> RunFolder:
    """A run with these validation losses; its accuracies are 1 - loss. `info` are fields of `RunInfo`."""
    experiment = load_experiment(str(written(path.parent, text, f".{path.name}.yaml")), overrides)
    folder = RunFolder(path)
    values: dict[str, Any] = {
        "metric": "val_loss", "mode": "min", "epochs": None, "full": False, "device": "cpu", "weights_from": None,
        "input_shape": (1, 8, 8), "classes": tuple(classes), "normalization": Normalization(mean=(0.0,), std=(1.0,)),
        "split_hash": "s", "parameters": 1234, "versions": {}, "data": "d",
    }  # fmt: skip
    write_run(folder, experiment, RunInfo(**{**values, **info}))
    if losses:
        loss = np.array(losses, float)
        kinds = {"loss": loss, "accuracy": 1 - loss} if text == EXPERIMENT else dict.fromkeys(_BOUND, loss)
        columns = {f"{part}_{kind}": column for part in ("train", "val") for kind, column in kinds.items()}
        table = pd.DataFrame({"epoch": range(1, len(loss) + 1), **columns, "lr": 0.01, "seconds": 0.5})
        folder.epochs_table.write_bytes(to_parquet(table))
    return folder


_BOUND = ("loss", "reconstruction", "kl")


def evaluated(folder: RunFolder, labels: Sequence[int], predicted: Sequence[int], names: Sequence[str] = "012") -> None:
    """Write what `evaluate` would of a classifier with these predictions."""
    table = pd.DataFrame({"index": range(len(labels)), "label": list(labels), "predicted": list(predicted)})
    table["label_name"] = [names[label] for label in labels]
    folder.predictions.write_bytes(to_parquet(table))
    accuracy = float((table["label"] == table["predicted"]).mean())
    folder.evaluation.write_text(json_text({"split": "test", "n": len(labels), "loss": 0.25, "accuracy": accuracy}))


def evaluated_loss(folder: RunFolder, losses: Sequence[float]) -> None:
    """Write what `evaluate` would of an autoencoder; even images are of class 0, odd ones of class 1."""
    table = pd.DataFrame({"index": range(len(losses)), "loss": np.array(losses, float)})
    table["label"] = table["index"] % 2
    table["label_name"] = table["label"].map(str)
    folder.predictions.write_bytes(to_parquet(table))
    scores = {"split": "test", "n": len(losses), "loss": float(np.mean(losses)), "reconstruction": 1.0, "kl": 1.0}
    folder.evaluation.write_text(json_text(scores))
