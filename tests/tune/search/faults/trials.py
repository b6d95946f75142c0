"""Trials that go wrong: divergence, bugs, want of memory, hangs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.tune.search.faults.outcome import Row
from tests.tune.search.faults.searches import TINY, begin, ended, statuses


def diverging(out: Path, quiet: Path) -> Row:
    """The first trial's learning rate is absurd."""
    text = TINY.replace("[1e-3, 1]", "[1e-3, 1e30]") + (
        "first: [{training.optimizer.lr: 1.0e+30, training.optimizer.momentum: 0.5}]\n"
    )
    with begin(out, text=text) as search:
        _, seconds = ended(search)
    found = statuses(out / "s")
    assert found[0] == "diverged"
    assert len(found) == 5
    table = pd.read_parquet(out / "s" / "trials.parquet").set_index("trial")
    assert table.loc[0, "epochs"] == 1
    happened = "the trial ended as diverged in its first epoch, the sampler was told, the search finished"
    return Row("NaN", "a learning rate of 1e30", happened, 0, "nothing", seconds)


def bug_in_a_trial(out: Path, quiet: Path) -> Row:
    """One trial raises, whenever it is tried."""
    with begin(out, fault="worker:buggy") as search:
        said, seconds = ended(search)
    assert "trying again" in said, said
    assert statuses(out / "s")[1] == "failed"
    assert list(statuses(out / "s").values()).count("failed") == 1
    assert "KeyError: 'a bug of the trial'" in (out / "s" / "study.journal").read_text()
    happened = "tried again, then failed with its last lines kept; the search finished"
    return Row("an exception in a trial", "KeyError in trial 1", happened, 0, "nothing", seconds)


def bug_in_every_trial(out: Path, quiet: Path) -> Row:
    """Every trial raises: that is not the trials' fault."""
    with begin(out, "search.failures.consecutive=3", fault="worker:broken") as search:
        said, seconds = ended(search, 1)
    assert "the first 3 trials failed: KeyError: 'a bug of every trial'" in said, said
    happened = "ended with that error after the third trial"
    return Row("exceptions from the start", "KeyError in every trial", happened, 1, "nothing", seconds)


def out_of_address_space(out: Path, quiet: Path) -> Row:
    """A model larger than the memory that the host grants a worker."""
    text = TINY.replace("cnn_layers: 2, ", "cnn_layers: 3, ").replace(
        "  training.optimizer.momentum: {float: [0.1, 0.9]}", "  model.final_channels: {choice: [24, 32, 12000]}"
    )
    text = text.replace(", final_channels: 24", "") + (
        "first: [{training.optimizer.lr: 0.1, model.final_channels: 12000}]\n"
    )
    with begin(out, text=text, fault="worker:starved") as search:
        said, seconds = ended(search)
    found = statuses(out / "s")
    assert found[0] == "out_of_memory", said
    assert "trying" not in said, said
    assert "failed" not in found.values(), said  # the next trials have a new process
    assert {"completed", "stopped"} & set(found.values())
    happened = "the trial ended as out_of_memory, was not tried again, the sampler was told, the search finished"
    return Row("host out of memory, allocation refused", "RLIMIT_AS on the worker", happened, 0, "nothing", seconds)


def out_of_host_memory(out: Path, quiet: Path) -> Row:
    """A trial takes so much memory that Ray kills it for the host's sake."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    memory = {name: int(kilobytes) for name, kilobytes, *_ in lines}
    threshold = 1 - (memory["MemAvailable:"] - 3 * 2**20) / memory["MemTotal:"]
    variables = {"RAY_memory_usage_threshold": f"{threshold:.3f}", "RAY_memory_monitor_refresh_ms": "100"}
    with begin(out, fault="worker:hungry", variables=variables) as search:
        said, seconds = ended(search, seconds=180)
    found = statuses(out / "s")
    assert found[1] == "out_of_memory", said
    assert "trial 1 out_of_memory: OutOfMemoryError: 1 worker(s) were killed" in said
    assert list(found.values()).count("out_of_memory") == 1
    happened = "Ray killed the worker; out_of_memory, not tried again, the sampler was told, the search finished"
    return Row("host out of memory, worker killed", "Ray's memory monitor at a limit", happened, 0, "nothing", seconds)


def hung_trial(out: Path, quiet: Path) -> Row:
    """A trial that never ends its second epoch."""
    with begin(out, "search.epoch_timeout=8", fault="worker:sleepy") as search:
        _, seconds = ended(search)
    table = pd.read_parquet(out / "s" / "trials.parquet").set_index("trial")
    assert (table.loc[1, "status"], table.loc[1, "reason"]) == ("failed", "hung")
    happened = "ended as failed (hung) after search.epoch_timeout; the search finished"
    return Row("a hung trial", "a sleep of a day in an epoch", happened, 0, "nothing", seconds)
