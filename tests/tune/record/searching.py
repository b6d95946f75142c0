"""A search with fake workers in a process of its own: `python -m tests.tune.record.searching SPACE OUT URL [--resume]`.

Without a URL, its record is a journal.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.tune.search.ray.ray_workers import SlowWorker
from tune.record.observer import Observer
from tune.search.request import Request
from tune.search.runner import run_search

MODULE = ("tests.tune.record.searching",)
OVERRIDES = ("search.concurrent=1", "search.resources.gpu=0", "search.trials=6")


def main(space: str, out: str, study: str, *flags: str) -> int:
    """Run it; the exit code."""
    overrides = OVERRIDES if study else OVERRIDES[:2]
    request = Request(
        space, Path(out), Path(out), overrides=overrides, study=study or None, resume="--resume" in flags, name="s"
    )
    return run_search(request, Observer(), SlowWorker).exit_code


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
