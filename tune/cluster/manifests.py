"""Files that start a cluster for one search: for Kubernetes (KubeRay), Slurm, Ray's cluster launcher, and the image."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shlex
from importlib.metadata import version
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from tune.buckets.parsing import is_url
from tune.cluster.jobs import STOPPING
from tune.cluster.request import JobRequest
from tune.search.ray.resources import AUTO_GPU

Kind = Literal["kuberay", "slurm", "launcher", "docker"]
TEMPLATES = {
    "kuberay": "kuberay.yaml.j2",
    "slurm": "slurm.sh.j2",
    "launcher": "launcher.yaml.j2",
    "docker": "Dockerfile.j2",
}
NODES = 2  # where `search.concurrent` does not say how many trials run at once
MOST_CPUS = 16  # of a node without GPUs
MEMORY = 4  # GiB for a trial
MOUNTED = "/etc/imagetune/space.yaml"  # where Kubernetes puts the user's own YAML file


def manifest(kind: Kind, request: JobRequest) -> str:
    """The file as text, with all that follows from the search filled in; comments say what is left to the user."""
    environment = Environment(
        loader=PackageLoader("tune.cluster"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters |= {"text": _text, "shell": shlex.quote}
    return environment.get_template(TEMPLATES[kind]).render(_values(kind, request))


def _values(kind: Kind, request: JobRequest) -> dict[str, Any]:
    file, nodes = request.file, _nodes(request)
    space = request.space if file is None else MOUNTED if kind == "kuberay" else str(file.absolute())
    entry = ["python", "-m", "tune.cluster.entry", space, request.name, *request.options]
    return {
        "name": request.name,
        "k8s": _label(request.name),
        "space": shlex.quote(request.space),
        "given": "".join(f"{shlex.quote(word)} " for word in ("--name", request.name, *request.options)),
        "file": file.read_text(encoding="utf-8") if file is not None and kind == "kuberay" else "",
        "command": shlex.join(entry),
        "mounts": (mounts := _mounts(request)),
        "volumes": [f"--volume={shlex.quote(f'{mount}:{mount}')}" for mount in mounts],
        "secrets": _secrets(request),
        "custom": _custom(request, nodes["trials"]),
        "accelerator": request.spec.search.resources.accelerator_type,
        "stopping": STOPPING,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "ray": version("ray"),
        "image": f"imagetune:{version('imagetune')}",
        **nodes,
    }


def _mounts(request: JobRequest) -> list[str]:
    """The folders that all nodes share; none if the searches are in S3 and each node has its own images."""
    given = [None if is_url(request.out) else request.out, request.data_dir, request.spec.sample.data.path]
    folders = sorted({os.path.normpath(path) for path in given if path})
    above = os.path.commonpath(folders) if folders else ""
    if above not in ("", "/"):
        return [above]
    return [one for one in folders if not any(one.startswith(f"{other}/") for other in folders)]


def _secrets(request: JobRequest) -> list[str]:
    """The environment variables without which the search's processes may get in nowhere."""
    database = ["IMAGETUNE_STUDY_PASSWORD"] if request.study and not request.study.startswith("sqlite") else []
    keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] if is_url(request.out) else []
    server = [name for name in ("AWS_ENDPOINT_URL", "AWS_REGION") if keys and os.environ.get(name)]
    return [*database, *keys, *server]


def _custom(request: JobRequest, trials: int) -> str:
    """What a node has to declare of the resources that its owner has invented, so that its trials fit; as JSON."""
    amounts = {name: amount * trials for name, amount in request.spec.search.resources.custom.items()}
    return json.dumps(amounts, separators=(",", ":")) if amounts else ""


def _nodes(request: JobRequest) -> dict[str, int]:
    """How many nodes, and what each of them has, so that as many trials fit as the search wants at once."""
    resources, wanted = request.spec.search.resources, request.spec.search.concurrent
    gpu = AUTO_GPU if resources.gpu == "auto" else float(resources.gpu)
    if gpu:
        gpus = max(1, math.ceil(gpu))
        per_node = max(1, int(gpus / gpu))
    else:
        gpus, per_node = 0, max(1, int(MOST_CPUS / resources.cpu))
    nodes = math.ceil((wanted or NODES * per_node) / per_node)
    per_node = min(per_node, wanted or per_node)
    return {
        "nodes": nodes,
        "trials": per_node,
        "cpus": math.ceil(per_node * resources.cpu),
        "gpus": gpus,
        "memory": MEMORY * per_node,
    }


def _label(name: str) -> str:
    """A name as Kubernetes and Slurm take it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "search"


def _text(value: object) -> str:
    """A text in quotes, as YAML reads it: unquoted, the name `1e5` would be a number."""
    return json.dumps(str(value), ensure_ascii=False)
