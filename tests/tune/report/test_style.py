"""What all charts share."""

from __future__ import annotations

from tune.record.status import Status
from tune.report.charts.style import STATUS_COLORS, STATUS_SYMBOLS, WORDS


def test_every_status_can_be_drawn() -> None:
    every = {str(status) for status in Status}
    assert len(every) == 9
    assert set(STATUS_COLORS) == set(STATUS_SYMBOLS) == set(WORDS) == every
