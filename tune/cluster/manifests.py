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
    environment.filters["text"] = _text
    return environment.get_template(TEMPLATES[kind]).render(_values(kind, request))


def _values(kind: Kind, request: JobRequest) -> dict[str, Any]:
    file = request.file
    space = request.space if file is None else MOUNTED if kind == "kuberay" else str(file.absolute())
    entry = ["python", "-m", "tune.cluster.entry", space, request.name, *request.options]
    return {
        "name": request.name,
        "k8s": _label(request.name),
        "space": shlex.quote(request.space),
        "given": "".join(f"{shlex.quote(word)} " for word in ("--name", request.name, *request.options)),
        "file": file.read_text(encoding="utf-8") if file is not None and kind == "kuberay" else "",
        "command": shlex.join(entry),
        "out": request.out,
        "data_dir": request.data_dir,
        "mount": (mount := os.path.commonpath([request.out, request.data_dir or request.out])),
        "volume": f"--volume={shlex.quote(f'{mount}:{mount}')}",
        "stopping": STOPPING,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "ray": version("ray"),
        "image": f"imagetune:{version('imagetune')}",
        **_nodes(request),
    }


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
