"""The console script, before anything heavy is imported: streams, signals, the environment, then the commands."""

from __future__ import annotations

import sys

from tune.cli.guard import FAILED, end_process, guarded
from tune.cli.startup import check_environment
from tune.cli.streams import prepare_streams
from tune.environment import prepare_openmp


def main() -> None:
    """Run the command that the arguments name; end the process with its exit code (see `--help` of each command)."""
    prepare_streams()
    prepare_openmp()
    try:
        guarded(_run)()
    except SystemExit as end:
        end_process(end.code if isinstance(end.code, int) else FAILED if end.code else 0)


def _run() -> None:
    check_environment()
    # Imported here: the imports of typer and rich can be interrupted too.
    from tune.cli.main import app

    try:
        app()
    finally:
        sys.stdout.flush()  # here, where a closed pipe gets its line
