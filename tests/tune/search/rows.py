"""What a fault did to a search, as a row of the reliability table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`exit_code`: of the search under the fault, empty where no process ended by it.

    `lost`: what the record or the folder lacks in the end against an undisturbed search. `seconds`: from the fault to
    the end of the process it hit, or for kills of the whole test.
    """

    fault: str
    injected: str
    happened: str
    exit_code: int | None
    lost: str
    seconds: float
