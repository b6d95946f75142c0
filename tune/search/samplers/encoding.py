"""Configurations as points of a unit cube, for samplers that compare and vary them as vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces import Choice, Config, Domain, Space
from search_spaces.domains import among, is_number

Points = NDArray[np.float64]
MOST_VALUES = 10_000  # a domain with more is treated as continuous


@dataclass(frozen=True)
class Axis:
    """One field of a space: its coordinate from 0 to 1.

    Attributes:
        domain: The field's.
        values: All of its values by their coordinates, if they are few.
        places: The coordinates of `values`, ascending; empty for a continuous field.
        unordered: The values are no numbers: only equal ones are near each other.
    """

    domain: Domain
    values: tuple[object, ...]
    places: Points
    unordered: bool

    @classmethod
    def of(cls, domain: Domain) -> Axis:
        """The axis of a domain."""
        if isinstance(domain, Choice):
            numbers = len(domain.options) > 1 and all(map(is_number, domain.options))
            values = tuple(sorted(domain.options)) if numbers else domain.options
            return cls(domain, values, (np.arange(len(values)) + 0.5) / len(values), not numbers)
        size = domain.size
        if size is None or size > MOST_VALUES:
            return cls(domain, (), np.empty(0), False)
        values = domain.values()
        return cls(domain, values, np.array([_coordinate(domain, value) for value in values]), False)

    def place(self, value: object) -> float:
        """The coordinate of a value."""
        if isinstance(self.domain, Choice):
            return float(self.places[next(i for i, one in enumerate(self.values) if among(value, (one,)))])
        return _coordinate(self.domain, float(value))  # type: ignore[arg-type]

    def snap(self, points: Points) -> Points:
        """The nearest coordinates that values have."""
        if not len(self.places):
            return points
        edges = (self.places[1:] + self.places[:-1]) / 2
        snapped: Points = self.places[np.searchsorted(edges, points)]
        return snapped

    def value(self, place: float) -> object:
        """The value at a coordinate."""
        if len(self.places):
            return self.values[int(np.abs(self.places - place).argmin())]
        domain = self.domain
        assert not isinstance(domain, Choice)
        low, high = (math.log(domain.low), math.log(domain.high)) if domain.log else (domain.low, domain.high)
        raw = low + place * (high - low)
        value = math.exp(raw) if domain.log else raw
        return domain.canonical(min(max(value, domain.low), domain.high))


def _coordinate(domain: Domain, value: float) -> float:
    assert not isinstance(domain, Choice)
    low, high = float(domain.low), float(domain.high)
    if low == high:
        return 0.5
    if domain.log:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (value - low) / (high - low)


class Encoding:
    """The unit cube of a space, with a coordinate per field; that of a field that is not in play is 0.5."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.axes = {field: Axis.of(domain) for field, domain in space.domains.items()}

    def points(self, configs: Sequence[Config]) -> Points:
        """Configurations (N) as points (N x fields)."""
        rows = [
            [axis.place(config[field]) if field in config else 0.5 for field, axis in self.axes.items()]
            for config in configs
        ]
        return np.array(rows, dtype=np.float64).reshape(len(configs), len(self.axes))

    def snap(self, points: Points) -> Points:
        """The nearest points that configurations have."""
        snapped = np.empty_like(points)
        active: dict[str, NDArray[np.bool_]] = {}
        for index, (field, axis) in enumerate(self.axes.items()):
            active[field] = self._active(field, snapped, active)
            snapped[:, index] = np.where(active[field], axis.snap(points[:, index]), 0.5)
        return snapped

    def _active(self, field: str, snapped: Points, active: dict[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """Which of the points have the field in play; the fields that it depends on come before it."""
        result = np.ones(len(snapped), dtype=np.bool_)
        fields = list(self.axes)
        for parent, values in self.space.domains[field].when:
            if parent in self.axes:
                places = [
                    self.axes[parent].place(value) for value in values if self.axes[parent].domain.contains(value)
                ]
                result &= active[parent] & np.isclose(snapped[:, [fields.index(parent)]], places or [-1.0]).any(axis=1)
            else:
                result &= among(self.space.fixed.get(parent), values)
        return result

    def features(self, points: Points) -> Points:
        """Snapped points as the coordinates that distances are measured in: unordered values become one-hot."""
        columns: list[Points] = []
        for index, axis in enumerate(self.axes.values()):
            column = points[:, index]
            if axis.unordered:
                columns += [np.isclose(column, place).astype(np.float64) for place in axis.places]
            elif len(axis.places) != 1:
                columns.append(column)
        return np.stack(columns, axis=1) if columns else np.zeros((len(points), 1))

    def config(self, point: Points) -> Config:
        """The configuration of a point."""
        config: Config = {}
        for place, (field, axis) in zip(point, self.axes.items(), strict=True):
            if self.space.in_play(field, config):
                config[field] = axis.value(float(place))
        return config
