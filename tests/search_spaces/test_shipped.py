"""What is shipped."""

from __future__ import annotations

from pathlib import Path

import search_spaces


def test_what_is_shipped() -> None:
    found = search_spaces.shipped()
    assert {"cifar10_classifier", "cifar10_classifier_wide", "digits", "mnist_simple"} <= set(found)
    files = [*Path(search_spaces.__file__).parent.rglob("*.yaml")]
    assert sorted(files) == sorted(found.values()), "two files of one name, or one that is not found"
