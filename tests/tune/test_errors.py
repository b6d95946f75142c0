"""Errors that users see are the same in another process: multiprocessing and Ray send them as pickles."""

from __future__ import annotations

import pickle
from importlib import import_module
from pkgutil import walk_packages

import pytest

import data
import models
import search_spaces
import tune
from data import DataError
from models import ModelError
from search_spaces import SpaceError
from tune.errors import UserError, first_line, named_line
from tune.spec.errors import Problem, SpecError

OURS = (UserError, DataError, ModelError, SpaceError)


def kinds(root: type[Exception]) -> set[type[Exception]]:
    """A class of errors and all that are derived from it."""
    return {root}.union(*map(kinds, root.__subclasses__()))


def test_every_error_is_the_same_after_a_trip_to_another_process() -> None:
    for package in (data, models, search_spaces, tune):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if "__main__" not in module.name and "loggers" not in module.name:  # loggers need their extras
                import_module(module.name)
    found = {kind for root in OURS for kind in kinds(root) if kind.__module__.split(".")[0] != "tests"}
    assert len(found) >= 15
    for kind in found:
        problems = [Problem("lr", "a\nline break"), Problem("seed", "second")]
        error = SpecError(problems) if kind is SpecError else kind("a\nline break")
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.args) == (kind, str(error), error.args)


def test_a_specifications_problems_arrive_as_they_were() -> None:
    error = SpecError([Problem("lr", "must be above 0", "x.yaml")])
    with pytest.raises(SpecError, match=r"^x.yaml: lr: must be above 0$") as raised:
        raise pickle.loads(pickle.dumps(error))
    assert raised.value.problems == error.problems


@pytest.mark.parametrize(
    ("text", "first", "named"),
    [
        ("", "ValueError", "ValueError"),
        ("\n", "ValueError", "ValueError"),
        ("\nbad\nmore", "bad", "ValueError: bad"),
        ("x" * 1000, "x" * 1000, "ValueError: " + "x" * 300),
    ],
)
def test_an_error_of_a_library_is_told_in_one_line(text: str, first: str, named: str) -> None:
    assert first_line(ValueError(text)) == first
    assert named_line(ValueError(text)) == named
