"""optuna-dashboard on the record of a search, on this machine only, without the right to change anything."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from tune.errors import UserError
from tune.record.as_optuna import quiet_optuna
from tune.record.folder import SearchFolder
from tune.record.opening import open_record
from tune.record.search_yaml import read_spec

HOST = "127.0.0.1"
_READS = ("GET", "HEAD")
_REFUSAL = json.dumps({"reason": "imagetune shows its searches read-only: only the search itself writes to its record"})

App = Callable[[dict[str, Any], Callable[..., Any]], Any]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads, block_on_close = True, False


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: SearchFolder, port: int) -> Iterator[tuple[WSGIServer, str]]:
    """A server of the dashboard, to be run with `serve_forever`, and its address.

    Args:
        folder: The search's, which may be running.
        port: 0 takes a free one.

    Raises:
        UserError: optuna-dashboard is not installed, the port is in use, or the record is not where `--study` says.
        DamagedRecordError: the record is missing or damaged.
    """
    if find_spec("optuna_dashboard") is None:
        raise UserError("optuna-dashboard is not installed; run: pip install 'imagetune[dashboard]'")
    import optuna_dashboard

    with quiet_optuna(), closing(open_record(folder, read_spec(folder).search.objective)) as record:
        storage, study = record.read_only()
        app = _reading_only(optuna_dashboard.wsgi(storage))
        with _bound(port, app) as server:
            yield server, f"http://{HOST}:{server.server_port}/dashboard/studies/{study}"


def _bound(port: int, app: App) -> WSGIServer:
    try:
        return make_server(HOST, port, app, _Server, _Quiet)
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise UserError(f"--port: {port} {reason}; choose another") from None


def _reading_only(app: App) -> App:
    """The application with a clear answer to whatever would write, which the storage refuses in any case."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if environ["REQUEST_METHOD"] in _READS:
            return app(environ, start)
        start("403 Forbidden", [("Content-Type", "application/json")])
        return [_REFUSAL.encode()]

    return answer
