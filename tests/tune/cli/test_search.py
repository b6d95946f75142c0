"""`search`: what is refused before Ray starts and before anything is written; real searches are in tests/tune/search."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tune.cli.conftest import Command


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--name", ""], "'' cannot be used as a name: it is empty"),
        (["--name", "a/b"], "'a/b' cannot be used as a name"),
        (["search.trials=0"], "search.trials: must be at least 1 (got 0)"),
        (["--trials", str(10**23)], "search.trials: must be at most 1000000"),
        (["--extend", str(10**23)], "1000000"),
        (["--resume"], "there is no search 'digits' in checkpoints; start it without --resume"),
        (["--warm-start", "none"], "'none' is not a search"),
        (["--time-budget", "0"], "search.time_budget: must be above 0 (got 0.0)"),
    ],
)
def test_bad_input_exits_with_2_and_writes_nothing(
    imagetune: Command, tmp_path: Path, words: list[str], line: str
) -> None:
    outcome = imagetune("search", "digits", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert line in outcome.err
    assert not list(tmp_path.iterdir())
