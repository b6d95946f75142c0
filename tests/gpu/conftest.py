"""Tests that need a CUDA GPU: `make test-gpu`. Elsewhere they are collected and skipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and skip it without a GPU."""
    skip = None if torch.cuda.is_available() else pytest.mark.skip(reason="needs a CUDA GPU, and torch finds none here")
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("gpu")
            if skip is not None:
                item.add_marker(skip)
