"""Workers and their idle time, from the times at which trials began and ended."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.report.charts.costs import Span, idle_share, lanes, timeline

START = datetime(2026, 1, 31, 12)


def span(number: int, begin: float, end: float) -> Span:
    """A trial with its start and end in minutes."""
    trial = TrialRecord(number, {}, Status.COMPLETED)
    return trial, START + timedelta(minutes=begin), START + timedelta(minutes=end)


def test_a_trial_is_put_where_the_last_one_has_ended() -> None:
    found = lanes([span(3, 6, 10), span(0, 0, 4), span(1, 0, 5), span(2, 4, 10)])
    assert [[trial.number for trial, _, _ in lane] for lane in found] == [[0, 2], [1, 3]]
    assert idle_share(found) == pytest.approx(1 / 20), "the second waited for one of ten minutes"
    (bars,) = timeline(found).data
    assert list(bars.base) == [0, 4, 0, 6]
    assert list(bars.y) == ["worker 1", "worker 1", "worker 2", "worker 2"]


def test_a_trial_that_took_no_time() -> None:
    assert idle_share(lanes([span(0, 0, 0)])) == 0
