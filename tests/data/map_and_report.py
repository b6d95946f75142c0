"""A process of its own for the test of shared memory: maps a prepared set, reads all of it, reports its memory.

Run as ``python map_and_report.py ROOT ORIGIN`` from the repository; answers one JSON line per line on stdin.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

from data import ImageSet, store
from data.store import Origin


def memory() -> dict[str, int]:
    """Bytes: this process's share of the map, pages of the map it has copied, and all memory that is its alone."""
    regions = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.M)
    mapped = "".join(region for region in regions if "images.npy" in region)
    return {
        "map_share": _total("Pss", mapped),
        "map_copied": _total("Private_Dirty", mapped) + _total("Anonymous", mapped),
        "own": _total("Anonymous", Path("/proc/self/smaps_rollup").read_text()),
    }


def _total(field: str, report: str) -> int:
    return 1024 * sum(map(int, re.findall(rf"^{field}:\s+(\d+) kB", report, re.M)))


def main() -> None:
    identity, facts = json.loads(sys.argv[2])
    mapped: ImageSet | None = None
    for line in sys.stdin:
        if line.strip() == "map":
            mapped = store.fetch(Origin("set", "train", identity, tuple(facts)), Path(sys.argv[1]), print)
            assert mapped is not None
            int(mapped.images.sum())
        print(json.dumps(memory()), flush=True)


if __name__ == "__main__":
    main()
