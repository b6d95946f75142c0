"""The base class of all specifications."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Le, Lt
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

Fraction = Annotated[float, Ge(0), Lt(1)]
MOST_CPUS = 1024
MOST = 10**9
"""Of anything that is counted. Whatever has a tighter limit of its own is checked where that is known."""

Count = Annotated[int, Ge(1), Le(MOST)]
CountOrZero = Annotated[int, Ge(0), Le(MOST)]
Budget = Annotated[int, Ge(1), Le(10**6)]  # trials of a search, epochs of a training
Replicates = Annotated[int, Ge(1), Le(1_000)]  # seeds of one configuration
Seed = Annotated[int, Ge(0), Lt(2**63)]


def _tuple_from_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


FROM_LIST = BeforeValidator(_tuple_from_list)
"""Reads a YAML list into a field that is a tuple."""


class Frozen(BaseModel):
    """The base class of all specifications: unknown fields are errors, and `"10"` is not a number.

    A rule about two fields is checked at the later one, and only if the earlier one is valid (`info.data`), so that one
    invalid field does not hide the problems of others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class NestedError(ValueError):
    """What is wrong inside a field whose value was validated separately, as the specification `kind`."""

    def __init__(self, kind: type[BaseModel], error: ValidationError) -> None:
        super().__init__(str(error))
        self.kind, self.error = kind, error
