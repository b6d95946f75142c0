"""Errors as lines and exit codes; packages that stand in the way of ours."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data import DamagedDataError, DataError
from models import ModelError
from search_spaces import SpaceError
from tune.cli.guard import guarded
from tune.errors import UserError, WorkError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("bad"), 2, "bad"),
        (WorkError("failed"), 1, "failed"),
        (DataError("no such set"), 2, "no such set"),
        (DamagedDataError("damaged"), 1, "damaged"),
        (ModelError("no such model"), 2, "no such model"),
        (SpaceError("no such space"), 2, "no such space"),
        (OSError(errno.EROFS, "Read-only file system", "/some/where"), 1, "/some/where: Read-only file system"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("go on with: this"), 130, "go on with: this"),
    ],
)
def test_each_error_has_its_line_and_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        guarded(command)()
    assert end.value.code == code
    assert capsys.readouterr() == ("", f"{line}\n")


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    def command() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        guarded(command)()


def test_sigterm_is_as_good_as_ctrl_c() -> None:
    def command() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        guarded(command)()
    assert end.value.code == 130
    assert signal.getsignal(signal.SIGTERM) is before


def started_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m tune` as from an installation: `-m` puts the current folder first, our root comes after it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tune", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_packages_in_the_way_are_named(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()
    (tmp_path / "data.py").touch()
    found = started_in(tmp_path, "datasets")
    assert (found.returncode, found.stdout) == (2, "")
    first, second, way_out = found.stderr.splitlines()
    assert first == f"`import models` finds {tmp_path / 'models'} instead of {ROOT / 'models'}"
    assert second == f"`import data` finds {tmp_path / 'data.py'} instead of {ROOT / 'data'}"
    assert "start it from another folder" in way_out


def test_folders_that_are_no_packages_are_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    assert started_in(tmp_path, "datasets").returncode == 0


def test_an_interruption_out_of_an_exec_ends_with_130() -> None:
    """Python remembers such a one, though it was caught, and would end by a signal."""
    program = """
from tune.cli import main
from tune.cli.guard import guarded
main.app = guarded(lambda: exec("raise KeyboardInterrupt"))
main.main()
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
