"""`dashboard` as a user meets it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import search_folder


def test_a_port_in_use_and_a_missing_package_are_told(
    imagetune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search_folder(tmp_path / "checkpoints" / "digits")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = imagetune("dashboard", "digits", "--port", str(port))
        assert (found.code, found.out, found.err) == (2, "", f"--port: {port} is in use; choose another\n")
    assert imagetune("dashboard", "nothing").code == 2
    assert imagetune("dashboard", "digits", "--port", "70000").code == 2
    monkeypatch.setattr("tune.report.dashboard.find_spec", lambda name: None)
    found = imagetune("dashboard", "digits")
    assert (found.code, "pip install 'imagetune[dashboard]'" in found.err) == (2, True)


def test_ctrl_c_ends_it(imagetune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(server: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tune.report.dashboard._Server.serve_forever", interrupted)
    search_folder(tmp_path / "checkpoints" / "digits")
    found = imagetune("dashboard", "digits", "--port", "0", "--json")
    assert found.code == 130
    assert found.document["url"].startswith("http://127.0.0.1:")
    assert found.err.endswith("interrupted\n")
