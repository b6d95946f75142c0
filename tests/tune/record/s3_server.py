"""An S3 server of the tests' own: moto's, in a process."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

SECRET = "swordfish/of+S3"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAOURKEY", "AWS_SECRET_ACCESS_KEY": SECRET}
NOWHERE = "http://127.0.0.1:9"  # nothing listens there


@dataclass
class S3Server:
    """A server on a port of 127.0.0.1."""

    port: int
    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment of a process that uses it."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.address}

    def new_bucket(self) -> str:
        """The URL of an empty bucket."""
        name = f"bucket{next(self._numbers)}"
        self.ask("PUT", name)
        return f"s3://{name}"

    def ask(self, method: str, path: str, content: bytes = b"") -> bytes:
        """A request without pyarrow."""
        request = urllib.request.Request(f"{self.address}/{path}", data=content or None, method=method)
        request.add_header("Content-Type", "application/octet-stream")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """For the block, take connections and answer none."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def require_credentials(self, *, required: bool) -> None:
        """From now on refuse every key that it did not hand out, as S3 does; or take any."""
        self.ask("POST", "moto-api/reset-auth", b"0" if required else b"inf")


@contextmanager
def serving() -> Iterator[S3Server]:
    """Start a server, and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ), **silent)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield S3Server(port, process)
    finally:
        process.kill()
        process.wait()
