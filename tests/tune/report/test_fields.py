"""Each field against the result."""

from __future__ import annotations

import pandas as pd

from search_spaces import parse_space
from tune.report.charts import evaluation, fields
from tune.spec.metric import METRICS, Objective

LOSS = Objective(METRICS["val_loss"])


def test_choices_that_are_no_text_are_named_as_in_yaml() -> None:
    space, _ = parse_space({"a": {"choice": [True, False]}, "b": {"choice": [True, 0.5]}}, {})
    rows = {"trial": [0, 1], "status": "completed", "config.a": [True, False], "config.b": [True, 0.5]}
    trials = pd.DataFrame({**rows, "val_loss": [1.0, 2.0]})
    for name, texts in (("a", ("false", "true")), ("b", ("0.5", "true"))):
        axis = fields.parameter(name, space.domains[name], trials, LOSS, name).layout.xaxis
        assert axis.ticktext == texts
    (drawn,) = fields.parallel(space, trials, LOSS).data
    assert drawn.dimensions[0].ticktext == ("false", "true")
    assert list(drawn.dimensions[0]["values"]) == [1, 0]


def test_an_axis_of_shares_ends_at_all_images() -> None:
    rows = [{"name": name, "n": 3, "recall": 1.0, "precision": 1.0} for name in "ab"]
    assert 1 < evaluation.per_class(rows).layout.xaxis.autorangeoptions.clipmax < 1.1
