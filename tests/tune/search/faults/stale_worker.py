"""A worker that a dead driver has left behind: `python -m tests.tune.search.faults.stale_worker SEARCH TOKEN`.

Takes trial 0 up where its checkpoint of that token stands, and trains and writes on, an epoch every second, until it is
refused or done. Prints a line per step.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tune.record.folder import SearchFolder
from tune.record.search_yaml import read_spec
from tune.record.study import Record
from tune.search.worker.attempt import Attempt
from tune.search.worker.messages import Assignment, Job


def main() -> None:
    """See above."""
    folder, token = SearchFolder(Path(sys.argv[1])), sys.argv[2]
    spec = read_spec(folder)
    config = Record.open(folder.journal, folder.name, spec.search.objective).trial(0).config
    job = Job(spec.base, str(folder.path), "", spec.search.metric, spec.epochs, 0.0)
    attempt = Attempt(job, Assignment(0, token, config))
    attempt.step()  # as it stood when its driver died
    claimed = folder.trial(0) / f"last-{token}.pt"
    while claimed.is_file():
        time.sleep(0.01)  # until the resumed search has begun with the trial
    attempt._saved = False  # its save was under way at that moment: it did not look
    while True:
        report = attempt.step()
        print(report.end or f"epoch {report.epochs[-1].epoch}", report.reason, flush=True)
        attempt._saved = True
        if report.end is not None:
            return
        time.sleep(1)


if __name__ == "__main__":
    main()
