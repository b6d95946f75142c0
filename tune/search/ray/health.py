"""Whether the Ray that we are connected to is alive: its client waits for a minute, then ends our process."""

from __future__ import annotations

import socket

from ray._private import worker

CONNECTING = 2.0  # seconds


def ray_failure() -> str:
    """What part of Ray no longer answers, in words; empty if all of it does, or if there is no connection."""
    node = worker._global_node
    if node is None:
        return ""
    host, _, port = node.gcs_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECTING).close()
    except OSError as error:
        return f"Ray's server at {node.gcs_address} is gone ({error.strerror or error})"
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(node.raylet_socket_name)
        except OSError as error:
            return f"Ray's process on this machine is gone ({error.strerror or error})"
    return ""
