"""When a search should be given up because of how its trials end."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from tune.record.status import Status
from tune.record.study import TrialRecord
from tune.spec.search import FailureSpec

INFEASIBLE_FACTOR = 10  # infeasible trials in a row that end a search, as a multiple of `search.failures.consecutive`


def hopeless(latest: Status, trials: Iterable[TrialRecord], settings: FailureSpec) -> str:
    """Why no more trials should be drawn; empty if they should.

    Infeasible trials do not count against the number of trials, so they end a search only here. Every other trial
    counts, however it ended; if all of them failed from the start, the trials are not to blame.

    Args:
        latest: How the latest trial ended.
        trials: All trials by number; those that have not ended are passed over.
        settings: `search.failures`.
    """
    if latest not in (Status.FAILED, Status.INFEASIBLE):
        return ""
    ended = [trial for trial in trials if trial.status.ended]
    infeasible = list(takewhile(lambda trial: trial.status is Status.INFEASIBLE, reversed(ended)))
    if len(infeasible) >= INFEASIBLE_FACTOR * settings.consecutive:
        return f"{len(infeasible)} configurations in a row were infeasible: {infeasible[0].reason}"
    counted = [trial for trial in ended if trial.status is not Status.INFEASIBLE]
    if len(counted) >= settings.consecutive and all(trial.status is Status.FAILED for trial in counted):
        return f"the first {len(counted)} trials all failed: {counted[-1].reason}"
    return ""
