"""Commands on a search, in this process."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from tune.cli.main import app


def command(tmp_path: Path, *words: str) -> str:
    outcome = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout
