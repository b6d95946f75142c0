"""Shared by all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import IO

import pytest
from hypothesis import settings
from matplotlib.figure import Figure
from PIL import Image

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the machine's cores belong to the workers
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 would let them wait for the tests beside them

# Programs that tests start would inherit it from `nohup`, and ignore the signal that is to end them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

SAVEFIG = Figure.savefig

settings.register_profile("busy machine", deadline=None)  # every test has a timeout already
settings.load_profile("busy machine")


@pytest.fixture(autouse=True, scope="session")
def quiet_optuna() -> None:
    """Optuna's log lines are not the tests' subject."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture(autouse=True, scope="session")
def no_fsync() -> Iterator[None]:
    """Nothing here cuts the power, and a killed process loses no file's content: waiting for the disk shows nothing.

    It is two thirds of the time that simulated searches take.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def undrawn() -> Iterator[None]:
    """Figures are put together, but what is saved of them is an empty picture of their size.

    Drawing the figures of an evaluation takes two seconds, the evaluation itself a tenth of one. What looks at
    pictures asks for `drawn`.
    """

    def savefig(figure: Figure, file: IO[bytes], format: str) -> None:
        width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
        Image.new("RGB", (width, height), "white").save(file, format)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test, figures are drawn as they are outside of tests."""
    monkeypatch.setattr(Figure, "savefig", SAVEFIG)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray with two CPUs and two GPUs that are none: what is scheduled on them runs on the CPU."""
    from tune.search.ray.cluster import connected

    with connected(num_cpus=2, num_gpus=2):
        yield


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist puts the groups into the tests' names
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--dist loadgroup`, searches on Ray follow each other: they compete for the cores as it is."""
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group("ray"))
