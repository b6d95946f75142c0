"""The console script, before anything heavy is imported: streams, signals, the environment, then the commands."""

from __future__ import annotations

import os
import sys

from tune.cli.guard import FAILED, end_process, guarded
from tune.cli.startup import check_environment
from tune.cli.streams import prepare_streams
from tune.environment import prepare_openmp


def main() -> None:
    """Run the command that the arguments name; end the process with its exit code (see `--help` of each command)."""
    _use_utf8()
    prepare_streams()
    prepare_openmp()
    try:
        guarded(_run)()
    except SystemExit as end:
        end_process(end.code if isinstance(end.code, int) else FAILED if end.code else 0)


def _use_utf8() -> None:
    """Start again where Python would not read names as UTF-8, as with PYTHONUTF8=0 and LC_ALL=C; print as it would."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        environment = os.environ | {"PYTHONUTF8": "1"}
        if (output := sys.stdout or sys.stderr) and not environment.get("PYTHONIOENCODING"):
            environment["PYTHONIOENCODING"] = f"{output.encoding}:backslashreplace"
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _run() -> None:
    check_environment()
    # Imported here: the imports of typer and rich can be interrupted too.
    from tune.cli.main import app

    try:
        app()
    finally:
        sys.stdout.flush()  # here, where a closed pipe gets its line
