"""Specifications of which there are several kinds: `name` says which one a mapping is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, ValidationError, create_model

from tune.spec.base import Frozen, NestedError
from tune.spec.errors import not_a_mapping


class Named(Frozen):
    """One of several kinds, each with options of its own.

    Attributes:
        earlier: Options of earlier versions, which files may still have, and their names today; None: it has no effect.
    """

    earlier: ClassVar[Mapping[str, str | None]] = {}

    name: str

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Any:
        """The specification in a mapping.

        Raises:
            NestedError: It is invalid.
        """
        renamed = {old: new for old, new in cls.earlier.items() if old in tree and new not in tree}
        kept = {renamed.get(key, key): value for key, value in tree.items() if renamed.get(key, key) is not None}
        try:
            return cls.model_validate(kept)
        except ValidationError as error:
            raise NestedError(cls, error) from None


N = TypeVar("N", bound=Named)


def by_name(kinds: Mapping[str, type[N]], default: str) -> BeforeValidator:
    """Reads a mapping as the specification that its `name` says."""

    def parse(value: Any) -> Any:
        if isinstance(value, Named):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(not_a_mapping(value, Named.model_fields))
        name = value.get("name", default)
        if isinstance(name, str) and name in kinds:
            return kinds[name].of(value)
        names: Any = Literal[tuple(kinds)]
        known = create_model("known", __base__=Frozen, name=(names, default))
        try:
            return known.model_validate({"name": name})
        except ValidationError as error:
            raise NestedError(known, error) from None

    return BeforeValidator(parse)


def without_foreign(kinds: Mapping[str, type[Named]], tree: Mapping[str, Any], given: Iterable[str]) -> dict[str, Any]:
    """The options of a file without those that the kind named there does not have, unless they are `given` now."""
    name = tree.get("name")
    if not isinstance(name, str) or name not in kinds:
        return dict(tree)
    known = {*kinds[name].model_fields, *kinds[name].earlier, *given}
    return {key: value for key, value in tree.items() if key in known}
