"""What a process sets for itself."""

from __future__ import annotations

import gc

import pytest

from tune.environment import no_garbage_collection


@no_garbage_collection()
def _fail() -> None:
    with no_garbage_collection():
        pass
    assert not gc.isenabled()
    raise ValueError("damaged")


def test_garbage_is_collected_again_afterwards_whatever_happened() -> None:
    with pytest.raises(ValueError, match="damaged"):
        _fail()
    assert gc.isenabled()
