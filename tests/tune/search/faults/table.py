"""Every fault by name, each injected for real into small searches; it returns the row of the reliability table.

Each takes an empty folder and that of an undisturbed search of the same space (`TINY`, one worker). Where the fault
breaks a search off, it is mended and the search resumed, and must equal the undisturbed one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.tune.search.faults import disks, files, storage, trials
from tests.tune.search.faults.outcome import Row

Fault = Callable[[Path, Path], Row]


def _damaged(how: str) -> Fault:
    return lambda out, quiet: files.damaged_checkpoint(out, quiet, how)


def _missing(name: str) -> Fault:
    return lambda out, quiet: files.missing_file(out, quiet, name)


MOUNTING: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        disks.full_disk_then_room,
        disks.full_disk_for_good,
        disks.full_journal,
        disks.full_journal_for_good,
        disks.read_only_from_the_start,
        disks.read_only_at_resume,
        disks.read_only_on_the_way,
    )
}
FAULTS: dict[str, Fault] = {
    "cut_journal": files.cut_journal,
    **{f"{how}_checkpoint": _damaged(how) for how in files.DAMAGES},
    "missing_tables": files.missing_tables,
    **{f"missing_{name}": _missing(name) for name in ("search.yaml", "study.journal")},
    "second_driver": files.second_driver,
    **storage.STORAGE,
    "diverging": trials.diverging,
    "bug_in_a_trial": trials.bug_in_a_trial,
    "bug_in_every_trial": trials.bug_in_every_trial,
    "out_of_address_space": trials.out_of_address_space,
    "out_of_host_memory": trials.out_of_host_memory,
    "hung_trial": trials.hung_trial,
}
