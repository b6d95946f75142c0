"""The files that `submit --print` writes are what Kubernetes, Slurm and Ray take, and run the search that was asked for."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
from ray.autoscaler._private.util import prepare_config, validate_config
from ruamel.yaml import YAML
from typer.testing import CliRunner

from tests.tune.cluster.kuberay import RAY_JOB
from tests.tune.cluster.own_space import OWN
from tune.cli.main import app
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


NAMES = (
    "plain",
    "Meine Suche",
    'it\'s "quoted" $HOME `id` \\n',
    "日本語",
    "#hash: {x}, [y] & *z",
    "{{ name }} {% if %}",
    "1e5",
    "true",
    "x" * 39 + " y",
)
OWN_FILES = (OWN, f"\n  # begins with spaces\n{OWN}\n# ends with blank lines: {{{{ x }}}} 日本語\n\n")
FOLDERS = ("/shared/searches", '/mit Leerzeichen/it\'s: {x}, "y"')
FILES = (None, *OWN_FILES)
RENDERED = [(name, FILES[number % 3], FOLDERS[number % 2]) for number, name in enumerate(NAMES)]


def rendered(kind: Kind, tmp_path: Path, name: str, file: str | None, folder: str) -> str:
    space = tmp_path / "own space.yaml"
    if file is not None:
        space.write_text(file, encoding="utf-8")
    request = job_request(
        "digits" if file is None else str(space),
        GPU,
        name=name,
        out=Path(folder),
        data_dir=Path(folder, "data"),
        study="postgresql://me@host/searches",
    )
    return manifest(kind, request)


def test_many_names_are_tried() -> None:
    assert len({(file, folder) for _, file, folder in RENDERED}) == 3 * 2
    assert len(RENDERED) == 9


def test_kubernetes_and_kuberay_take_every_name(tmp_path: Path) -> None:
    for name, file, folder in RENDERED:
        *space, job = documents(rendered("kuberay", tmp_path, name, file, folder))
        jsonschema.validate(job, RAY_JOB)
        cluster = job["spec"]["rayClusterSpec"]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
            kubernetes_validate.validate(pod, "1.34", strict=True)
            assert pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"] == folder
        words = shlex.split(job["spec"]["entrypoint"])
        assert (words[4], words[6]) == (name, folder)
        assert documents(job["spec"]["runtimeEnvYAML"]) == [{"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "60"}}]
        if file is not None:
            kubernetes_validate.validate(space[0], "1.34", strict=True)
            assert space[0]["data"]["space.yaml"].rstrip() == file.rstrip()


def test_ray_takes_every_file_for_its_launcher(tmp_path: Path) -> None:
    schema = json.loads((Path(str(ray.__file__)).parent / "autoscaler" / "ray-schema.json").read_text())
    for name, file, folder in RENDERED:
        text = rendered("launcher", tmp_path, name, file, folder)
        (config,) = documents(text)
        jsonschema.validate(config, schema)
        validate_config(prepare_config(config))
        assert len(config["provider"]["worker_ips"]) == config["max_workers"] == 4
        assert shlex.split(config["docker"]["run_options"][1]) == [f"--volume={folder}:{folder}"]
        said = next(line for line in text.splitlines() if "imagetune submit" in line)
        assert f"--name {shlex.quote(name)} --out" in said


def test_bash_takes_every_script_for_slurm(tmp_path: Path) -> None:
    for name, file, folder in RENDERED:
        script = rendered("slurm", tmp_path, name, file, folder)
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        options = [line.split("#SBATCH --")[1].split()[0] for line in script.splitlines() if line.startswith("#SBATCH")]
        assert {"nodes=4", "cpus-per-task=4", "gpus-per-task=1", "requeue"} <= set(options)
        assert shlex.split(script.partition(" -- ")[2].lstrip("\\\n"))[4] == name


IMAGES = "experiment: {data: {name: folder, path: /images/birds, image_size: 32}, model: {name: tiny_vgg}}\n"
OTHERS = "search.resources.custom={a licence: 2}"


def test_nodes_have_what_trials_need_besides_gpus(tmp_path: Path) -> None:
    """Two trials run on each node, so it declares the resource for two."""
    (own := tmp_path / "own.yaml").write_text(IMAGES + "space: {training.optimizer.lr: {float: [0.001, 0.1]}}")
    request = asked(str(own), *GPU, OTHERS, "search.resources.accelerator_type=H100")
    texts = {kind: manifest(kind, request) for kind in ("kuberay", "launcher", "slurm")}
    (group,) = documents(texts["kuberay"])[1]["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    quoted = shlex.split(group["rayStartParams"]["resources"])  # KubeRay hands it to a shell
    (launcher,) = documents(texts["launcher"])
    lines = launcher["worker_start_ray_commands"][-1], texts["slurm"].partition("srun")[2]
    words = (word for line in lines for word in shlex.split(line))
    given = [word.partition("=")[2] for word in words if word.startswith("--resources=")]
    assert len(given) == 2
    for declared in (*quoted, *given):
        assert json.loads(declared) == {"a licence": 4}
    assert "H100" in texts["kuberay"].partition("apiVersion")[0]


def test_the_folder_of_the_images_is_shared_too(tmp_path: Path) -> None:
    """Where the folders have nothing in common, each is mounted, as a folder of the same storage."""
    (own := tmp_path / "own.yaml").write_text(IMAGES + "space: {training.optimizer.lr: {float: [0.001, 0.1]}}")
    job = documents(manifest("kuberay", asked(str(own))))[1]
    mounts = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert [(mount["mountPath"], mount["subPath"]) for mount in mounts[:3]] == [
        (f"/{path}", path) for path in ("images/birds", "shared/data", "shared/searches")
    ]
    (launcher,) = documents(manifest("launcher", asked(str(own))))
    assert "--volume=/images/birds:/images/birds" in launcher["docker"]["run_options"]


def test_a_search_in_s3_needs_keys_and_no_shared_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "swordfish")
    place = ("--out", "s3://bucket/searches", "--study", "postgresql://me@db/x")
    texts = {kind: CliRunner().invoke(app, ["submit", "digits", *place, "--print", kind]).output for kind in TEMPLATES}
    for kind in ("kuberay", "launcher", "slurm"):
        assert "--out s3://bucket/searches" in texts[kind]
        assert "IMAGETUNE_STUDY_PASSWORD, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY" in texts[kind]
    (job,) = documents(texts["kuberay"])
    jsonschema.validate(job, RAY_JOB)
    spec = job["spec"]["rayClusterSpec"]
    pods = [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]
    assert not [pod for pod in pods if "volumes" in pod or "volumeMounts" in pod["containers"][0]]
    (launcher,) = documents(texts["launcher"])
    assert "--env-file=/etc/imagetune.env" in launcher["docker"]["run_options"]
    assert not any("volume" in option for option in launcher["docker"]["run_options"])
    subprocess.run(["bash", "-n"], input=texts["slurm"], text=True, check=True)
    assert "swordfish" not in "".join(texts.values())


def checked(program: str, *arguments: str, text: str) -> None:
    path = Path(sys.executable).with_name(program)
    if not path.is_file():
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([path, *arguments, "-"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_shellcheck_has_nothing_to_say(tmp_path: Path) -> None:
    checked("shellcheck", text=rendered("slurm", tmp_path, NAMES[1], OWN, FOLDERS[1]))


def test_hadolint_has_nothing_to_say() -> None:
    # The versions of Debian's packages change, and those of Python's are in pyproject.toml.
    text = manifest("docker", asked("digits"))
    checked("hadolint", "--ignore=DL3008", "--ignore=DL3013", text=text)
    assert f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim" in text
    assert f'"ray[default]=={ray.__version__}"' in text


@pytest.mark.parametrize("concurrent", [1, 3, 17, 100])
def test_as_many_trials_fit_as_are_wanted(concurrent: int) -> None:
    (config,) = documents(
        manifest("kuberay", asked("digits", f"search.concurrent={concurrent}", "search.resources.gpu=0"))
    )
    (group,) = config["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    cpus = int(group["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    assert group["replicas"] * cpus >= concurrent
    assert (group["replicas"] - 1) * cpus < concurrent
