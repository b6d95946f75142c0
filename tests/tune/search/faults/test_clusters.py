"""Parts of a cluster that are lost while trials run; the short version, for CI, is in tests/tune/search/ray/test_nodes.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tune.search.faults import clusters

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", clusters.FAULTS)
def test_what_a_cluster_loses_costs_an_epoch_at_most(tmp_path: Path, name: str) -> None:
    clusters.FAULTS[name](tmp_path / "out")
