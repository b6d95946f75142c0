"""MLflow: an experiment per search and a run per trial, with its fields, its metrics by epoch, and how it ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

from data.words import quoted

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before mlflow is imported: it would report its use

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.tracking import get_tracking_uri
from sqlalchemy import event

from tune.errors import UserError
from tune.record.folder import SearchFolder
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.spec.files import value_text
from tune.spec.metric import Objective

MOST_METRICS, MOST_PARAMS = 800, 100  # of one call, which takes 1,000 items
_TRIAL, _FOLDER = "imagetune.trial", "imagetune.folder"
_LAST = "seconds"
"""The metric that is written last of each epoch: where it is there, the others are."""
_STATES = {Status.COMPLETED: "FINISHED", Status.STOPPED: "KILLED"}  # every other end has failed

T = TypeVar("T")

# What MLflow and Alembic say about the tables they make would go through the page of a running search.
for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class MLflow:
    """The server or store of `MLFLOW_TRACKING_URI`, or `mlflow.db` in the search's folder or another."""

    def __init__(self, folder: SearchFolder, objective: Objective, output: Path | None) -> None:
        self._objective = objective
        root = (output or folder.path).absolute()
        local = output is not None or "MLFLOW_TRACKING_URI" not in os.environ
        if local:
            root.mkdir(parents=True, exist_ok=True)
        self.place = f"sqlite:///{root / 'mlflow.db'}" if local else get_tracking_uri()
        self._client = MlflowClient(self.place)
        if local:
            _without_fsync(self._client)
        self._experiment = self._find(folder, (root / "mlflow-artifacts").as_uri() if local else None)
        runs = {int(run.data.tags[_TRIAL]): run.info for run in self._all_runs() if _TRIAL in run.data.tags}
        self._runs = {number: str(info.run_id) for number, info in runs.items()}  # identities, by trial
        self._ended = {number for number, info in runs.items() if info.status in ("FINISHED", "KILLED", "FAILED")}
        self._done: dict[int, int] = {}  # epochs written, by trial

    def _find(self, folder: SearchFolder, artifacts: str | None) -> str:
        """The search's experiment; made if there is none.

        Raises:
            UserError: the experiment of this name is another search's.
        """
        here = str(folder.path.resolve())
        found = self._client.get_experiment_by_name(folder.name)
        if found is None:
            tags = {_FOLDER: here}
            return str(self._client.create_experiment(folder.name, artifact_location=artifacts, tags=tags))
        if (other := found.tags.get(_FOLDER)) != here:
            raise UserError(
                f"{self.place} already has an experiment {quoted(folder.name)}, made for {other or 'something else'}; "
                "rename it there, or set MLFLOW_TRACKING_URI to another store"
            )
        return str(found.experiment_id)

    def _all_runs(self) -> Iterator[Run]:
        token: str | None = ""
        while token is not None:
            page = self._client.search_runs([self._experiment], max_results=1000, page_token=token or None)
            yield from page
            token = page.token or None

    def complete(self, number: int) -> bool:
        """Whether the trial's run has ended."""
        return number in self._ended

    def write(self, trial: TrialRecord) -> None:
        """Add the epochs that its run does not have yet, and its status."""
        if self.complete(trial.number):
            return
        # The process that made a run may have died before it wrote the fields.
        fields = {} if trial.number in self._done else trial.config
        tags = [] if trial.number not in self._runs else [RunTag(*tag) for tag in _state(trial).items()]
        run, done = self._run(trial)
        params = [Param(field, value_text(value)) for field, value in fields.items()]
        parts = zip_longest(
            _parts(self._metrics(trial, done), MOST_METRICS), _parts(params, MOST_PARAMS), fillvalue=()
        )  # in as few calls as there can be, since each is a transaction
        for part, some in list(parts) or [((), ())]:
            self._client.log_batch(run, metrics=part, params=some, tags=tags)
        self._done[trial.number] = len(trial.epochs)
        if trial.status.ended:
            end = None if trial.ended_at is None else round(1000 * trial.ended_at.timestamp())
            self._client.set_terminated(run, _STATES.get(trial.status, "FAILED"), end)
            self._ended.add(trial.number)

    def close(self) -> None:
        """Nothing is open."""

    def _run(self, trial: TrialRecord) -> tuple[str, int]:
        """The identity of a trial's run, and how many epochs it has; made if there is none."""
        number = trial.number
        if number not in self._runs:
            start = None if trial.started is None else round(1000 * trial.started.timestamp())
            tags = {_TRIAL: str(number), **_state(trial)}
            run = self._client.create_run(self._experiment, start, tags, f"trial {number}")
            self._runs[number], self._done[number] = str(run.info.run_id), 0
        run_id = self._runs[number]
        if number not in self._done:
            self._done[number] = len({metric.step for metric in self._client.get_metric_history(run_id, _LAST)})
        return run_id, self._done[number]

    def _metrics(self, trial: TrialRecord, done: int) -> list[Metric]:
        """Those of the epochs that are not written, and of a trial that has ended its best."""
        times = [round(1000 * when) for when in trial.epoch_ends]
        metrics = [
            Metric(name, value, when, epoch.epoch)
            for epoch, when in list(zip(trial.epochs, times, strict=True))[done:]
            for name, value in {**epoch.values, "lr": epoch.lr, _LAST: epoch.seconds}.items()
        ]
        best, name = trial.best(self._objective), self._objective.metric.name
        result = trial.result(self._objective)
        if trial.status.ended and best is not None and result is not None:
            metrics.append(Metric(f"best_{name}", result[name], times[best.epoch - 1], best.epoch))
        return metrics


def _state(trial: TrialRecord) -> dict[str, str]:
    """What its tags say about a trial."""
    return {"status": str(trial.status), "reason": trial.reason}


def _without_fsync(client: MlflowClient) -> None:
    """Let SQLite not wait for the disk at each of a trial's transactions; all of it can be written again."""
    engine = client._tracking_client.store.engine

    def connected(connection: Any, *_: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(engine, "checkout", connected)


def _parts(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    return (items[start : start + most] for start in range(0, len(items), most))
