"""The state of a training, and what it must share with the training that continues it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tune.spec.experiment import Experiment
from tune.spec.metric import Metric
from tune.training.checkpoint import CheckpointError, OtherVersionError
from tune.training.splits import Splits

FORMAT = 2
"""To be raised when states written before can no longer be read."""


def fingerprint(experiment: Experiment, *, with_path: bool = False) -> str:
    """A hex digest that is equal for experiments which train alike as far as both go, on every machine.

    Only fields with other values than their defaults count, so that a field added later does not change the digest of
    older experiments; a changed default needs another `FORMAT`. The number of epochs does not count unless a schedule
    or an average is laid over all of them. Nor does `data.path`: the same images elsewhere are the same experiment.

    Args:
        experiment: What is trained.
        with_path: Count `data.path`, as versions did that had no data identity.
    """
    tree = experiment.model_dump(mode="json", exclude_defaults=True)
    tree["model"]["name"] = experiment.model.name  # each model's own name is its default
    if not with_path:
        tree["data"].pop("path", None)
    training = tree.setdefault("training", {})
    if not experiment.training.spanning:
        training.pop("epochs", None)
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def identity(experiment: Experiment, splits: Splits, metric: Metric) -> dict[str, Any]:
    """What a state must share with the training that continues it; `metric` is that which chooses the best epoch."""
    return {
        "format": FORMAT,
        "experiment": fingerprint(experiment),
        "data": splits.identity.digest,
        "split": splits.split_hash,
        "metric": f"{metric.goal} {metric.name}",
    }


def check_identity(state: Mapping[str, Any], expected: Mapping[str, Any], experiment: Experiment) -> None:
    """Refuse the state of another training.

    States of earlier versions have no `data`, and their fingerprint counts `data.path`; they are accepted where all
    else is equal.

    Args:
        state: As `Training.state` returned it.
        expected: The `identity` of the training that is to continue it.
        experiment: What that training trains.

    Raises:
        OtherVersionError: The state has another format.
        CheckpointError: The state belongs to something else; says what differs.
    """
    if state.get("format") != expected["format"]:
        raise OtherVersionError(
            f"the checkpoint has format {state.get('format')!r}, this version of imagetune reads format {FORMAT}; "
            "continue with the version that wrote it, or train again"
        )
    if "data" not in state:
        expected = {**expected, "experiment": fingerprint(experiment, with_path=True)}
        del expected["data"]
    for key, words in {
        "experiment": "the checkpoint belongs to another experiment",
        "data": "the checkpoint was trained on other images; restore them, or train again",
        "split": "the checkpoint was trained on another split of the images",
        "metric": "the checkpoint chose its best epoch by another metric",
    }.items():
        if key in expected and state.get(key) != expected[key]:
            raise CheckpointError(
                f"{words} ({key} {state.get(key)!r}, here {expected[key]!r}){_moved(key, state, experiment)}"
            )


def _moved(key: str, state: Mapping[str, Any], experiment: Experiment) -> str:
    """What may be the reason for another fingerprint: earlier versions could not recognize images that were moved."""
    if key != "experiment" or "data" in state or experiment.data.path is None:
        return ""
    return (
        "; an earlier version of imagetune wrote it, for images in one place only: "
        "if you have moved them since, move or link them back and continue with the old data.path"
    )


def copied(tree: Any) -> Any:
    """A deep copy of nested containers, with their tensors detached and on the CPU."""
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, Mapping):
        return {key: copied(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(copied(value) for value in tree)
    return tree
