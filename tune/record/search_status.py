"""How a search stands, read from its record without disturbing a driver."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tune.record.folder import SearchFolder
from tune.record.lease import is_driven
from tune.record.search_yaml import read_search
from tune.record.status import Status
from tune.record.storage import open_record
from tune.record.study import TrialRecord, best_trial, quiet_optuna
from tune.record.tables import trial_row
from tune.spec.metric import Objective


@dataclass(frozen=True)
class SearchStatus:
    """How a search stands. `status`: running, finished, stopped, interrupted or failed."""

    search: str
    status: str
    reason: str
    target: int
    counts: dict[str, int]
    best: dict[str, Any] | None
    """The row of the trials table of the best trial."""

    def to_dict(self) -> dict[str, Any]:
        """As `status --json` prints it."""
        names = {"search": self.search, "status": self.status, "reason": self.reason, "trials": self.target}
        return {**names, "counts": self.counts, "best": self.best}


def search_status(folder: SearchFolder) -> SearchStatus:
    """Read how a search stands.

    Raises:
        DamagedRecordError: the record cannot be read.
    """
    spec = read_search(folder)
    with quiet_optuna(), closing(open_record(folder, spec.search.objective)) as record:
        driven = is_driven(folder, record)
        facts, trials = record.facts, record.trials()
    noted = facts.get("state") or {"state": "interrupted", "reason": ""}
    if driven:
        state, reason = "running", ""
    elif noted["state"] == "running":
        state, reason = "interrupted", "its driver died"
    else:
        state, reason = noted["state"], noted["reason"]
    counts = Counter(_status(trial, driven) for trial in trials)
    best = best_row(folder, spec.search.objective, list(spec.space.domains), trials)
    target = int(facts.get("trials", spec.search.trials))
    return SearchStatus(folder.name, state, reason, target, {str(s): counts[s] for s in Status}, best)


def _status(trial: TrialRecord, driven: bool) -> Status:
    """Without a driver nothing runs: what a dead one left running waits to go on."""
    return Status.WAITING if trial.status is Status.RUNNING and not driven else trial.status


def best_row(
    folder: SearchFolder, objective: Objective, fields: list[str], trials: list[TrialRecord]
) -> dict[str, Any] | None:
    """The row of the best trial by the search's metric; None without any."""
    if (best := best_trial(trials, objective)) is None:
        return None
    return trial_row(best, fields, objective, folder.kept(best.number))
