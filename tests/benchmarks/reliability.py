"""Every fault injected for real, and what happened: `results/reliability.csv`.

    python -m tests.benchmarks.reliability [--only NAME ...]

The same functions as the tests of tests/tune/search/faults call; a row is written only if all
that they assert held. Rows of other faults are kept. Takes about an hour on an idle machine with two cores; the full
disks and read-only folders need root, to mount small file systems.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.rows import circumstances, write_rows
from tests.tune.search.faults import clusters, disks, kills, searches, table
from tests.tune.search.faults.outcome import Row
from tests.tune.search.processes import finish


def scenarios() -> dict[str, Callable[[Path, Path], Row]]:
    """Name -> what is done in an empty folder, given that of an undisturbed search of the same space."""
    return {**_kills(), **_of_clusters(), **(table.MOUNTING if disks.can_mount() else {}), **table.FAULTS}


def _kills() -> dict[str, Callable[[Path, Path], Row]]:
    moments = kills.POINTS | kills.BEGINNINGS
    return {
        "again_and_again": partial(kills.again_and_again, seeds=range(12), wanted=60),
        **{f"again_and_again_{kind}": partial(kills.of_a_kind, kind=kind, wanted=15) for kind in kills.KINDS},
        **{f"at_{point}": partial(kills.at_a_point, point=point, moment=text) for point, text in moments.items()},
        "driver_alone": kills.driver_alone,
        "stale_worker": kills.stale_worker,
        **{
            f"{number.name}_{'group' if group else 'driver'}": partial(kills.by_signal, number=number, group=group)
            for number in kills.STOPPING
            for group in (False, True)
        },
        "workers_killed": kills.workers_killed,
    }


def _of_clusters() -> dict[str, Callable[[Path, Path], Row]]:
    return {f"cluster_{name}": partial(_alone, fault) for name, fault in clusters.FAULTS.items()}


def _alone(fault: Callable[[Path], Row], out: Path, quiet: Path) -> Row:
    """A fault whose search is compared with no other."""
    return fault(out)


def undisturbed(out: Path) -> dict[str, Path]:
    """A search of either space that runs in peace."""
    finish(out, "digits")
    finish(out, "tiny", space=searches.tiny(out))
    return {name: out / name for name in ("digits", "tiny")}


def row_of(row: Row) -> dict[str, Any]:
    """As it stands in the file."""
    return {
        "fault": row.fault,
        "how injected": row.injected,
        "what happened": row.happened,
        "exit code": "" if row.exit_code is None else int(row.exit_code),
        "lost": row.lost,
        "seconds": round(row.seconds, 1),
        **circumstances(),
    }


def main() -> int:
    """Run them one after the other; the number of those that did not go as asserted."""
    every = scenarios()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(every), default=list(every), metavar="NAME")
    failed = 0
    chosen = parser.parse_args().only
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        out = Path(folder)
        compared = set(chosen) - set(_of_clusters())
        quiet = undisturbed(out) if compared else {"digits": out, "tiny": out}
        for name in chosen:
            try:
                row = every[name](out / name.replace(":", "-"), quiet["digits" if name in _kills() else "tiny"])
            except Exception:
                failed += 1
                print(f"{name}: NOT as asserted\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            else:
                write_rows("reliability", [row_of(row)], key="fault")
                print(f"{name}: {row.happened} ({row.seconds:.0f} s)", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
