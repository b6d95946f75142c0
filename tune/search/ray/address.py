"""Which Ray cluster is meant, and whether it answers: asked in a process of its own, before anything else starts.

Ray's client tries for 40 seconds or more to reach a cluster that is gone, cannot be interrupted meanwhile, and prints
lines of its C++ code.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import tune
from tune.errors import UserError, without_password

CONNECTING = 5.0  # seconds for a TCP connection
ANSWERING = 12.0  # seconds for all of the check
ASKS_FOR_TOKEN = (
    "refuses this client: it asks for a token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN "
    "(or RAY_AUTH_TOKEN_PATH) to the cluster's"
)


def find_cluster(address: str | None) -> str | None:
    """The host:port of the cluster that `--address` or RAY_ADDRESS means; None for a Ray of our own.

    Raises:
        UserError: there is no such cluster, it does not answer, asks for a token that this process has not, or runs
            another version of Ray or Python.
    """
    named = address or os.environ.get("RAY_ADDRESS") or "local"
    if named == "local":
        return None
    shown = without_password(named)
    source = f"--address {shown}" if address else f"RAY_ADDRESS={shown}"
    if named != "auto" and not re.fullmatch(r"[^/:\s]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", named):
        raise UserError(f"{source}: must be the HOST:PORT of a Ray cluster's head node, such as 10.0.0.5:6379, or auto")
    found, reason = _ask(named)
    at = f" at {found}" if named == "auto" and found else ""
    if reason == ASKS_FOR_TOKEN:
        raise UserError(f"{source}: the cluster{at} {reason}")
    if reason:
        raise UserError(
            f"{source}: no usable Ray cluster{at}: {reason}; check the address, and that the cluster is running "
            f"(`ray start --head`), or {'leave --address out' if address else 'unset RAY_ADDRESS'} to use this machine"
        )
    return found


def _ask(address: str) -> tuple[str, str]:
    """The cluster's host:port as far as it was found, and what is wrong; empty if nothing is."""
    command = [sys.executable, "-m", "tune.search.ray.address", address]
    home = Path(str(tune.__file__)).parents[1]
    try:
        asked = subprocess.run(
            command, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWERING, check=False
        )
    except subprocess.TimeoutExpired as expired:
        return _said(expired.stdout, "found"), f"it did not answer as a Ray cluster within {ANSWERING:.0f} s"
    reason = _said(asked.stdout, "wrong") or (f"the check ended with code {asked.returncode}" * bool(asked.returncode))
    return _said(asked.stdout, "found"), reason


def _said(output: bytes | None, word: str) -> str:
    """The rest of the line that begins with the word; empty if there is none."""
    lines = (output or b"").decode(errors="replace").splitlines()
    return next((line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")), "")


def _answer(address: str) -> None:
    """In the process of its own: print what is found, and what is wrong with it."""
    from ray._common.usage.usage_lib import get_cluster_metadata
    from ray._private.authentication.authentication_token_setup import (
        ensure_token_if_auth_enabled,
        maybe_enable_token_auth_if_token_available,
    )
    from ray._private.services import canonicalize_bootstrap_address_or_die
    from ray._private.utils import check_version_info
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
    from ray.exceptions import AuthenticationError

    try:
        found = canonicalize_bootstrap_address_or_die(address)
        print(f"found {found}", flush=True)
        host, _, port = found.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), CONNECTING).close()
        if address == "auto":
            maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        ensure_token_if_auth_enabled(create_token_if_missing=False)
        metadata = get_cluster_metadata(GcsClient(address=found))
        if metadata:
            check_version_info(metadata, "this machine")
    except Exception as error:
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if isinstance(error, AuthenticationError) or "InvalidAuthToken" in text:
            text = ASKS_FOR_TOKEN
        print("wrong", " ".join(text.split()) or type(error).__name__)


if __name__ == "__main__":
    _answer(sys.argv[1])
