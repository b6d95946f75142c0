"""Requests to a search from outside, carried out by its driver.

Each request is done once, however often the driver is killed: what it changes is one write that names the request or
that may be repeated, and the note that it was taken comes after that. The driver looks for requests every second.
"""

from __future__ import annotations

from collections.abc import Callable

from search_spaces import config_key
from tune.record.control_requests import Action, ControlRequest, mark_taken, pending
from tune.record.trial import BY_HAND
from tune.search.control.settings import changed, differing
from tune.search.ledger import Ledger
from tune.search.samplers.proposer import Proposal
from tune.spec.errors import SpecError

EVERY = 1.0  # seconds between two looks
BY_HAND_REASON = "by hand"
STOPPED = "stopped by hand"


class Control:
    """Carries out the requests to one search.

    Args:
        ledger: Of the search.
        say: Called with a line about every request.
        stop: Stops the search, for a reason.
        stop_trial: Stops a trial, for a reason.
    """

    def __init__(
        self,
        ledger: Ledger,
        say: Callable[[str], None],
        stop: Callable[[str], None],
        stop_trial: Callable[[int, str], None],
    ) -> None:
        self._ledger, self._say, self._stop_search, self._end_trial = ledger, say, stop, stop_trial
        self._looked = -EVERY

    def take(self, *, at_once: bool = False) -> bool:
        """Carry out new requests; returns whether there were any. `at_once`: even if the last look was just now."""
        now = self._ledger.clock()
        if not at_once and now - self._looked < EVERY:
            return False
        self._looked = now
        requests = pending(self._ledger.folder, self._ledger.record)
        for request in requests:
            result = self._do(request)
            mark_taken(self._ledger.folder, self._ledger.record, request, result)
            self._say(f"requested on {request.host}: {request}: {result}")
        return bool(requests)

    def _do(self, request: ControlRequest) -> str:
        """Carry out a request; returns its result in words."""
        match request.action:
            case Action.STOP:
                return self._stop(request)
            case Action.STOP_TRIAL:
                return self._stop_trial(request)
            case Action.ADD:
                return self._add(request)
            case Action.SET:
                return self._set(request)

    def _stop(self, request: ControlRequest) -> str:
        """Stop the search. `state` names the request, so that a resumed search is not stopped by it again."""
        record = self._ledger.record
        if (record.facts.get("state") or {}).get("request") != request.id:
            record.note("state", {"state": "stopped", "reason": STOPPED, "request": request.id})
            self._stop_search(STOPPED)
        return "stopped"

    def _stop_trial(self, request: ControlRequest) -> str:
        number = request.trial
        trial = None if number is None else self._ledger.trials.get(number)
        if trial is None or number is None:
            return f"there is no trial {number}"
        if trial.status.ended:
            by_hand = trial.reason == BY_HAND_REASON  # and the driver was killed before it noted that
            return "stopped" if by_hand else f"it had already ended: {trial.status}"
        self._end_trial(number, BY_HAND_REASON)
        return "stopped"

    def _add(self, request: ControlRequest) -> str:
        """Add the trial. It names the request, so that it is not added again."""
        trials = self._ledger.trials.values()
        config = self._ledger.spec.space.canonical(request.values)
        key = config_key(config)
        for trial in trials:
            if trial.facts.get(BY_HAND) == request.id:
                return f"trial {trial.number}"
            if config_key(trial.config) == key:
                return f"not added: trial {trial.number} already has this configuration"
        facts = self._ledger.proposer.facts(config)
        if facts is None:
            return "not added: it cannot be trained, or does not meet the constraints"
        return f"trial {self._ledger.add(Proposal(config, {**facts, BY_HAND: request.id}))}"

    def _set(self, request: ControlRequest) -> str:
        """Change settings: absolute values, so that it may be repeated."""
        before = self._ledger.spec
        try:
            after = changed(before, request.values)
        except SpecError as error:
            return f"not set: {error}"
        names = {name.split(".")[1] for name in request.values}
        self._ledger.change_settings(after, sorted(names | {*differing(before, after)}))
        return "set"
