"""A search on several nodes: trials on each, nodes that go and come, and nodes without the images."""

from __future__ import annotations

import json
from typing import Any

import pytest
from PIL import Image

from tests.tune.search.processes import Started
from tests.tune.search.ray.nodes_in_turn import IMAGES
from tune.search.ray.nodes import Node, node_name, too_small

NODE = Node("0a", "worker-3", "10.0.0.7", {"CPU": 4.0, "object_store_memory": 200e6})


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What has come of the searches of nodes_in_turn.py, and all that they said."""
    out = tmp_path_factory.mktemp("nodes")
    for label, colour in enumerate(("red", "blue")):
        (out / "images" / colour).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (8, 8), (200 * label, number, 99)).save(out / "images" / colour / f"{number}.png")
    with Started(out / "run", ("tests.tune.search.ray.nodes_in_turn",), (str(out),)) as search:
        code, said = search.wait(230), search.said
    assert code == 0, said
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return {**found, "said": said}


@pytest.mark.ray
@pytest.mark.timeout(240)
class TestNodesThatComeAndGo:
    """One cluster for all of these."""

    def test_trials_run_on_every_node_also_on_one_that_joins(self, seen: dict[str, Any]) -> None:
        assert set(seen["nodes"]) == {"head", "second", "third"}
        assert set(seen["last"]) <= set(seen["nodes"])

    def test_a_lost_node_costs_no_trial_and_no_recorded_epoch(self, seen: dict[str, Any]) -> None:
        assert seen["state"] == "finished"
        assert seen["epochs"] == 8 * 3
        assert "resuming from its last checkpoint" in seen["said"]

    def test_a_node_without_the_images_is_named_and_left_out(self, seen: dict[str, Any]) -> None:
        lines = [line.partition("]")[2] for line in seen["said"].splitlines() if "runs no trials" in line]
        named = [line.split()[1] for line in lines]
        assert named == ["bare", "late", "bare"]  # in the first search, and in the one that is refused
        assert all(IMAGES in line for line in lines)
        assert "trying again" not in seen["said"]  # no trial has tried to train there

    def test_where_no_node_has_them_the_search_is_refused(self, seen: dict[str, Any]) -> None:
        assert seen["refused"].startswith("search.data: is shared, but node bare (")
        assert IMAGES in seen["refused"]
        assert len(seen["refused"].splitlines()) == 1
        assert not seen["written"]

    def test_the_object_store_takes_them_there(self, seen: dict[str, Any]) -> None:
        assert set(seen["sent"]) == {"bare"}


def test_images_that_do_not_fit_are_refused_with_figures() -> None:
    assert too_small(NODE, 200_000_000) == ""
    why = too_small(NODE, 1_840_000_000)
    assert "the images take 1,840 MB, its object store has 200 MB" in why
    assert "--object-store-memory=2300000000" in why


@pytest.mark.parametrize(("given", "shown"), [("10.0.0.7", "gpu-box"), ("worker-3", "worker-3")])
def test_the_name_of_a_node(given: str, shown: str) -> None:
    row = {"NodeName": given, "NodeManagerAddress": "10.0.0.7", "NodeManagerHostname": "gpu-box"}
    assert node_name(row) == shown
