"""The command of a job: `python -m tune.cluster.entry SPACE NAME [OPTIONS OF SEARCH]`.

It is safe to run twice, as Ray, Kubernetes and Slurm do after a node was lost: a search that exists is resumed.
"""

from __future__ import annotations

import os
import sys
from itertools import pairwise

from tune.buckets.parsing import folder_of
from tune.files import fetch
from tune.record.folder import SearchFolder
from tune.record.storage.url import study_url


def command(space: str, name: str, options: list[str]) -> list[str]:
    """The command line that starts the search, or continues it."""
    values = {word: value for word, value in pairwise(options) if word.startswith("--")}
    path = folder_of(values["--out"]) / name
    fetch(path)
    folder = SearchFolder(path, study_url(values.get("--study")))
    resume = ["--resume"] if folder.exists else []
    return [sys.executable, "-m", "tune", "search", space, "--name", name, *options, *resume]


if __name__ == "__main__":
    line = command(sys.argv[1], sys.argv[2], sys.argv[3:])
    os.execv(line[0], line)
