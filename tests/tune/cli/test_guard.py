"""Errors as lines and exit codes; packages that stand in the way of ours."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
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
        (UserError("two\nlines: bad", "worse"), 2, "two\\nlines: bad\nworse"),
        (DataError("cannot read:", "  a\nb.png"), 2, "cannot read:\n  a\\nb.png"),
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


def started_in(folder: Path, *words: str, module: str = "tune", **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m tune` as from an installation: `-m` puts the current folder first, our root comes after it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", check=False
    )


MINE = "raise SystemExit('a module of the user was imported')"


@pytest.mark.parametrize("form", ["{}.py", "{}/__init__.py", "{}/holiday.jpg"])
def test_what_lies_in_the_working_folder_is_not_imported(tmp_path: Path, form: str) -> None:
    names = ["models", "data", "search_spaces", "torch", "numpy", "json"]
    if form == "{}.py":
        names.remove("json")  # `python -m` imports it before the program begins
    for name in names:
        file = tmp_path / form.format(name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(MINE)
    found = started_in(tmp_path, "describe", "mnist_mlr")
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("name", ["models", "data", "search_spaces", "torch", "ray", "optuna"])
def test_a_module_that_pythonpath_puts_before_ours_is_named(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.py"
    file.write_text(MINE)
    found = started_in(tmp_path, "datasets", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert (found.returncode, found.stdout) == (2, "")
    assert str(file) in found.stderr
    assert "PYTHONPATH" in found.stderr


def test_another_installation_on_pythonpath_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "optuna").mkdir()
    (tmp_path / "optuna" / "__init__.py").touch()
    (tmp_path / "optuna-5.0.dist-info").mkdir()
    assert started_in(tmp_path, "datasets", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}").returncode == 0


def test_a_deleted_working_folder_is_named(tmp_path: Path) -> None:
    program = f"import os; os.rmdir({str(tmp_path)!r}); from tune.cli.program import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", program, "datasets"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (2, "")
    assert "working folder" in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_an_interruption_out_of_an_exec_ends_with_130() -> None:
    """Python remembers such a one, though it was caught, and would end by a signal."""
    program = """
from tune.cli import main
from tune.cli.guard import guarded
from tune.cli.program import main as program
main.app = guarded(lambda: exec("raise KeyboardInterrupt"))
program()
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")


INTERRUPTED = """
import os, signal, sys, time
from tune.cli import main
from tune.cli.program import main as program
def app():
    try:
        os.kill(os.getpid(), signal.{name})
        print('on')
    except KeyboardInterrupt:
        {then}
main.app = app
program()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    "then",
    [
        "raise",
        "raise ImportError('an import was interrupted')",
        "sys.exit(130)",  # typer's answer
    ],
)
def test_signals_are_answered_within_five_seconds(name: str, then: str) -> None:
    began = time.monotonic()
    program = INTERRUPTED.format(name=name, then=then)
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
    assert time.monotonic() - began < 10  # the start of Python included


@pytest.mark.parametrize(
    "then",
    [
        "    import hashlib; hashlib.pbkdf2_hmac('sha1', b'', b'', 10**9)  # C code: no step of the interpreter",
        """
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass  # as a library may
""",
    ],
)
def test_where_python_is_not_asked_the_program_ends_all_the_same(then: str) -> None:
    program = f"""
import os, threading, time
from tune.cli import main
from tune.cli.program import main as program
def app():
    threading.Timer(.1, os.kill, (os.getpid(), 15)).start()
{then}
main.app = app
program()
"""
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
    assert time.monotonic() - began < 10


def test_a_program_started_with_nohup_outlives_its_terminal() -> None:
    program = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)" + INTERRUPTED.format(
        name="SIGHUP", then="raise"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "on\n")


def test_nothing_is_said_at_the_end_about_a_package_that_was_imported() -> None:
    """Torchvision imports triton, which reports objects that are left when Python ends."""
    code = "import torchvision; from tune.cli.guard import end_process; end_process(0)"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
