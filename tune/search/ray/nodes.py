"""The nodes of the cluster, and which of them have the search's images (`search.data`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from data.words import counted
from tune.errors import MOST, error_line
from tune.search.worker.images import SentImages, why_missing
from tune.spec.data_spec import DataSpec
from tune.spec.errors import Problem, SpecError
from tune.spec.search import SearchSpec

LABEL = "ray.io/node-id"
PATIENCE = 5.0  # seconds before a line says what is waited for

Amounts = Mapping[str, float]
"""Of resources, by Ray's names for them: CPU, GPU, and those that the cluster's owner has invented."""


@dataclass(frozen=True)
class Node:
    """A node of the cluster. `name`: as its owner has named it, else its host name."""

    id: str
    name: str
    address: str
    resources: Amounts

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"


def living_nodes() -> list[Node]:
    """The nodes that are alive."""
    import ray

    return [
        Node(row["NodeID"], node_name(row), row["NodeManagerAddress"], row["Resources"])
        for row in ray.nodes()  # type: ignore[no-untyped-call]
        if row["Alive"]
    ]


def placement() -> tuple[str, str]:
    """Where a worker runs: the name of its node, and the numbers of its GPUs there."""
    import ray

    gpus = ray.get_gpu_ids()
    return _own_node().name, ",".join(map(str, gpus))


def _own_node() -> Node:
    """The node that this process runs on."""
    import ray

    own = ray.get_runtime_context().get_node_id()
    return next(node for node in living_nodes() if node.id == own)


def node_name(row: Mapping[str, Any]) -> str:
    """The name of a row of `ray.nodes()`. Ray's default for it is the node's address, which says less than its host."""
    named: str = row["NodeName"]
    return named if named != row["NodeManagerAddress"] else row["NodeManagerHostname"]


class NodeImages:
    """Which nodes have the images: each is asked once, when it is first seen.

    Attributes:
        missing: The nodes without them, by id, and why.
        sent: The images, where Ray's object store takes them to the nodes.
    """

    def __init__(self, spec: SearchSpec, root: Path, digest: str, say: Callable[[str], None]) -> None:
        """Ask no node yet.

        Args:
            spec: The search.
            root: The data directory.
            digest: Of the identity of the images on this machine.
            say: Called with a line for each node that is left out.
        """
        self._how, self._spec = spec.search.data, spec.sample.data
        self._root, self._digest, self._say = root, digest, say
        self.sent = SentImages.read(self._spec, root) if self._how == "object_store" else None
        self.missing: dict[str, str] = {}
        # This process has opened the images where it runs; in the object store they need room there too.
        self._known = set() if self.sent else {_own_node().id}
        self._asked: dict[Any, Node] = {}

    def among(self, nodes: Iterable[Node], wait: bool = False) -> list[Node]:
        """Those of the nodes that have the images, as far as they have answered; asks those that are new."""
        nodes = list(nodes)
        for node in nodes:
            if node.id not in self._known:
                self._known.add(node.id)
                if self.sent is None:
                    self._asked[_ask(node, self._spec, str(self._root), self._digest, self._how == "node")] = node
                elif reason := too_small(node, self.sent.size):
                    self._leave_out(node, reason)
        self._take_answers(wait)
        return [node for node in nodes if self._has(node.id)]

    def has(self, node: str) -> bool:
        """Whether the node of this id has answered that it has them. Asks it where it is new, and looks for answers."""
        if not self._has(node):
            self.among(living_nodes())
        return self._has(node)

    def _has(self, node: str) -> bool:
        return node in self._known and node not in self._unusable()

    def _unusable(self) -> set[str]:
        return {*self.missing, *(node.id for node in self._asked.values())}

    def check(self, nodes: Iterable[Node]) -> None:
        """Wait for the answers of the nodes on which a trial fits.

        Raises:
            SpecError: None of them has the images.
        """
        nodes = list(nodes)
        if self.sent and (reason := too_small(_own_node(), self.sent.size)):
            raise SpecError([Problem("search.data", f"is {self._how}, but on this node {reason}")])
        if nodes and not self.among(nodes, wait=True):
            raise SpecError([Problem("search.data", _none_has(self._how, nodes, self.missing))])

    def selector(self) -> dict[str, Any]:
        """What keeps Ray's placement groups off the nodes without images and those that have not answered yet.

        Empty if there are none. What already waits for a place may still get one on a node that joins: see `has`.
        """
        if not (unusable := self._unusable()):
            return {}
        return {"bundle_label_selector": [{LABEL: f"!in({','.join(sorted(unusable))})"}]}

    def _take_answers(self, wait: bool) -> None:
        import ray

        told = False
        while self._asked:
            done, _ = ray.wait(list(self._asked), num_returns=len(self._asked), timeout=PATIENCE if wait else 0)
            for answer in done:
                node = self._asked.pop(answer)
                try:
                    reason = ray.get(answer)
                except ray.exceptions.RayError as error:
                    reason = f"asking it failed: {error_line(getattr(error, 'cause', None) or error)[:MOST]}"
                if reason:
                    self._leave_out(node, reason)
            if not wait or not self._asked:
                return
            if not told:
                self._say(f"waiting until {counted(len(self._asked), 'node')} of the cluster can read the images")
            told = True

    def _leave_out(self, node: Node, reason: str) -> None:
        self.missing[node.id] = reason
        self._say(f"node {node} runs no trials: {reason}")


def _ask(node: Node, spec: DataSpec, root: str, digest: str, download: bool) -> Any:
    """A task on the node that says why the images cannot be used there."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task: Any = ray.remote(cast(Any, why_missing))
    there = NodeAffinitySchedulingStrategy(node.id, soft=False)
    return task.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(
        spec, root, digest, download=download
    )


def too_small(node: Node, size: int) -> str:
    """Why images of so many bytes do not fit into a node's object store; empty if they do."""
    room = node.resources.get("object_store_memory", 0.0)
    if size <= room:
        return ""
    return (
        f"the images take {size / 1e6:,.0f} MB, its object store has {room / 1e6:,.0f} MB; start Ray there with "
        f"--object-store-memory={size * 5 // 4}, or use search.data=shared or node"
    )


def _none_has(how: str, nodes: list[Node], missing: Mapping[str, str]) -> str:
    """The message where no node has the images."""
    first = nodes[0]
    others = f", nor has {counted(len(nodes) - 1, 'other node')}" if len(nodes) > 1 else ""
    hint = "; with search.data=node each node downloads or prepares its own" * (how == "shared")
    return f"is {how}, but node {first} does not have the images{others}: {missing[first.id]}{hint}"
