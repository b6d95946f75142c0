"""Connecting to Ray: a private one on this machine, or a cluster by its address."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import tune
from data.words import counted
from tune.environment import prepare_openmp, training_environment
from tune.errors import UserError, WorkError, error_line
from tune.search.ray.reaper import reaped

HOME = Path(str(tune.__file__)).parents[1]  # the folder of our packages
SHORT = Path("/tmp")
LONGEST = 28  # bytes: a socket's name has at most 107, of which 79 are ours and Ray's

# Ray reads these when it is imported.
_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's tables; the old reporter honours verbose=0
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # CSV, JSON and TensorBoard files of which the record is the better copy
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # signals are ours
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # our results carry a report, not metrics
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",  # the driver knows what fits; else processes start one after the other
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # Tune's snapshots are not used
    "TUNE_WARN_THRESHOLD_S": "30",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_worker_niceness": "0",  # Ray's 15 lets trials wait for every other process (tests/benchmarks/NOTES.md)
    "RAY_gcs_server_request_timeout_seconds": "15",  # to find this machine among a cluster's nodes
}


@contextmanager
def connected(address: str | None = None, **options: Any) -> Iterator[None]:
    """A connection to Ray, or a Ray of our own that ends with us. A connection that exists already is used and left.

    Args:
        address: The host:port of a cluster, from `find_cluster`; None for a Ray of our own.
        options: For `ray.init`.

    Raises:
        UserError: Ray cannot start or connect.
    """
    os.environ.update({key: value for key, value in _ENVIRONMENT.items() if key not in os.environ})
    import ray

    from tune.search.ray.patch import no_error_messages

    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # tracebacks of dead workers: we print a line for each
    if ray.is_initialized():
        yield
        return
    with no_error_messages(), _private(options) if address is None else _joined(address, options):
        yield


@contextmanager
def _private(options: dict[str, Any]) -> Iterator[None]:
    """A Ray of our own, of which nothing is left afterwards, also when this process is killed."""
    from tune.search.ray.patch import killed_at_once, on_this_machine_only, without_dashboard

    prepare_openmp()  # for the workers, which inherit our environment
    folder = new_folder()
    local = {"include_dashboard": False, "object_store_memory": 100 * 2**20, "_temp_dir": f"{folder}/r"}
    with reaped(folder) as reaper, _own_token():
        try:
            with without_dashboard(), on_this_machine_only():
                _init("local", {**local, **options})
        except Exception as error:
            reaper.keep = True
            raise WorkError(
                f"Ray could not start on this machine: {error_line(error)}; its logs are in {folder}"
            ) from error
        try:
            yield
        finally:
            with killed_at_once():
                _shutdown()


@contextmanager
def _joined(address: str, options: dict[str, Any]) -> Iterator[None]:
    try:
        _init(address, {"runtime_env": {"env_vars": training_environment()}, **options})
    except Exception as error:
        raise UserError(f"the Ray cluster at {address} cannot be used from here: {error_line(error)}") from error
    try:
        yield
    finally:
        _shutdown()


def _init(address: str, options: dict[str, Any]) -> None:
    import ray

    # Workers look for modules first where the driver was when it connected: there, a user's models.py or torch.py would
    # take the place of the real one.
    with chdir(HOME), _own_signals():
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **options,
        )


def _shutdown() -> None:
    import ray

    from tune.search.ray.health import ray_failure

    if not ray_failure():  # else it would wait for what is gone
        ray.shutdown()


@cache
def _token() -> str:
    """The same for a process's next search: Ray's library reads the token once."""
    return secrets.token_hex(32)


@contextmanager
def _own_token() -> Iterator[None]:
    """A token for a Ray of our own. Ray would write one to the home folder, which may be read-only."""
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        yield
        return
    os.environ["RAY_AUTH_TOKEN"] = _token()
    try:
        yield
    finally:
        del os.environ["RAY_AUTH_TOKEN"]


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray sets a SIGTERM handler of its own, which ends the process with 15: put ours back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, before)


def new_folder() -> str:
    """A new folder for Ray's sockets and logs, in RAY_TMPDIR or TMPDIR, or in /tmp where their names are too long.

    Nobody else can read it. Ray opens its own folder to everybody: that is a folder in this one, since its logs contain
    the environment.

    Raises:
        UserError: nothing can be written there.
    """
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), "")
    folder = Path(os.environ[name]).absolute() if name else SHORT
    if reason := _unusable(folder):
        place = f"{name}={folder}" if name else str(folder)
        raise UserError(f"{place}: {reason}; set RAY_TMPDIR to a folder that can be written to")
    size = len(os.fsencode(folder))
    if size > LONGEST:
        folder = SHORT
        if _unusable(SHORT):
            limit = f"its name is too long for Ray ({counted(size, 'byte')}, at most {LONGEST})"
            raise UserError(f"{name}={os.environ[name]}: {limit}; set RAY_TMPDIR to a shorter one")
    return tempfile.mkdtemp(prefix="ray-", dir=folder)


def _unusable(folder: Path) -> str:
    """Why nothing can be written to a folder; empty if it can. It is made if it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**16))
    except OSError as error:
        return error.strerror or str(error)
    return ""
