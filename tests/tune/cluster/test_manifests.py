"""The files that `submit --print` writes are what Kubernetes, Slurm and Ray take, and run the search that was asked for."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.tune.cluster.own_space import OWN
from tune.cluster.manifests import TEMPLATES, Kind, manifest
from tune.cluster.request import JobRequest, job_request

GPU = ("search.resources.gpu=0.5", "search.resources.cpu=2", "search.concurrent=8")


def asked(space: str, *overrides: str, name: str | None = None) -> JobRequest:
    return job_request(
        space, overrides, name=name, out=Path("/shared/searches"), data_dir=Path("/shared/data"), study=None
    )


def documents(text: str) -> list[Any]:
    return list(YAML(typ="safe").load_all(text))


def test_every_kind_is_rendered() -> None:
    assert len(TEMPLATES) == 4
    kinds: list[Kind] = ["kuberay", "slurm", "launcher", "docker"]
    assert all(manifest(kind, asked("digits")) for kind in kinds)


def test_kuberay_runs_the_users_own_space(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    space, job = documents(manifest("kuberay", asked(str(own), *GPU, name="Meine Suche")))
    assert space["data"]["space.yaml"].strip() == OWN.strip()
    assert space["metadata"]["name"] == job["metadata"]["name"] == "meine-suche"
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[2:] == [
        "tune.cluster.entry",
        "/etc/imagetune/space.yaml",
        "Meine Suche",
        "--out",
        "/shared/searches",
        "--data-dir",
        "/shared/data",
        *GPU,
    ]
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    (group,) = cluster["workerGroupSpecs"]
    assert group["replicas"] == 4  # eight trials at once, two on each GPU
    (worker,) = group["template"]["spec"]["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert worker["resources"]["requests"]["cpu"] == "4"
    mounted = {mount["name"] for mount in worker["volumeMounts"]}
    assert mounted == {volume["name"] for volume in group["template"]["spec"]["volumes"]} == {"shared", "space"}


def test_ray_takes_the_launchers_file() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    (config,) = documents(manifest("launcher", asked("digits", *GPU)))
    assert len(config["provider"]["worker_ips"]) == config["max_workers"] == 4
    validate_config(prepare_config(config))


def test_bash_takes_the_script_for_slurm() -> None:
    script = manifest("slurm", asked("digits", *GPU))
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    options = [line.split("#SBATCH --")[1].split()[0] for line in script.splitlines() if line.startswith("#SBATCH")]
    assert {"nodes=4", "cpus-per-task=4", "gpus-per-task=1", "requeue"} <= set(options)


@pytest.mark.parametrize("concurrent", [1, 3, 17, 100])
def test_as_many_trials_fit_as_are_wanted(concurrent: int) -> None:
    (config,) = documents(
        manifest("kuberay", asked("digits", f"search.concurrent={concurrent}", "search.resources.gpu=0"))
    )
    (group,) = config["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    cpus = int(group["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    assert group["replicas"] * cpus >= concurrent
    assert (group["replicas"] - 1) * cpus < concurrent
