"""Shared by all tests."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the machine's cores belong to the workers


@pytest.fixture(autouse=True, scope="session")
def quiet_optuna() -> None:
    """Optuna's log lines are not the tests' subject."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
