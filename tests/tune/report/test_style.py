"""What all charts share."""

from __future__ import annotations

import pytest

from tune.record.status import Status
from tune.report.charts.style import (
    AXIS,
    LEGEND,
    STATUS_COLORS,
    STATUS_SYMBOLS,
    WORDS,
    around_one,
    empty_figure,
    scaled,
    without_legend,
)
from tune.spec.metric import METRICS, Objective


def test_every_status_can_be_drawn() -> None:
    every = {str(status) for status in Status}
    assert len(every) == 9
    assert set(STATUS_COLORS) == set(STATUS_SYMBOLS) == set(WORDS) == every


def test_bars_of_how_trials_ended_are_told_apart_by_color_alone() -> None:
    ended = [str(status) for status in Status if status.ended]
    assert len({STATUS_COLORS[status] for status in ended}) == len(ended) == 6
    looks = [(STATUS_COLORS[status], STATUS_SYMBOLS[status]) for status in STATUS_COLORS]
    assert len(set(looks)) == len(looks)


def test_a_chart_has_room_for_a_legend_only_if_it_has_one() -> None:
    one, two = (empty_figure("title", "x", "y") for _ in range(2))
    for name in ("a", "b"):
        two.add_scatter(x=[1], y=[2], name=name)
    one.add_scatter(x=[1], y=[2])
    heights = [(without_legend(figure).layout.height, figure.layout.margin.b) for figure in (one, two)]
    assert heights == [(420 - LEGEND, AXIS), (420, AXIS + LEGEND)]


@pytest.mark.parametrize(
    ("high", "format"), [(0.9, ".1%"), (0.05, ".1%"), (0.003, ".2%"), (0.0002, ".3%"), (0.0, ".1%")]
)
def test_percentages_have_as_many_digits_as_tell_ticks_apart(high: float, format: str) -> None:
    figure = empty_figure("title", "x", "y").add_scatter(x=[1, 2], y=[0, high])
    assert scaled(figure, Objective(METRICS["val_accuracy"])).layout.yaxis.tickformat == format


def test_a_title_keeps_a_distance_from_the_upper_edge_which_would_cut_its_letters() -> None:
    assert empty_figure("title", "x", "y").layout.title.pad.t > 0


def test_an_axis_of_one_value_has_it_in_the_middle() -> None:
    assert around_one([1000, 1000]) == {"range": [890, 1110]}
    assert around_one([0.0]) == {"range": [-1, 1]}
    assert around_one([]) == around_one([1, 2]) == {}
