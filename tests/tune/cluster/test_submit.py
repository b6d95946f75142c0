"""What `submit` refuses before it asks the cluster, what travels with a job, and the command that the job runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tune.cluster.own_space import OWN
from tune.cluster.entry import command
from tune.cluster.jobs import checked_address
from tune.cluster.package import PACKAGES, SPACE, working_dir
from tune.cluster.request import job_request
from tune.errors import UserError


def request(space: str = "digits", *overrides: str, out: Path = Path("/shared"), study: str | None = None) -> object:
    return job_request(space, overrides, name=None, out=out, data_dir=None, study=study)


def test_a_folder_that_the_nodes_cannot_know_is_refused() -> None:
    with pytest.raises(UserError, match=r"--out checkpoints: must be an absolute path"):
        request(out=Path("checkpoints"))


def test_what_is_wrong_with_the_space_is_found_here() -> None:
    with pytest.raises(UserError, match="training"):
        request("digits", "training.epochs=none")


def test_a_password_does_not_become_part_of_a_job() -> None:
    with pytest.raises(UserError, match="contains a password"):
        request(study="postgresql://user:secret@host/name")


@pytest.mark.parametrize(
    "address", ["10.0.0.5:6379", "ray://10.0.0.5:10001", "http://", "http://host:99999", "http://me:pw@host"]
)
def test_an_address_that_is_no_dashboard(address: str) -> None:
    with pytest.raises(UserError, match="must be the URL of a cluster's dashboard"):
        checked_address(address)


def test_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    with pytest.raises(UserError, match="no cluster was given"):
        checked_address(None)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://10.0.0.5:8265/")
    assert checked_address(None) == "http://10.0.0.5:8265"


def test_a_node_without_the_package_can_run_what_travels(tmp_path: Path) -> None:
    own = tmp_path / "mein Raum.yaml"
    own.write_text(OWN)
    with working_dir(own) as folder:
        assert {path.name for path in folder.iterdir()} == {*PACKAGES, SPACE}
        assert (folder / SPACE).read_text() == OWN
        code = f"import tune, models; print(tune.__file__); from tune.spec import load_search; print(load_search({SPACE!r}).name)"
        ran = subprocess.run(
            [sys.executable, "-P", "-c", code],
            check=False,
            cwd=folder,
            env={"PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
        )
        assert ran.stdout.split() == [str(folder / "tune" / "__init__.py"), "space"], ran.stderr
    assert not folder.exists()


def test_a_job_that_runs_again_resumes_its_search(tmp_path: Path) -> None:
    options = ["--out", str(tmp_path), "search.trials=3"]
    first = command("digits", "first", options)
    assert first[1:] == ["-m", "tune", "search", "digits", "--name", "first", *options]
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "search.yaml").write_text("")
    assert command("digits", "first", options) == [*first, "--resume"]
