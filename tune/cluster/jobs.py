"""Searches as jobs on a Ray cluster, by Ray's Jobs API."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tune.cluster.package import SPACE, working_dir
from tune.cluster.request import JobRequest
from tune.errors import MOST, UserError, WorkError, error_line, without_password
from tune.search.ray.address import ASKS_FOR_TOKEN

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

ADDRESSES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Ray's client obeys these rather than the address that it is given."""
CONNECTING = 5.0  # seconds
_TALKATIVE = (  # each says something at every upload, or when a connection is closed
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
STOPPING = 60
"""Seconds that a cancelled job has to save everything. Ray's default, 3, is less than a checkpoint may take."""
SEARCH = "imagetune_search"
"""The key of a job's metadata with the search's name."""


@dataclass(frozen=True)
class Job:
    """A job on the cluster.

    Attributes:
        id: By which `logs` and `cancel` know it.
        search: The search's name; None for a job that is not imagetune's.
        status: `pending`, `running`, `stopped`, `succeeded` or `failed`.
        started: Unix time in seconds; None if it has not started.
        ended: Likewise.
        message: What Ray says about it.
    """

    id: str
    search: str | None
    status: str
    started: float | None
    ended: float | None
    message: str


class Jobs:
    """The jobs of a cluster."""

    def __init__(self, address: str | None) -> None:
        """Connect to the cluster's dashboard, such as http://10.0.0.5:8265.

        Raises:
            UserError: it does not answer, or refuses this client.
        """
        self.address = checked_address(address)
        with _talking_to(self.address), _without(ADDRESSES):
            self._client = _client_class()(self.address)

    def submit(self, request: JobRequest) -> str:
        """Submit a search; the new job's id."""
        entry = ["python", "-m", "tune.cluster.entry"]
        own = request.file is not None
        words = [*entry, SPACE if own else request.space, request.name, *request.options]
        with _talking_to(self.address), working_dir(request.file) as folder:
            submitted: str = self._client.submit_job(
                entrypoint=shlex.join(words),
                submission_id=_new_id(request.name),
                runtime_env={
                    "working_dir": str(folder),
                    "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOPPING)},
                },
                metadata={SEARCH: request.name},
            )
        return submitted

    def all(self) -> list[Job]:
        """The jobs that were submitted to the cluster, the newest first."""
        with _talking_to(self.address):
            found = [_job(details) for details in self._client.list_jobs() if details.submission_id]
        return sorted(found, key=lambda job: -(job.started or float("inf")))

    def job(self, id: str) -> Job:
        """The job of this id.

        Raises:
            UserError: there is none; names those that there are.
        """
        jobs = self.all()
        for job in jobs:
            if job.id == id:
                return job
        there = ", ".join(job.id for job in jobs) or "none"
        raise UserError(f"{self.address} has no job {id}; there are: {there}")

    def logs(self, id: str) -> str:
        """What the job has printed."""
        self.job(id)
        with _talking_to(self.address):
            text: str = self._client.get_job_logs(id)
        return text

    def follow(self, id: str) -> Iterator[str]:
        """What the job has printed and prints, in pieces, until it ends."""
        import asyncio

        self.job(id)
        pieces = self._client.tail_job_logs(id)

        async def next_piece() -> str | None:
            return await anext(pieces, None)

        with _talking_to(self.address), asyncio.Runner() as runner:
            while (piece := runner.run(next_piece())) is not None:
                yield piece

    def cancel(self, id: str) -> bool:
        """Ask a job to stop; False if it had ended before."""
        self.job(id)
        with _talking_to(self.address):
            stopped: bool = self._client.stop_job(id)
        return stopped


def _new_id(name: str) -> str:
    """A new job's id: no shell has to have it in quotes."""
    return f"{re.sub(r'[^a-zA-Z0-9._]+', '-', name).strip('-') or 'search'}-{secrets.token_hex(3)}"


def _job(details: Any) -> Job:
    started, ended = details.start_time, details.end_time
    return Job(
        id=details.submission_id,
        search=(details.metadata or {}).get(SEARCH),
        status=str(details.status.value).lower(),
        started=started / 1000 if started else None,
        ended=ended / 1000 if ended else None,
        message=" ".join((details.message or "").split()),
    )


def checked_address(address: str | None) -> str:
    """The URL of a cluster's dashboard, from the command line or RAY_API_SERVER_ADDRESS.

    Raises:
        UserError: there is none, or it is not such a URL.
    """
    source = "--address" if address else ADDRESSES[0]
    given = address or os.environ.get(ADDRESSES[0])
    if not given:
        raise UserError(f"no cluster was given; use --address http://HEAD:8265, or set {ADDRESSES[0]}")
    parts = urlsplit(given)
    try:
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # the port
        valid = False
    if not valid or parts.username or parts.password:
        raise UserError(
            f"{source} {without_password(given)}: must be the URL of a cluster's dashboard, such as http://10.0.0.5:8265"
        )
    return given.rstrip("/")


def _client_class() -> type[JobSubmissionClient]:
    if not all(map(find_spec, ("aiohttp", "requests"))):
        raise UserError("jobs need Ray's client for them; run: pip install 'ray[default]'")
    from ray.job_submission import JobSubmissionClient

    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    return JobSubmissionClient


@contextmanager
def _talking_to(address: str) -> Iterator[None]:
    """Turn what goes wrong between us and the cluster into a line.

    Raises:
        UserError: the cluster cannot be reached or refuses us.
        WorkError: it could not do what it was asked.
    """
    from ray.exceptions import AuthenticationError

    _reach(address)
    try:
        yield
    except AuthenticationError:
        raise UserError(f"{address} {ASKS_FOR_TOKEN}") from None
    except (ConnectionError, OSError) as error:
        raise UserError(
            f"{address} does not answer as a Ray cluster's dashboard: {error_line(error)[:MOST]}"
        ) from error
    except (RuntimeError, ValueError) as error:
        raise WorkError(f"{address}: {error_line(error)[:MOST]}") from error


def _reach(address: str) -> None:
    """Raise a UserError if nothing listens: Ray's client would wait for minutes."""
    parts = urlsplit(address)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    try:
        socket.create_connection((parts.hostname or "", port), CONNECTING).close()
    except OSError as error:
        why = error.strerror or error_line(error)[:MOST]
        raise UserError(f"{address}: no dashboard of a Ray cluster there: {why}; check the address") from None


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """These environment variables unset for a while."""
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
