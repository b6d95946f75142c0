"""Every fault by name, each injected for real into small searches; it returns the row of the reliability table.

Each takes an empty folder and that of an undisturbed search of the same space (`TINY`, one worker). Where the fault
breaks a search off, it is mended and the search resumed, and must equal the undisturbed one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.tune.search import disk_faults, file_faults, trial_faults
from tests.tune.search.rows import Row

Fault = Callable[[Path, Path], Row]


def _damaged(how: str) -> Fault:
    return lambda out, quiet: file_faults.damaged_checkpoint(out, quiet, how)


def _missing(name: str) -> Fault:
    return lambda out, quiet: file_faults.missing_file(out, quiet, name)


MOUNTING: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        disk_faults.full_disk_then_room,
        disk_faults.full_disk_for_good,
        disk_faults.full_journal,
        disk_faults.full_journal_for_good,
        disk_faults.read_only_from_the_start,
        disk_faults.read_only_at_resume,
        disk_faults.read_only_on_the_way,
    )
}
FAULTS: dict[str, Fault] = {
    "cut_journal": file_faults.cut_journal,
    **{f"{how}_checkpoint": _damaged(how) for how in file_faults.DAMAGES},
    "missing_tables": file_faults.missing_tables,
    **{f"missing_{name}": _missing(name) for name in ("search.yaml", "study.journal")},
    "second_driver": file_faults.second_driver,
    "diverging": trial_faults.diverging,
    "bug_in_a_trial": trial_faults.bug_in_a_trial,
    "bug_in_every_trial": trial_faults.bug_in_every_trial,
    "out_of_address_space": trial_faults.out_of_address_space,
    "out_of_host_memory": trial_faults.out_of_host_memory,
    "hung_trial": trial_faults.hung_trial,
}
