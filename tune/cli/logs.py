"""`imagetune logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from tune.cli.options import Address, JobId, Json
from tune.cli.output import print_json

EXAMPLES = ("imagetune logs digits-3f9a2c", "imagetune logs digits-3f9a2c -f")


def logs(
    id: JobId,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Follow the output until the job ends.")] = False,
    address: Address = None,
    json: Json = False,
) -> None:
    """Show what a job has printed. The exit code is 1 if the job has failed."""
    from tune.cluster.jobs import Jobs

    found, texts = Jobs(address), []
    for text in found.follow(id) if follow else [found.logs(id)]:
        if json:
            texts.append(text)
        else:
            print(text, end="", flush=True)
    job = found.job(id)
    if json:
        print_json({"job": id, "status": job.status, "log": "".join(texts)})
    if job.status == "failed":
        raise typer.Exit(1)
