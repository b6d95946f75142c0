"""Faults injected for real: a full disk, a read-only folder, damaged files, trials that go wrong. See table.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tune.search.faults import disks, searches, table
from tests.tune.search.processes import finish

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny search that nobody disturbed."""
    out = tmp_path_factory.mktemp("quiet")
    finish(out, "quiet", space=searches.tiny(out))
    return out / "quiet"


@pytest.mark.skipif(not disks.can_mount(), reason="mounting a small file system needs root")
@pytest.mark.parametrize("name", table.MOUNTING)
def test_a_disk_that_takes_no_more_costs_nothing(tmp_path: Path, quiet: Path, name: str) -> None:
    table.MOUNTING[name](tmp_path, quiet)


@pytest.mark.parametrize("name", table.FAULTS)
def test_a_fault_costs_nothing_but_itself(tmp_path: Path, quiet: Path, name: str) -> None:
    table.FAULTS[name](tmp_path, quiet)
