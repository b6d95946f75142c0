"""The package is this repository's, its public names exist, and listing data sets is fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import data
from data import registry

REPOSITORY = Path(__file__).resolve().parents[2]


def test_import_data_is_ours() -> None:
    assert data.__file__ is not None
    assert Path(data.__file__).resolve() == REPOSITORY / "data" / "__init__.py"


def test_every_public_name_is_there() -> None:
    assert sorted(data.__all__) == list(data.__all__)
    assert all(getattr(data, name) is not None for name in data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = data.nonsense


def test_listing_datasets_does_not_wait_for_torch() -> None:
    code = "import data.registry, sys; print(data.registry.names(), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{registry.names()} False"


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
