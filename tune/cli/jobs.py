"""`imagetune jobs`."""

from __future__ import annotations

from datetime import datetime

from tune.cli.options import Address, Json
from tune.cli.output import print_json, print_table

EXAMPLES = ("imagetune jobs --address http://10.0.0.5:8265",)


def jobs(address: Address = None, json: Json = False) -> None:
    """List the jobs of a Ray cluster, the newest first."""
    from tune.cluster.jobs import Jobs

    found = Jobs(address).all()
    if json:
        print_json({"jobs": [vars(job) for job in found]})
        return
    rows = [[job.id, job.search or "-", job.status, _time(job.started), _time(job.ended)] for job in found]
    print_table({"job": "name", "search": "name", "status": "name", "started": "name", "ended": "name"}, rows)


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"
