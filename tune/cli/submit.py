"""`imagetune submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tune.cli.options import Address, DataDir, Json, Overrides, Study, complete_file, place
from tune.cli.output import print_json

EXAMPLES = (
    "imagetune submit digits --address http://10.0.0.5:8265 --out /shared/searches --data-dir /shared/data",
    "imagetune submit own.yaml --name first --out /shared/searches --print slurm > first.sh",
)


def submit(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE", help="The name of a shipped space or a YAML file.", autocompletion=complete_file
        ),
    ],
    overrides: Overrides = None,
    address: Address = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the search and its folder. Default: the space's name."),
    ] = None,
    study: Study = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            parser=place,
            help="The folder for searches, which every node sees at this path; also s3://BUCKET/FOLDER.",
        ),
    ] = Path("checkpoints"),
    data_dir: DataDir = None,
    manifest: Annotated[
        Literal["kuberay", "slurm", "launcher", "docker"] | None,
        typer.Option("--print", help="Print a file that starts a cluster for this search instead of submitting it."),
    ] = None,
    json: Json = False,
) -> None:
    """Run a search as a job on a Ray cluster. A search that exists is resumed.

    imagetune's code and the YAML file travel with the job; torch and the other packages must be installed on the nodes.
    """
    from tune.cluster.jobs import Jobs
    from tune.cluster.manifests import manifest as rendered
    from tune.cluster.request import job_request

    request = job_request(space, overrides or (), name=name, out=out, data_dir=data_dir, study=study)
    if manifest is not None:
        text = rendered(manifest, request)
        if json:
            print_json({"search": request.name, "print": manifest, "text": text})
        else:
            print(text, end="")
        return
    submitted = Jobs(address).submit(request)
    if json:
        print_json({"job": submitted, "search": request.name})
    else:
        print(f"{submitted}: submitted")
