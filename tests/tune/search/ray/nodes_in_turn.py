"""Searches on a cluster whose nodes come and go: `python -m tests.tune.search.ray.nodes_in_turn OUT`, in OUT.

One Ray for all that it shows, since each start takes seconds. A node finds the images in the folder that it was started
in; `bare` was started elsewhere. What has come of it is printed as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import chdir
from pathlib import Path
from typing import Any

import pandas as pd
from ray.cluster_utils import Cluster

from tests.tune.search.faults.outcome import assert_once, recorded
from tests.tune.search.faults.workers import Faulty, worker
from tune.errors import UserError
from tune.search.display import Lines
from tune.search.ledger import Ledger
from tune.search.ray import resources
from tune.search.ray.nodes import placement
from tune.search.ray.patch import without_dashboard
from tune.search.request import Request
from tune.search.runner import run_search
from tune.search.shutdown import Outcome

IMAGES = "/proc/self/cwd/images"
SPACE = f"""
experiment:
  data: {{name: folder, path: {IMAGES}, image_size: 8, validation_fraction: 0.2}}
  model: {{name: simple_cnn, conv_channels: [4]}}
  training: {{epochs: 3, batch_size: 8, threads: 1}}
space: {{training.optimizer.lr: {{float: [1e-4, 1e-1], log: true}}}}
search: {{trials: 8, scheduler: {{name: none}}, resources: {{gpu: 0}}}}
"""


class Meeting(Faulty):
    """Trains on when trials have begun on the nodes that are awaited: else the first would train them all."""

    def fault(self) -> None:
        folder, awaited = Path(self._job.folder), (Path(self._job.folder).parent / "awaited").read_text()
        (folder / f"on-{placement()[0]}").touch()
        deadline = time.monotonic() + 60
        while not all((folder / f"on-{node}").exists() for node in awaited.split()) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)


class Nodes:
    """A head with a CPU and nodes with one each."""

    def __init__(self, out: Path) -> None:
        self.out = out
        with without_dashboard():
            self.cluster = Cluster(initialize_head=True, head_node_args=self._of("head"))
        self.second: Any = self.add("second")
        (out / "elsewhere").mkdir()
        self.add_bare("bare", resources={"bare": 1})
        self.cluster.wait_for_nodes()

    def add(self, name: str, **options: Any) -> Any:
        with without_dashboard():
            return self.cluster.add_node(**self._of(name), **options)

    def add_bare(self, name: str, **options: Any) -> None:
        """A node without the images."""
        with chdir(self.out / "elsewhere"):
            self.add(name, **options)

    def _of(self, name: str) -> dict[str, Any]:
        return {"num_cpus": 1, "object_store_memory": 80 * 2**20, "node_name": name}

    def search(self, name: str, awaited: str, observer: Lines, *overrides: str) -> Outcome:
        (self.out / "awaited").write_text(awaited)
        request = Request("space.yaml", self.out, self.out / "data", overrides, name=name, address=self.cluster.address)
        return run_search(request, observer, worker(Meeting))


class Exchange(Lines):
    """Once a trial trains on each node, takes the second away, between two turns of the driver's, and adds two.

    The first is without images, and has room when the lost trial is put back. The second joins once that was said.
    """

    def __init__(self, nodes: Nodes) -> None:
        super().__init__()
        self._nodes = nodes

    def tick(self, search: Ledger) -> None:
        super().tick(search)
        nodes = self._nodes
        trained = {trial.facts.get("node") for trial in search.trials.values()}
        now = {search.trials[number].facts.get("node") for number in search.live}
        if nodes.second is not None and "head" in trained and "second" in now:
            (nodes.out / "awaited").write_text("head third")
            nodes.add_bare("late")
            nodes.cluster.remove_node(nodes.second, allow_graceful=False)
            nodes.second = None

    def say(self, text: str) -> None:
        super().say(text)
        if text.startswith("node late"):
            self._nodes.add("third")


def nodes_in(journal: Path) -> list[str]:
    """The nodes that trials have been on, as the journal has them."""
    lines = [json.loads(line) for line in journal.read_bytes().splitlines() if line.endswith(b"}")]
    return [line["user_attr"]["node"] for line in lines if "node" in line.get("user_attr", {})]


def main() -> None:
    """See above."""
    out = Path(sys.argv[1]).absolute()
    resources.EVERY = 1.0
    (out / "space.yaml").write_text(SPACE)
    nodes = Nodes(out)
    try:
        outcome = nodes.search("first", "head second", Exchange(nodes))
        assert_once(out / "first", 8)
        table = pd.read_parquet(outcome.folder.trials_table)
        seen: dict[str, Any] = {
            "state": outcome.state,
            "nodes": nodes_in(outcome.folder.journal),
            "last": table["node"].tolist(),
        }
        bare = "search.resources.custom.bare=1"
        sent = nodes.search("sent", "bare", Lines(), bare, "search.data=object_store", "search.trials=1")
        try:
            nodes.search("refused", "bare", Lines(), bare)
            refused = ""
        except UserError as error:
            refused = str(error)
    finally:
        nodes.cluster.shutdown()  # type: ignore[no-untyped-call]
    seen |= {"sent": nodes_in(sent.folder.journal), "refused": refused, "written": (out / "refused").exists()}
    print(json.dumps({**seen, "epochs": len(recorded(outcome.folder.journal))}), flush=True)


if __name__ == "__main__":
    main()
