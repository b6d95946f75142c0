"""When a search ends before all its trials are done: a rule of `search.stop` is met, or it is hopeless.

Both follow from the record alone, so that a resumed search ends in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from data.words import counted
from tune.record.status import Status
from tune.record.trial import SEEDS, TrialRecord
from tune.search.ledger import Ledger
from tune.spec.metric import METRICS, EpochMetrics
from tune.spec.search_settings import FailureSpec, StopSpec

IMPROVED = "improved"  # the note for `plateau`: the best cost, and how many trials had been tried when it was found
INFEASIBLE_FACTOR = 10  # infeasible trials in a row that end a search, as a multiple of `search.failures.consecutive`
LIFTED = "lifted"  # the note of rules that held when the search was extended, and no longer apply


def reaches(target: Mapping[str, float], values: Mapping[str, float]) -> bool:
    """Whether the metrics of an epoch, or their means over seeds, are as good as all values of a target."""
    return all(
        (value := values.get(name)) is not None
        and (value >= wanted if METRICS[name].goal == "max" else value <= wanted)
        for name, wanted in target.items()
    )


class Enough:
    """Watches the rules of one search. Called for every epoch of a first seed, and every end, after it is recorded.

    With several seeds, a trial reaches the target when it has trained all of them, by its mean.

    Attributes:
        winner: The trial that has reached the target; None before.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._rules = StopSpec()
        self._best: float | None = None
        self.winner: int | None = None
        self._text = ""

    def epoch(self, number: int, metrics: EpochMetrics) -> None:
        """Enter an epoch that was just recorded."""
        self._update()
        self._look_at_epoch(number, metrics)
        cost = self._ledger.record.objective.cost(metrics.values)
        if cost is not None and (self._best is None or cost < self._best):
            self._improved(number, cost)

    def ended(self, trial: TrialRecord) -> None:
        """Enter the end of a trial."""
        self._update()
        self._look_at_mean(trial)

    @property
    def reached(self) -> str:
        """Why the search has done enough, in words; empty while it has not."""
        return next((text for _, _, text in self._holding()), "")

    def lift(self) -> None:
        """Let the rules that hold no longer apply: the search is extended although it has done enough."""
        if holding := {name: value for name, value, _ in self._holding()}:
            self._ledger.record.note(LIFTED, {**self._lifted, **holding})
            self._lifted.update(holding)
            self.winner = None

    def _holding(self) -> Iterator[tuple[str, Any, str]]:
        """The rules that hold: name, value and what has happened."""
        self._update()
        rules, spent, since = self._rules, self._ledger.epochs_spent, self._ledger.tried - self._tried
        if self.winner is not None:
            yield "target", dict(rules.target or {}), self._text
        if rules.plateau and since >= rules.plateau and self._applies("plateau", rules.plateau):
            told = f"no better trial in the last {since} (search.stop.plateau={rules.plateau})"
            yield "plateau", rules.plateau, told
        if rules.epochs and spent >= rules.epochs and self._applies("epochs", rules.epochs):
            yield "epochs", rules.epochs, f"{counted(spent, 'epoch')} trained (search.stop.epochs={rules.epochs})"

    def _applies(self, name: str, value: Any) -> bool:
        return bool(self._lifted.get(name) != value)

    def _update(self) -> None:
        """Look at the whole record, if the rules are new."""
        if self._rules is self._ledger.spec.search.stop:
            return
        self._rules, self.winner = self._ledger.spec.search.stop, None
        facts = self._ledger.record.facts
        self._lifted: dict[str, Any] = dict(facts.get(LIFTED, {}))
        for trial in self._ledger.trials.values():
            for metrics in trial.epochs:
                self._look_at_epoch(trial.number, metrics)
            self._look_at_mean(trial)
        objective = self._ledger.record.objective
        bests = ((trial.number, trial.best(objective)) for trial in self._ledger.trials.values())
        costs = [(cost, number) for number, best in bests if best and (cost := objective.cost(best.values)) is not None]
        self._best, number = min(costs, default=(None, -1))
        noted = facts.get(IMPROVED, {})
        self._tried = int(noted.get("tried", 0))
        if self._best is not None and noted.get("cost") != self._best:
            self._improved(number, self._best)

    def _look_at_epoch(self, number: int, metrics: EpochMetrics) -> None:
        if self._ledger.spec.search.seeds == 1:
            self._look_at(number, metrics.values, f"in epoch {metrics.epoch}")

    def _look_at_mean(self, trial: TrialRecord) -> None:
        seeds = self._ledger.spec.search.seeds
        if 1 < seeds <= len(trial.facts.get(SEEDS, ())):
            result = trial.result(self._ledger.record.objective) or {}
            self._look_at(trial.number, result, f"on average over the seeds of trial {trial.number}")

    def _look_at(self, number: int, values: Mapping[str, float], where: str) -> None:
        target = self._rules.target
        if not target or self.winner is not None or not self._applies("target", dict(target)):
            return
        if reaches(target, values):
            told = ", ".join(f"{name} {METRICS[name].text(values[name])}" for name in target)
            self.winner, self._text = number, f"the target is reached: {told} {where}"

    def _improved(self, number: int, cost: float) -> None:
        """Count from here; the trial itself is not one of those that follow."""
        self._best, self._tried = cost, self._ledger.tried + (not self._ledger.trials[number].tried)
        if self._rules.plateau:
            self._ledger.record.note(IMPROVED, {"cost": cost, "tried": self._tried})


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
        return f"{counted(len(infeasible), 'configuration')} in a row were infeasible: {infeasible[0].reason}"
    judged = [trial for trial in ended if trial.status is not Status.INFEASIBLE]
    if len(judged) >= settings.consecutive and all(trial.status is Status.FAILED for trial in judged):
        return f"the first {counted(len(judged), 'trial')} failed: {judged[-1].reason}"
    return ""
