"""What each trial reserves, and how many such trials the nodes of the cluster hold, now and later."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tune.search.ray.nodes import Amounts, Node, living_nodes
from tune.spec.errors import Problem, SpecError
from tune.spec.search_settings import ResourcesSpec, SearchSettings

AUTO_GPU = 0.5  # two trials a GPU, as published for the classifier
EVERY = 5.0  # seconds between two looks at the nodes


@dataclass
class TrialResources:
    """What each trial reserves, and how many such trials the nodes hold at once.

    Attributes:
        cpu: CPU cores.
        gpu: GPUs, or a share of one.
        others: The other resources, an accelerator's type among them.
        grows: Whether the cluster's autoscaler may add a node that holds a trial.
        slots: How many trials the nodes held when they were last looked at.
        usable: Of the nodes that hold a trial, those on which it may run.
    """

    cpu: float
    gpu: float
    others: Amounts = field(default_factory=dict)
    grows: bool = False
    slots: int = 0
    usable: Callable[[list[Node]], list[Node]] = list
    _looked: float = 0.0

    @property
    def amounts(self) -> Amounts:
        """All that a trial reserves."""
        return {"CPU": self.cpu, "GPU": self.gpu, **self.others}

    def at_once(self, wanted: int | None) -> int:
        """How many trials run at once: as many as wanted, as far as they fit."""
        return min(wanted or self.slots, self.slots)

    def room_for(self, live: int) -> bool:
        """Whether one more trial may be started beside those that are live.

        Nodes that have joined count, and those that are gone do not. Where the cluster grows by demand, one trial more
        is started than fits: it is the demand.
        """
        if time.monotonic() - self._looked >= EVERY:
            self._looked = time.monotonic()
            self.look()
        return live < self.slots + self.grows

    def look(self) -> None:
        """Count the trials that the nodes hold now."""
        self.slots = _held(self.amounts, [node.resources for node in self.usable(self.holding())])

    def holding(self) -> list[Node]:
        """The nodes on which a trial fits."""
        return [node for node in living_nodes() if _held(self.amounts, [node.resources])]

    def described(self, settings: SearchSettings) -> str:
        """What a trial reserves and how many run at once, as a line for the user."""
        others = "".join(f", {amount:g} {name}" for name, amount in self.others.items())
        auto = " (gpu: auto)" if settings.resources.gpu == "auto" else ""
        now = (
            f"{self.at_once(settings.concurrent)} at once"
            if self.slots
            else "waiting until the cluster's autoscaler adds a node that has it"
        )
        return f"each trial reserves {self.cpu:g} CPU and {self.gpu:g} GPU{others}{auto}; {now}"


def trial_resources(spec: ResourcesSpec) -> TrialResources:
    """What a trial reserves, `auto` resolved, on the Ray we are connected to.

    Raises:
        SpecError: no node has as much, and none that the autoscaler may add; names the largest.
    """
    nodes, kinds = [node.resources for node in living_nodes()], _kinds()
    most_gpu = max((node.get("GPU", 0.0) for node in [*nodes, *kinds]), default=0.0)
    gpu = (AUTO_GPU if most_gpu else 0.0) if spec.gpu == "auto" else float(spec.gpu)
    others = dict(spec.custom)
    if spec.accelerator_type is not None:
        others[f"accelerator_type:{spec.accelerator_type}"] = 0.001  # as Ray marks a node with it
    found = TrialResources(spec.cpu, gpu, others)
    found.slots, found.grows = _held(found.amounts, nodes), _held(found.amounts, kinds) > 0
    if not found.slots and not found.grows:
        raise SpecError(_problems(found.amounts, [*nodes, *kinds]))
    return found


def _kinds() -> list[Amounts]:
    """What each kind of node has that the cluster's autoscaler may add; none without an autoscaler."""
    from ray._private.state import state

    config = state.get_cluster_config()
    groups = config.node_group_configs if config is not None else ()
    return [{name: float(amount) for name, amount in group.resources.items()} for group in groups if group.max_count]


def _held(wanted: Amounts, nodes: list[Amounts]) -> int:
    """How many trials the nodes hold, all together."""
    asked = {name: amount for name, amount in wanted.items() if amount}
    return sum(
        min((int(node.get(name, 0.0) / amount + 1e-9) for name, amount in asked.items()), default=sys.maxsize)
        for node in nodes
    )


def _problems(wanted: Amounts, nodes: list[Amounts]) -> list[Problem]:
    """Why no node holds a trial: what no node has as much of, else that no node has all of it."""
    most = {name: max((float(node.get(name, 0.0)) for node in nodes), default=0.0) for name in wanted}
    short = [name for name, amount in wanted.items() if amount > most[name]]
    return [
        Problem(
            f"search.resources.{_field(name)}",
            f"must be at most {most[name]:g}, all that a node has (got {wanted[name]:g})"
            if not name.startswith("accelerator_type:")
            else f"no node of the cluster has the accelerator {name.partition(':')[2]}",
        )
        for name in short or [name for name, amount in wanted.items() if amount]
    ]


def _field(name: str) -> str:
    if name.startswith("accelerator_type:"):
        return "accelerator_type"
    return name.lower() if name in ("CPU", "GPU") else f"custom.{name}"
