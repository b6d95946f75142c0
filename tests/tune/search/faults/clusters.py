"""Ways to lose parts of a cluster of two nodes under a real search; every one returns a row of the reliability table.

A row's seconds are those from the loss until what was lost trained again, and recorded a new epoch.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from PIL import Image
from ray.cluster_utils import Cluster

from tests.tune.search.faults.injections import INJECT
from tests.tune.search.faults.outcome import Row, assert_once, left_by, recorded
from tests.tune.search.processes import Started, start
from tests.tune.search.ray.nodes_in_turn import SPACE
from tune.record.folder import SearchFolder
from tune.record.opening import read_search
from tune.record.status import Status
from tune.search.ray.patch import without_dashboard

LINGERING = (INJECT, "worker:lingering")
TRIALS = 8
SETTINGS = ("search.concurrent=2", "training.epochs=6", "search.scheduler.max_t=6", f"search.trials={TRIALS}")
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
NOTHING = "no recorded epoch; the epoch in training is trained again"


class TwoNodes:
    """A head and a second node, with a CPU each."""

    def __init__(self, folder: Path | None = None, variables: dict[str, str] | None = None) -> None:
        """`folder` and `variables`: the working folder and further environment variables of the second."""
        with without_dashboard():
            self.cluster = Cluster(initialize_head=True, head_node_args=_of("head"))
            with chdir(folder or "."), mock.patch.dict(os.environ, variables or {}):
                self.second: Any = self.cluster.add_node(**_of("second"))
        self.cluster.wait_for_nodes()

    def worker(self) -> int:
        """The process that trains on the second node."""
        (raylet,) = self.second.all_processes["raylet"]
        (found,) = (pid for pid, title in _children(raylet.process.pid) if "Trainable" in title)
        return found


def _of(name: str) -> dict[str, Any]:
    return {"num_cpus": 1, "object_store_memory": 80 * 2**20, "node_name": name}


def _children(parent: int) -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                yield int(entry.name), (entry / "cmdline").read_text()
        except OSError:
            continue


@contextmanager
def two_nodes(*arguments: Any) -> Iterator[TwoNodes]:
    """A cluster for a while."""
    nodes = TwoNodes(*arguments)
    try:
        yield nodes
    finally:
        nodes.cluster.shutdown()  # type: ignore[no-untyped-call]


def begin(out: Path, nodes: TwoNodes) -> Started:
    """The search on the cluster, begun or resumed."""
    return start(out, "search", *SETTINGS, "--address", nodes.cluster.address, module=LINGERING)


class Lost(NamedTuple):
    """Trial `number`, which had recorded so many `epochs` when it lost its worker."""

    number: int
    epochs: int
    at: float

    def left(self, search: Started) -> Lost:
        """The same once the search has ended: it may have recorded epochs until then."""
        return self._replace(epochs=_epochs(search.folder, self.number))

    def again(self, search: Started) -> float:
        """Wait until it has trained another epoch; the seconds that took. It lost no epoch that was recorded."""
        assert search.until(lambda: _epochs(search.folder, self.number) > self.epochs), search.said
        seconds = time.monotonic() - self.at
        resumed = [int(epoch) for epoch in re.findall(rf"trial {self.number} resumes after epoch (\d+)", search.said)]
        assert resumed, search.said
        assert resumed[0] >= self.epochs
        return seconds


def _epochs(folder: Path, number: int) -> int:
    return sum(trial == number for trial, _ in recorded(folder / "study.journal"))


def trained_on_both(search: Started) -> Lost:
    """Wait until a trial trains on each node; that of the second."""
    found: list[int] = []

    def both() -> bool:
        if not (search.folder / "study.journal").is_file():
            return False
        running = [one for one in read_search(SearchFolder(search.folder)).trials if one.status is Status.RUNNING]
        found[:] = [one.number for one in running if one.facts.get("node") == "second"]
        return bool(found) and any(one.facts.get("node") == "head" for one in running)

    assert search.until(both), search.said
    return Lost(found[0], _epochs(search.folder, found[0]), time.monotonic())


def to_its_end(search: Started) -> None:
    """Let the search finish: every trial once, every epoch once."""
    assert search.wait(240) == 0, search.said
    assert_once(search.folder, TRIALS)


def worker_lost(out: Path) -> Row:
    """The process that trains on the second node is killed."""
    with two_nodes() as nodes, begin(out, nodes) as search:
        lost = trained_on_both(search)
        os.kill(nodes.worker(), signal.SIGKILL)
        seconds = lost.again(search)
        to_its_end(search)
    return _row("cluster: a worker process", "SIGKILL to the worker on a second node", seconds, 0)


def node_lost(out: Path) -> Row:
    """All processes of the second node go at once."""
    with two_nodes() as nodes, begin(out, nodes) as search:
        lost = trained_on_both(search)
        nodes.cluster.remove_node(nodes.second, allow_graceful=False)
        seconds = lost.again(search)
        to_its_end(search)
    return _row("cluster: a worker node", "remove_node(allow_graceful=False), one of two", seconds, 0)


def driver_lost(out: Path) -> Row:
    """The driver is killed, the cluster lives; the search is resumed at once."""
    with two_nodes() as nodes:
        with begin(out, nodes) as search:
            lost = trained_on_both(search)
            search.kill(signal.SIGKILL)
            search.wait(10)
            lost = lost.left(search)
        with begin(out, nodes) as search:
            seconds = lost.again(search)
            to_its_end(search)
    return _row("cluster: the driver", "SIGKILL to the driver, then --resume", seconds, -signal.SIGKILL)


def head_lost(out: Path) -> Row:
    """The head goes; the search ends with a line, and is resumed on a new cluster."""
    with two_nodes() as nodes, begin(out, nodes) as search:
        lost = trained_on_both(search)
        head: Any = nodes.cluster.head_node
        nodes.cluster.remove_node(head, allow_graceful=False)
        code = search.wait(60)
        ended = time.monotonic() - lost.at
        assert "is gone" in search.said, search.said
        assert "Traceback" not in search.said, search.said
        lost = lost.left(search)
    with two_nodes() as nodes, begin(out, nodes) as search:
        seconds = lost.again(search)
        to_its_end(search)
    row = _row("cluster: the head", "remove_node of the head, then --resume on a new cluster", seconds, code)
    return dataclasses.replace(row, happened=f"ended with a line after {ended:.1f} s; {row.happened}")


def node_without_images(out: Path) -> Row:
    """The second node sees no images."""
    (out / "elsewhere").mkdir(parents=True)
    for label in ("red", "blue"):
        (out / "images" / label).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (8, 8), (99, number, 200 * (label == "red"))).save(
                out / "images" / label / f"{number}.png"
            )
    (out / "space.yaml").write_text(SPACE)
    began = time.monotonic()
    with chdir(out), two_nodes(out / "elsewhere") as nodes:
        words = ("--address", nodes.cluster.address, "--data-dir", str(out / "data"))
        with start(out, "search", *words, space=out / "space.yaml", module=LINGERING) as search:
            assert search.wait(240) == 0, search.said
    said = search.said
    assert said.index("node second (") < said.index("trial 0")
    assert set(left_by(search.folder).trials["node"]) == {"head"}
    happened = "named before the first trial, and no trial ran there; the search finished on the other"
    return Row("cluster: a node without the images", "no such folder there", happened, 0, "nothing", _since(began))


def clock_wrong(out: Path) -> Row:
    """All clocks of the second node's processes are an hour ahead, and its worker is killed as well."""
    ahead = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+1h"}
    with two_nodes(None, ahead) as nodes, begin(out, nodes) as search:
        lost = trained_on_both(search)
        os.kill(nodes.worker(), signal.SIGKILL)
        seconds = lost.again(search)
        to_its_end(search)
    return _row("cluster: a node whose clock is an hour ahead", "libfaketime; SIGKILL to its worker", seconds, 0)


def _row(fault: str, injected: str, seconds: float, code: int) -> Row:
    return Row(fault, injected, f"the trial trained again after {seconds:.1f} s", code, NOTHING, seconds)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


FAULTS = {
    fault.__name__: fault
    for fault in (
        worker_lost,
        node_lost,
        driver_lost,
        head_lost,
        node_without_images,
        *((clock_wrong,) if FAKETIME else ()),
    )
}
