"""How a search is doing, read from its record without disturbing the process that runs it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tune.record.control_requests import ControlRequest, all_requests
from tune.record.folder import SearchFolder
from tune.record.opening import Search, read_search
from tune.record.pareto import hypervolume
from tune.record.status import Status
from tune.record.tables import trial_row
from tune.record.trial import NODE, TrialRecord, best_trial

ESTIMATE = "estimate"  # the note of what the search was expected to take, made after its first epochs


@dataclass(frozen=True)
class SearchStatus:
    """How a search is doing.

    Attributes:
        search: Its name.
        status: running, finished, stopped, interrupted or failed.
        reason: Why, where there is something to say.
        target: Trials in all.
        counts: Trials by status.
        best: The row of the best trial in the table of trials; None before there is one.
        front: With several objectives: the rows of the trials that no other dominates.
        hypervolume: The share of the box between the best and worst values of the objectives that they dominate.
        requests: What was asked of it from outside, in order.
        took: `epochs` of all trials, and the `seconds` spent in them.
        enough: It would end again at once if it were resumed, since `search.stop` says so.
        estimate: The same as expected after the first epochs, and `most` epochs; None before.
        nodes: Of a cluster, or this machine: the `node`, how many trials it has run last, and is `running`.
    """

    search: str
    status: str
    reason: str
    target: int
    counts: dict[str, int]
    best: dict[str, Any] | None
    requests: tuple[ControlRequest, ...]
    took: dict[str, float]
    enough: bool
    estimate: dict[str, Any] | None
    nodes: tuple[dict[str, Any], ...]
    front: tuple[dict[str, Any], ...] | None = None
    hypervolume: float | None = None

    def __str__(self) -> str:
        """The state and its reason, where that does not say the state already."""
        if self.reason.startswith(self.status):
            return self.reason
        return f"{self.status} ({self.reason})" if self.reason else self.status

    def to_dict(self) -> dict[str, Any]:
        """As `status --json` prints it."""
        names = {"search": self.search, "status": self.status, "reason": self.reason, "trials": self.target}
        requests = [{**request.to_dict(), "text": str(request)} for request in self.requests]
        several = {} if self.front is None else {"front": list(self.front), "hypervolume": self.hypervolume}
        spent = {"took": self.took, "estimate": self.estimate, "nodes": list(self.nodes)}
        return {**names, "counts": self.counts, "best": self.best, **several, "requests": requests, **spent}


def search_status(folder: SearchFolder) -> SearchStatus:
    """Read how a search is doing.

    Raises:
        UserError, WorkError: as `read_search` does.
    """
    return status_of(read_search(folder))


def status_of(search: Search) -> SearchStatus:
    """How a search was doing when it was read."""
    noted = search.facts.get("state") or {"state": "interrupted", "reason": ""}
    if search.driven:
        state, reason = "running", ""
    elif noted["state"] == "running":
        state, reason = "interrupted", "its process has died"
    else:
        state, reason = noted["state"], noted["reason"]
    counts = Counter(trial.status for trial in search.trials)
    best = best_trial(search.trials, search.objective)
    row = None if best is None else _row(search, best)
    target = int(search.facts.get("trials", search.settings.trials))
    target += sum(trial.added_by_hand for trial in search.trials)
    by_status = {str(status): counts[status] for status in Status}
    requests = tuple(all_requests(search.folder, search.facts))
    took = {
        "epochs": sum(len(trial.every_epoch) for trial in search.trials),
        "seconds": sum(trial.seconds for trial in search.trials),
    }
    enough = not search.driven and bool(noted.get("enough"))
    estimate = search.facts.get(ESTIMATE)
    front, volume = None, None
    if search.objective.several:
        front, volume = (
            tuple(_row(search, search.trials[number]) for number in search.front),
            hypervolume(search.points),
        )
    return SearchStatus(
        search.folder.name,
        state,
        reason,
        target,
        by_status,
        row,
        requests,
        took,
        enough,
        estimate,
        _nodes(search),
        front,
        volume,
    )


def _nodes(search: Search) -> tuple[dict[str, Any], ...]:
    """The nodes on which trials have run, by name."""
    found: dict[str, Counter[bool]] = {}
    for trial in search.trials:
        if node := trial.facts.get(NODE):
            found.setdefault(node, Counter())[trial.status is Status.RUNNING] += 1
    return tuple(
        {"node": node, "trials": counts.total(), "running": counts[True]} for node, counts in sorted(found.items())
    )


def _row(search: Search, trial: TrialRecord) -> dict[str, Any]:
    front = 1 if search.objective.several and trial.number in search.front else None
    kept = search.folder.kept(trial.number)
    return trial_row(trial, search.fields, search.objective, kept, front=front, seeds=search.settings.seeds)
