"""A real search on Ray whose record lies in PostgreSQL: killed, asked about, resumed."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.tune.record.places import Server
from tests.tune.record.searching import MODULE, OVERRIDES
from tests.tune.search.processes import Started
from tests.tune.search.simulation import LOSS, SPACE, Simulation, spec_of
from tune.cli.main import app
from tune.record.tables import trials_table

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180)]

EPOCHS = "SELECT count(*) FROM trial_user_attributes WHERE key LIKE 'epoch:%'"


def imagetune(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def test_a_search_in_postgresql_is_killed_and_resumed(postgresql: Server, tmp_path: Path) -> None:
    spec = spec_of(tmp_path, SPACE, *OVERRIDES)
    url, out, space = postgresql.new_database(), str(tmp_path / "out"), str(tmp_path / "space.yaml")
    Path(out).mkdir()
    with Started(tmp_path / "out" / "s", MODULE, (space, out, url)) as first:
        assert first.until(lambda: _epochs(postgresql) >= 12)
        first.kill(signal.SIGSTOP)  # alive, and not done before the question is answered
        asked = imagetune("status", "s", "--out", out, "--study", url, "--json")
        assert json.loads(asked.stdout)["status"] == "running"
        first.kill(signal.SIGKILL)
    assert (
        json.loads(imagetune("status", "s", "--out", out, "--study", url, "--json").stdout)["status"] == "interrupted"
    )
    with Started(tmp_path / "out" / "s", MODULE, (space, out, url, "--resume")) as second:
        assert second.wait() == 0, second.said
    rows = json.loads(imagetune("results", "s", "--out", out, "--study", url, "--json").stdout)["trials"]
    _assert_as_undisturbed(pd.DataFrame(rows), Simulation(spec, tmp_path / "quiet"))
    without = imagetune("results", "s", "--out", out)
    assert without.exit_code == 2
    assert f"--study {url}" in without.stderr


def _epochs(server: Server) -> int:
    tables = server.sql("SELECT 1 FROM pg_tables WHERE tablename = 'trial_user_attributes'", "tests1")
    return int(str(server.sql(EPOCHS, "tests1")[0][0])) if tables else 0


def _assert_as_undisturbed(found: pd.DataFrame, quiet: Simulation) -> None:
    quiet.run()
    fields = list(quiet.driver.ledger.spec.space.domains)
    expected = trials_table(quiet.record.trials(), fields, LOSS, quiet.folder)
    columns = ["trial", "status", "best_epoch", "epochs", "val_loss", *(f"config.{field}" for field in fields)]
    ours = found.sort_values("trial", ignore_index=True)[columns]
    pd.testing.assert_frame_equal(ours, expected[columns], check_dtype=False)
