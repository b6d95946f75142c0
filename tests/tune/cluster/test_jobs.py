"""A search as a job on a cluster of two nodes: submitted, cancelled, submitted again, followed to its end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.tune.search.processes import Started

pytest.importorskip("aiohttp", reason="Ray's client for jobs is not installed: ray[default]")

from tests.tune.cluster.job_life import TOKEN

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What has come of the jobs of job_life.py."""
    folder = tmp_path_factory.mktemp("jobs")
    with Started(folder / "run", ("tests.tune.cluster.job_life",), (str(folder),), variables=TOKEN) as process:
        code, said = process.wait(230), process.said
    assert code == 0, said
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def test_a_job_is_cancelled_submitted_again_and_brought_to_its_end(life: dict[str, Any]) -> None:
    assert life["states"] == ["running", "stopped", "succeeded"]
    assert life["cancelled"]
    assert life["interrupted"] == "interrupted"  # an orderly stop
    assert life["finished"]["status"] == "finished"
    counts = life["finished"]["counts"]
    assert counts["completed"] == sum(counts.values()) >= 2


def test_its_log_is_followed_to_the_end(life: dict[str, Any]) -> None:
    assert "resumes after epoch" in life["log"]
    assert f"trained: {life['finished']['took']['epochs']:,} epochs" in life["log"]
    assert life["finished"]["took"]["epochs"] == 200 * life["finished"]["counts"]["completed"]


def test_its_figures_are_at_rays_prometheus_endpoint(life: dict[str, Any]) -> None:
    lines = life["figures"]
    assert all('search="own"' in line for line in lines)
    values = {(line.partition("{")[0], 'status="running"' in line): float(line.split()[-1]) for line in lines}
    assert values["ray_imagetune_epochs_total", False] > 0
    assert values["ray_imagetune_trials", True] >= 1
    assert 0 < values["ray_imagetune_best", False] < 3


def test_a_job_that_is_not_there(life: dict[str, Any]) -> None:
    code, said = life["missing"]
    assert code == 2
    assert "has no job nothing" in said


def test_a_client_without_the_token(life: dict[str, Any]) -> None:
    code, said = life["stranger"]
    assert code == 2
    assert "asks for a token" in said
