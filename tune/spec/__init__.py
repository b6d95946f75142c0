"""Experiments and searches as files: read, overridden, checked whole, written back."""

from tune.spec.checks.images import data_root
from tune.spec.data_spec import SPLIT_FIELDS, split_problems
from tune.spec.errors import Problem, SpecError
from tune.spec.experiment import DataSpec, Experiment, TrainingSpec
from tune.spec.files import dump_yaml
from tune.spec.load import load_experiment, load_search
from tune.spec.search import SearchSettings, SearchSpec

__all__ = [
    "SPLIT_FIELDS",
    "DataSpec",
    "Experiment",
    "Problem",
    "SearchSettings",
    "SearchSpec",
    "SpecError",
    "TrainingSpec",
    "data_root",
    "dump_yaml",
    "load_experiment",
    "load_search",
    "split_problems",
]
