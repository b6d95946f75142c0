"""The ground of every specification: frozen, strict, and telling of several faults at once."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Lt
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

Fraction = Annotated[float, Ge(0), Lt(1)]


def _tuple_from_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


FROM_LIST = BeforeValidator(_tuple_from_list)
"""Reads a YAML list into a field that is a tuple."""


class Frozen(BaseModel):
    """The ground of every specification: unknown keys are refused, and `"10"` is not a number.

    What two fields can only be told wrong together is checked at the later one, against those of the earlier ones that
    are sound (`info.data`): so one faulty field does not hide the faults of the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FaultsBelowError(ValueError):
    """Faults of a field's value that was validated apart, as the specification `kind`."""

    def __init__(self, kind: type[BaseModel], error: ValidationError) -> None:
        super().__init__(str(error))
        self.kind, self.error = kind, error
