"""The driver: decides which trial trains next, records what comes back, judges it, and ends trials. Knows no Ray.

Every decision is written to the record before it is acted on, so that a killed search makes it again from the record.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import data
from data.words import counted
from tune.record.disk import UnwritableError, Wait
from tune.record.observer import Observer
from tune.record.status import Status
from tune.record.trial import GPU, NODE
from tune.search.control.taking import Control
from tune.search.ends import Enough
from tune.search.ledger import Ledger
from tune.search.preview.estimate import Estimate
from tune.search.schedulers.verdict import CONTINUE, Action, Verdict
from tune.search.trial_ends import TrialEnds, reported
from tune.search.worker.messages import Assignment, Report
from tune.spec.metric import EpochMetrics
from tune.spec.search_settings import SearchSettings


class NoTrial(Enum):
    """Why there is no trial to start."""

    WAIT = "wait"
    """There may be one when a live trial ends."""
    DONE = "done"
    """There will be none."""


class Driver:
    """Runs one search. `halt` is why it stops early, empty while it does not."""

    def __init__(self, ledger: Ledger, observer: Observer) -> None:
        self.ledger, self.observer = ledger, observer
        self.halt = ""
        self.exhausted = False
        self._control = Control(ledger, observer.say, self.stop, self.stop_trial)
        self.enough, self._estimate = Enough(ledger), Estimate(ledger)
        self._to_kill: list[int] = []  # trials that were stopped by hand while they ran
        self._resumed: set[int] = set()  # live trials that have epochs and have not reported since they were started
        self._wait = Wait(observer.say, clock=ledger.clock)  # for a place to write checkpoints to
        self._ends = TrialEnds(ledger, observer, self.enough, self.stop)
        if ledger.interrupted:
            observer.say(f"resuming {counted(len(ledger.interrupted), 'interrupted trial')}")

    @property
    def _settings(self) -> SearchSettings:
        """As they are now: `set` may change them."""
        return self.ledger.spec.search

    # -- starting trials

    def next(self) -> Assignment | NoTrial:
        """The next trial to start: the first that waits, else a new one."""
        with self._stopping_on_error():
            return NoTrial.DONE if self.halt else self._next()
        return NoTrial.DONE

    def _next(self) -> Assignment | NoTrial:
        self._control.take()
        if self.halt or self._has_enough():
            return NoTrial.DONE
        if len(self.ledger.live) >= (self._settings.concurrent or math.inf):
            return NoTrial.WAIT
        number = min(self.ledger.waiting) if self.ledger.waiting else self._promote(last=False)
        if number is None:
            number = self._draw()
        if number is None and not self.ledger.live:
            number = self._promote(last=True)
        if number is not None:
            return self._start(number)
        if self.ledger.live:
            return NoTrial.WAIT
        return self._next() if self._control.take(at_once=True) else NoTrial.DONE

    def _promote(self, *, last: bool) -> int | None:
        """A paused trial that the scheduler chooses to continue; None if there is none."""
        number = self.ledger.scheduler.promote(last=last)
        while number is not None and number not in self.ledger.paused:
            number = self.ledger.scheduler.promote(last=last)  # it has ended at its rung: by early stopping, or by hand
        if number is not None:
            self.ledger.promote(number)
        elif last:
            self._ends.not_promoted(set(self.ledger.paused))
        return number

    def _draw(self) -> int | None:
        """The number of a new trial; None where there is none to be had."""
        if self.ledger.left <= 0 or self.exhausted:
            return None
        if (proposal := self.ledger.propose()) is not None:
            return self.ledger.add(proposal)
        self.exhausted, tried = True, len(self.ledger.trials)
        if not tried and (why := self.ledger.proposer.why_not()):
            self.stop(f"failed: no configuration meets the constraints: {why}")
        else:
            every = self.ledger.proposer.all_there_is
            self.observer.say(f"the space is exhausted: every {every} has been tried ({counted(tried, 'trial')})")
        return None

    def _start(self, number: int) -> Assignment:
        trial = self.ledger.start(number)
        if trial.current:
            self._resumed.add(number)
        self.observer.started(number, trial.config, len(trial.current))
        return Assignment(number, uuid.uuid4().hex[:8], trial.config, trial.seed)

    # -- what workers report

    def report(self, number: int, report: Report) -> bool:
        """Record a worker's report; returns whether the trial is over for that worker."""
        with self._stopping_on_error():
            over = self._enter(number, report)
            return self._has_enough() or over
        return True

    @contextmanager
    def _stopping_on_error(self) -> Iterator[None]:
        """Stop the search cleanly when its record can no longer be written, or its images are gone."""
        try:
            yield
        except (UnwritableError, data.DataError) as error:
            self.stop(f"failed: {error}")

    def _enter(self, number: int, report: Report) -> bool:
        if number not in self.ledger.live:
            return True
        self.ledger.heartbeat(number)
        if report.blocked and (why := self._wait.blocked(report.blocked)):
            self.stop(f"failed: {why}")
        if report.epochs:
            self._wait.over()
        first_seed = self.ledger.trials[number].seed == 0
        placed = self._placed(number, report)
        for metrics in report.epochs:
            if self.ledger.epoch(number, metrics, placed):
                placed = {}
                self.observer.epoch(number, metrics)
                if first_seed:
                    self.enough.epoch(number, metrics)
            if first_seed and metrics is not report.epochs[-1]:
                self._enter_rung(number, metrics)  # it trained on from there: that was decided before
        self._estimate.update()
        if report.blocked or self._has_enough():
            return False
        if report.end is not None:
            for key, value in placed.items():  # it ends without an epoch
                self.ledger.fact(number, key, value)
            end = reported(self.ledger, number, report)
            if end.status is Status.COMPLETED and first_seed and (epochs := self.ledger.trials[number].epochs):
                self._enter_rung(number, epochs[-1])  # for those that are judged later
            self._ends.seed_over(number, *end)
            return True
        return not self._behind(number, report) and first_seed and self._judge(number)

    def _placed(self, number: int, report: Report) -> dict[str, str]:
        """Where the trial runs, if that is not recorded yet."""
        known = self.ledger.trials[number].facts
        now = {NODE: report.node, GPU: report.gpu} if report.node else {}
        return {key: value for key, value in now.items() if value != known.get(key, "")}

    def _has_enough(self) -> bool:
        """Stop the search once it has done enough; whether it has now.

        A trial that reaches the target ends there, so that its weights are kept like those of any that has ended.
        """
        why = "" if self.halt else self.enough.reached
        if why:
            winner = self.enough.winner
            if winner is not None and not self.ledger.trials[winner].status.ended:
                self._ends.end(winner, Status.STOPPED, why)
            self.observer.say(f"{why}; to continue the search, use --extend N or set another search.stop")
            self.stop(why)
        return bool(why)

    def _behind(self, number: int, report: Report) -> bool:
        """Whether a trial repeats epochs that it has reported before, since its checkpoint could not be used.

        It was judged at them already, and has not reached its best epoch again.
        """
        reached = max((metrics.epoch for metrics in report.epochs), default=0)
        had = len(self.ledger.trials[number].current)
        if number in self._resumed and reached < had:
            reason = "its checkpoint is missing, damaged or of another version"
            self.observer.say(f"trial {number}: {reason}; training again up to epoch {had}")
        self._resumed.discard(number)
        return reached < had

    def _judge(self, number: int) -> bool:
        """Whether the scheduler stops or pauses the trial at its last epoch."""
        epochs = self.ledger.trials[number].epochs
        verdict = self._enter_rung(number, epochs[-1]) if epochs else CONTINUE
        if verdict.action is Action.STOP:
            self._ends.end(number, Status.STOPPED, verdict.reason)
        elif verdict.action is Action.PAUSE:
            self._ends.pause(number)
            unended = {*self.ledger.live, *self.ledger.waiting, *self.ledger.paused}
            left = 0 if self.exhausted else max(self.ledger.left, 0)
            self._ends.not_promoted(self.ledger.scheduler.hopeless(left, unended))
        return verdict.action is not Action.CONTINUE

    def _enter_rung(self, number: int, metrics: EpochMetrics) -> Verdict:
        """Enter an epoch at the scheduler's rungs; what happens to the trial there."""
        judged = self.ledger.trials[number].judged_by(metrics, self.ledger.record.objective)
        return CONTINUE if judged is None else self.ledger.scheduler.judge(number, metrics.epoch, *judged)

    # -- how trials end

    def requeue(self, number: int, reason: str) -> None:
        """Put back a trial whose worker was replaced before it began; this counts as no attempt."""
        with self._stopping_on_error():
            if number in self.ledger.live:
                self._ends.requeue(number, reason)

    def worker_died(self, number: int, reason: str, *, out_of_memory: bool = False) -> None:
        """Put back a trial whose worker died, unless that happened too often.

        Args:
            number: The trial.
            reason: How the worker died, in one line.
            out_of_memory: Ray killed it because its node was running out of memory.
        """
        with self._stopping_on_error():
            self._ends.worker_died(number, reason, out_of_memory=out_of_memory)

    def poll(self) -> list[int]:
        """Called several times a second: updates the display, carries out requests, checks the time budget.

        Returns:
            The trials whose workers the caller must kill: those that hang, and those that were stopped by hand.
        """
        self.observer.tick(self.ledger)
        self._watch_budget()
        with self._stopping_on_error():
            self._control.take()
            killed, self._to_kill = self._to_kill, []
            return [*killed, *self._ends.hung()]
        return []

    def _watch_budget(self) -> None:
        """Stop the search once its time budget is used up."""
        budget = self._settings.time_budget
        if budget is not None and not self.halt and self.ledger.elapsed > budget - (kept := self.ledger.kept_seconds):
            but = f", except for {kept:.0f} s kept to retrain the best trial" if kept else ""
            self.stop(f"the time budget of {budget:g} s is used up{but}")

    def stop(self, reason: str) -> None:
        """Stop the search early. `requeue_all` then puts live trials back."""
        self.halt = self.halt or reason

    def stop_trial(self, number: int, reason: str) -> None:
        """Stop a trial that has not ended; `poll` reports that its worker is to be killed."""
        if number in self.ledger.live:
            self._to_kill.append(number)
        self._ends.end(number, Status.STOPPED, reason)

    def clear_all(self) -> None:
        """Delete what workers have written after their trials ended."""
        self._ends.clear_all()

    def requeue_all(self) -> None:
        """Put every live trial back to wait, with its epochs."""
        for number in list(self.ledger.live):
            self._ends.requeue(number, "")
