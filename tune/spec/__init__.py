"""Experiments and searches as files: read, overridden, validated, written back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune.spec.checks.images import data_root
    from tune.spec.data_spec import SPLIT_FIELDS, DataSpec, split_problems
    from tune.spec.errors import Problem, SpecError
    from tune.spec.experiment import Experiment
    from tune.spec.files import dump_yaml
    from tune.spec.reading.load import load_experiment, load_search
    from tune.spec.recipe import TrainingSpec
    from tune.spec.search import SearchSpec
    from tune.spec.search_settings import SearchSettings

__all__ = [
    "SPLIT_FIELDS", "DataSpec", "Experiment", "Problem", "SearchSettings", "SearchSpec", "SpecError", "TrainingSpec",
    "data_root", "dump_yaml", "load_experiment", "load_search", "split_problems",
]  # fmt: skip

# Imported when first used, since models bring torch, which `imagetune status` does not need.
_HOME = {
    "data_root": "checks.images",
    "SPLIT_FIELDS": "data_spec", "split_problems": "data_spec",
    "Problem": "errors", "SpecError": "errors",
    "DataSpec": "data_spec", "Experiment": "experiment", "TrainingSpec": "recipe",
    "dump_yaml": "files",
    "load_experiment": "reading.load", "load_search": "reading.load",
    "SearchSpec": "search",
    "SearchSettings": "search_settings",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'tune.spec' has no attribute {name!r}")
    return getattr(import_module(f"tune.spec.{_HOME[name]}"), name)
