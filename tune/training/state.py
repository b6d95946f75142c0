"""The state of a training as a value: copied, and tied to what it is the state of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tune.spec.experiment import Experiment
from tune.training.checkpoint import CheckpointError, OtherVersionError

FORMAT = 2
"""Raised whenever a state written before can no longer be read."""

_WORDS = {
    "format": "another version of imagetune",
    "experiment": "another experiment",
    "split": "other images or another split",
    "metric": "a training judged by another metric",
}


def fingerprint(experiment: Experiment) -> str:
    """Equal for experiments whose trainings are the same as far as both go, on every machine: a hex digest.

    Of the fields that are not at their defaults, so that a field added later changes no older experiment; a default
    that changes needs another `FORMAT`. The number of epochs does not count where nothing is laid over all of them:
    such a training may be continued for more.
    """
    tree = experiment.model_dump(mode="json", exclude_defaults=True)
    tree["model"]["name"] = experiment.model.name  # each model's own name is its default
    training = tree.setdefault("training", {})
    if not experiment.training.spanning:
        training.pop("epochs", None)
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def identity(experiment: Experiment, split_hash: str, metric: str) -> dict[str, Any]:
    """What a state must share with the training that goes on from it."""
    return {"format": FORMAT, "experiment": fingerprint(experiment), "split": split_hash, "metric": metric}


def check_identity(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse a state that is not of the training expected.

    Raises:
        OtherVersionError: The state is of another format.
        CheckpointError: The state is of something else: names the first difference and both values.
    """
    for key, value in expected.items():
        if state.get(key) != value:
            kind = OtherVersionError if key == "format" else CheckpointError
            raise kind(f"the checkpoint is of {_WORDS[key]}: {key} {state.get(key)!r}, here {value!r}")


def copied(tree: Any) -> Any:
    """A deep copy of nested containers, with their tensors detached and on the CPU."""
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, Mapping):
        return {key: copied(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(copied(value) for value in tree)
    return tree
