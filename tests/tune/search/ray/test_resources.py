"""How many trials the nodes of a cluster hold, when nodes come and go, and what no node can ever hold."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from tune.search.ray import resources
from tune.search.ray.nodes import Node
from tune.search.ray.resources import TrialResources, trial_resources
from tune.spec.errors import SpecError
from tune.spec.search_settings import ResourcesSpec, SearchSettings

Nodes = list[Mapping[str, float]]


class Cluster:
    """Nodes, and the kinds of nodes that an autoscaler may add."""

    def __init__(self, nodes: Nodes, kinds: Nodes) -> None:
        self.nodes, self.kinds, self.time = nodes, kinds, 100.0

    def living(self) -> list[Node]:
        return [Node(str(at), f"n{at}", "127.0.0.1", amounts) for at, amounts in enumerate(self.nodes)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster([{"CPU": 4.0}], [])
    monkeypatch.setattr(resources, "living_nodes", made.living)
    monkeypatch.setattr(resources, "_kinds", lambda: made.kinds)
    monkeypatch.setattr("time.monotonic", lambda: made.time)
    return made


def most(found: TrialResources) -> int:
    """How many trials are live when no more is started."""
    live = 0
    while found.room_for(live):
        live += 1
    return live


def test_nodes_that_join_are_used_and_those_that_are_lost_are_not_waited_for(cluster: Cluster) -> None:
    found = trial_resources(ResourcesSpec(cpu=2))
    assert most(found) == 2
    cluster.nodes.append({"CPU": 5.0})
    cluster.time += 10
    assert most(found) == 4
    del cluster.nodes[0]
    cluster.time += 10
    assert most(found) == 2
    assert not found.room_for(3)


def test_a_share_of_a_gpu_and_other_resources(cluster: Cluster) -> None:
    cluster.nodes = [{"CPU": 64.0, "GPU": 2.0, "accelerator_type:H100": 1.0, "licence": 3.0}, {"CPU": 64.0, "GPU": 8.0}]
    assert most(trial_resources(ResourcesSpec(gpu=0.1))) == 20 + 64
    assert most(trial_resources(ResourcesSpec(gpu=0.25, accelerator_type="H100"))) == 8
    assert most(trial_resources(ResourcesSpec(gpu=0, custom={"licence": 1}))) == 3


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (ResourcesSpec(cpu=5), "search.resources.cpu: must be at most 4, all that a node has"),
        (ResourcesSpec(gpu=1), "search.resources.gpu: must be at most 0, all that a node has"),
        (ResourcesSpec(accelerator_type="H100"), "search.resources.accelerator_type: no node of the cluster has"),
        (ResourcesSpec(custom={"licence": 1}), "search.resources.custom.licence: must be at most 0"),
    ],
)
def test_what_no_node_has_is_refused(cluster: Cluster, spec: ResourcesSpec, text: str) -> None:
    with pytest.raises(SpecError, match=text.replace(".", r"\.")):
        trial_resources(spec)


def test_a_node_that_the_autoscaler_may_add_is_waited_for(cluster: Cluster) -> None:
    cluster.kinds = [{"CPU": 16.0, "GPU": 1.0}]
    found = trial_resources(ResourcesSpec())
    assert (found.gpu, found.slots) == (0.5, 0)
    assert "0.5 GPU (gpu: auto); waiting until the cluster's autoscaler adds a node" in found.described(
        SearchSettings()
    )
    assert most(found) == 1  # the demand for which the node is added
    cluster.nodes.append({"CPU": 16.0, "GPU": 1.0})
    cluster.time += 10
    assert most(found) == 2 + 1


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_trials_share_the_cores_with_other_programs_as_equals() -> None:
    """With Ray's niceness of 15, two busy programs on two cores made a search take eight times as long."""
    import ray

    niceness = ray.remote(lambda: os.getpriority(os.PRIO_PROCESS, 0))
    assert ray.get(niceness.remote()) == os.getpriority(os.PRIO_PROCESS, 0)
