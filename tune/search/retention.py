"""What a search keeps on disk: the best weights of its K best ended trials, and the last checkpoint of the others.

At every moment there are at most K files of best weights (with several objectives, at least those of the front), one
checkpoint per live trial (two while it is written; one more while it trains a further seed), and those of the P best
paused trials. The weights that are kept are those of a trial's first seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from tune.files import PARTIAL, fetch, files, is_file, remove, remove_folder, sweep
from tune.record.disk import retry_until_writable
from tune.record.folder import SearchFolder
from tune.record.pareto import Point, best_first, front_of
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.worker.checkpoints import LAST, REPLICATE, furthest
from tune.spec.metric import EpochMetrics, Objective
from tune.spec.search_settings import RetentionSpec
from tune.training import save_weights

WRITING = 60.0  # seconds for which a temporary file may still be somebody's who is writing it
KEPT = (Status.COMPLETED, Status.STOPPED)  # others cannot win


class Retention:
    """Applies that as trials end, and after a kill."""

    def __init__(
        self,
        folder: SearchFolder,
        spec: RetentionSpec,
        objective: Objective,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._say = say
        self._folder, self._best, self._paused, self._objective = folder, spec.best, spec.paused, objective
        self._points: dict[int, Point] = {}  # of ended trials, with their costs
        self._unkept: set[tuple[int, int]] = set()  # pauses whose checkpoints are gone

    def restore(self, trials: Iterable[TrialRecord]) -> None:
        """Rank the recorded trials, and delete what should not be in the folder."""
        trials = list(trials)
        self._points = {trial.number: point for trial in trials if (point := self._point(trial)) is not None}
        delete_leftovers(self._folder)
        kept = self._kept()
        for trial in trials:
            if trial.status.ended and trial.number not in kept and files(self._folder.trial(trial.number), "*"):
                self._drop(trial.number)
        for trial in trials:
            if trial.number in kept:
                self._keep(trial)
            elif not trial.status.ended:
                self.next_seed(trial)
        paused = [trial for trial in trials if trial.status is Status.PAUSED]
        self._unkept = {_pause(trial) for trial in paused if not files(self._folder.trial(trial.number), "*")}
        self.paused(paused)

    def ended(self, trial: TrialRecord) -> None:
        """Keep the best weights of a trial that has ended, or nothing of it. To be called once the end is recorded."""
        point = self._point(trial)
        if point is None:
            return self._drop(trial.number)
        before = self._kept()
        self._points[trial.number] = point
        after = self._kept()
        for number in before - after:
            self._drop(number)  # first, so that there are never more than K
        return self._keep(trial) if trial.number in after else self._drop(trial.number)

    def _kept(self) -> set[int]:
        """The best K trials; with several objectives the whole front at least."""
        best = best_first(self._points)[: self._best]
        return {*best, *front_of(self._points)} if self._objective.several else {*best}

    def clear(self, trial: TrialRecord) -> None:
        """Delete what a worker that was killed has written after its trial ended."""
        if trial.status.ended:
            self._delete_checkpoints(trial.number, "*.pt")

    def clear_all(self, trials: Iterable[TrialRecord]) -> None:
        """The same for all trials at the end of a search: a worker that is cut off from the driver cannot be killed."""
        self._patiently(lambda: fetch(self._folder.path))
        for trial in trials:
            if files(self._folder.trial(trial.number), "*.pt"):
                self.clear(trial)

    def next_seed(self, trial: TrialRecord) -> None:
        """Delete the checkpoint of the further seed before the one that the trial trains next."""
        for seed in range(1, trial.seed):
            self._delete_checkpoints(trial.number, REPLICATE.format(seed))

    def _delete_checkpoints(self, number: int, pattern: str) -> None:
        self._patiently(lambda: _delete(self._folder.trial(number), pattern))

    def paused(self, trials: Iterable[TrialRecord]) -> None:
        """Keep the checkpoints of the best paused trials: of those with most epochs, the best.

        Another that is promoted nevertheless trains its epochs again.
        """
        having = [trial for trial in trials if _pause(trial) not in self._unkept]  # so that few are ever ranked
        ranked = sorted(having, key=lambda trial: (-len(trial.epochs), trial.cost(self._objective) or 0, trial.number))
        for trial in ranked[self._paused :]:
            self._drop(trial.number)
            self._unkept.add(_pause(trial))

    def _point(self, trial: TrialRecord) -> Point | None:
        return trial.costs(self._objective) if trial.status in KEPT else None

    def _keep(self, trial: TrialRecord) -> None:
        """Save the best epoch's weights from the trial's last checkpoint, then delete that."""
        self._patiently(lambda: self._save_best(trial))
        self._delete_checkpoints(trial.number, "*.pt")

    def _save_best(self, trial: TrialRecord) -> None:
        target, best = self._folder.best(trial.number), trial.best(self._objective)
        fetch(target.parent)
        if is_file(target) or best is None:
            return
        weights = _best_weights(files(target.parent, LAST), best.epoch, self._objective)
        if weights is not None:
            facts = {"trial": str(trial.number), "epoch": str(best.epoch), "metric": self._objective.metric.name}
            save_weights(target, weights, facts)

    def _drop(self, number: int) -> None:
        self._patiently(lambda: remove_folder(self._folder.trial(number)))

    def _patiently(self, write: Callable[[], None]) -> None:
        retry_until_writable(write, self._folder.path, self._say)


def _pause(trial: TrialRecord) -> tuple[int, int]:
    """One of a trial's pauses: its number, and its epochs then."""
    return trial.number, len(trial.epochs)


def _delete(folder: Path, pattern: str) -> None:
    fetch(folder)
    for path in files(folder, pattern):
        remove(path)


def delete_leftovers(folder: SearchFolder) -> None:
    """Delete what killed processes left half-written, and nothing that another process may be writing.

    Only the driver and its workers write trials' checkpoints. Tables are also written by `results`, requests by others,
    so what lies beside those must be old. Retrained winners are runs of their own and are left alone.
    """
    others = (path for place in (folder.path, folder.requests) for path in sweep(place, f".{PARTIAL}", WRITING))
    for path in [*folder.path.glob(f"trial_*/{PARTIAL}"), *others]:
        path.unlink(missing_ok=True)


def _best_weights(paths: Iterable[Path], epoch: int, objective: Objective) -> dict[str, Tensor] | None:
    """The weights of the best epoch; None if all checkpoints end before it, as a stale worker's may.

    Of several, rather one in which that epoch is the best: a stale worker may have found a better one since.
    """
    found = furthest(paths, lambda history: _best_is(history, epoch, objective))
    return None if found is None or len(found[1]["history"]) < epoch else found[1]["best_weights"]


def _best_is(history: list[Any], epoch: int, objective: Objective) -> bool:
    try:
        best = objective.best(EpochMetrics.from_dict(row) for row in history)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False  # somebody else has written it
    return best is not None and best.epoch == epoch
