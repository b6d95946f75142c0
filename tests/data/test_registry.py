"""The table of data sets."""

from __future__ import annotations

import pytest

import data
from data import registry


def test_the_table_is_complete_and_consistent() -> None:
    assert registry.names() == ["digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "folder"]
    for name in registry.names()[:-1]:
        entry = registry.get(name)
        assert entry.input_shape is not None
        assert entry.classes is not None
        assert len(set(entry.classes)) == len(entry.classes) == (100 if name == "cifar100" else 10)
    assert (registry.get("folder").classes, registry.get("folder").input_shape) == (None, None)


def test_an_unknown_dataset_names_all_and_the_nearest() -> None:
    with pytest.raises(data.DataError, match=r"unknown data set 'cifar'; did you mean cifar"):
        registry.get("cifar")
    with pytest.raises(data.DataError) as caught:
        registry.get("imagenet-22k")
    assert "\n" not in str(caught.value)
