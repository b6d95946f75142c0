"""`imagetune logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from tune.cli.options import Address, JobId

EXAMPLES = ("imagetune logs digits-3f9a2c", "imagetune logs digits-3f9a2c -f")


def logs(
    id: JobId,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the job ends.")] = False,
    address: Address = None,
) -> None:
    """Show what a job has printed. The exit code is 1 if the job has failed."""
    from tune.cluster.jobs import Jobs

    found = Jobs(address)
    for text in found.follow(id) if follow else [found.logs(id)]:
        print(text, end="", flush=True)
    job = found.job(id)
    if job.status == "failed":
        raise typer.Exit(1)
