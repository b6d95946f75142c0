"""What `stop`, `add` and `set` share: leave a request for a search, and print its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tune.cli.output import print_json

if TYPE_CHECKING:
    from tune.record.control_requests import ControlRequest
    from tune.record.opening import Search


def ask(request: Callable[[Search], ControlRequest], search: str, out: Path, study: str | None, json: bool) -> None:
    """Leave the request that `request` makes, wait until a live search has carried it out, and print the result."""
    from tune.record import locate_search
    from tune.record.opening import read_search
    from tune.search.control import asking

    found = read_search(locate_search(search, out, study))
    asked = asking.leave(found, request(found))
    if json:
        print_json(asking.document(found, asked))
    else:
        print(asking.told(found, asked))
