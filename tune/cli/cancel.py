"""`imagetune cancel`."""

from __future__ import annotations

from tune.cli.options import Address, JobId, Json
from tune.cli.output import print_json

EXAMPLES = ("imagetune cancel digits-3f9a2c",)


def cancel(id: JobId, address: Address = None, json: Json = False) -> None:
    """Stop a job. Its search ends within seconds with everything saved, and submitting it again continues it."""
    from tune.cluster.jobs import STOPPING, Jobs

    found = Jobs(address)
    stopped = found.cancel(id)
    job = found.job(id)
    if json:
        print_json({"job": id, "cancelled": stopped, "status": job.status})
    elif stopped:
        print(f"{id}: asked to stop; it has {STOPPING} s to save everything")
    else:
        print(f"{id}: has already ended ({job.status})")
