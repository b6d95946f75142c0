"""The notebooks: without outputs in git, and run from top to bottom on a small real search and on searches with gaps."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import plotly.graph_objects as go
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from tests.tune.runs.folders import SPACE, Quiet, plan, search_folder, written
from tune import load_search
from tune.evaluation.evaluate import evaluate
from tune.record import Record, RunFolder, SearchFolder
from tune.record.observer import Observer
from tune.record.opening import read_search
from tune.record.search_yaml import write_spec
from tune.runs.plan import RunPlan
from tune.runs.retrain import chosen, retrain
from tune.runs.run import run
from tune.search.request import Request
from tune.search.runner import run_search
from tune.spec import load_experiment
from tune.spec import load_search as read_space

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = ("compare_runs", "explore_data", "final_results", "inspect_trials")
CHARTS = {"compare_runs": 3, "explore_data": 7, "final_results": 6, "inspect_trials": 6}
VAE = """
data: {name: digits, train_limit: 300}
model: {name: vae, cnn_layers: 2, starting_channels: 8, final_channels: 16}
training: {epochs: 2, batch_size: 32, threads: 1}
"""


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]


def test_these_are_all() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_kept_as_written(name: str) -> None:
    """Without outputs; it opens with a sentence and a cell to change; ids are words, so that differences are readable."""
    notebook = read(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert all(cell.metadata == {} for cell in notebook.cells)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert not any(part.isdecimal() for cell in notebook.cells for part in cell.id.split("-"))
    assert [cell.cell_type for cell in notebook.cells[:3]] == ["markdown", "code", "code"]
    assert notebook.cells[0].source.count("\n") == 2  # heading, empty line, sentence
    assert notebook.cells[0].source.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_it_imports_public_names_only(name: str) -> None:
    allowed = {"data", "pandas", "plotly.express", "style", "torch", "torch.nn", "tune"}
    trees = [ast.parse(cell.source) for cell in read(name).cells if cell.cell_type == "code"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert imported <= allowed
    assert not any(isinstance(node, ast.Attribute) and node.attr.startswith("_") for node in nodes)


# -- as after `make quickstart`


@pytest.fixture(scope="module")
def quickstart(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `checkpoints/digits`, searched, retrained and evaluated, and the notebooks beside it."""
    place = tmp_path_factory.mktemp("notebooks")
    shutil.copytree(FOLDER, place / "notebooks", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    settings = [
        "training.epochs=3",
        "search.scheduler.max_t=3",
        "search.scheduler.grace_period=1",
        "data.train_limit=600",
        "search.concurrent=1",
        "search.resources.gpu=0",
    ]
    request = Request("digits", place / "checkpoints", place, overrides=tuple(settings), trials=6)
    assert run_search(request, Observer()).exit_code == 0
    found = read_search(SearchFolder(place / "checkpoints" / "digits"))
    for winner in retrain(found, chosen(found, 2, None), 1, place, Quiet(), full=False):
        for result in winner.runs:
            evaluate(result.folder, "test", place, print)
    return place


@pytest.fixture(scope="module")
def kernel(quickstart: Path) -> Iterator[KernelManager]:
    """A kernel beside the notebooks. One for all of them: torch is imported once."""
    manager = KernelManager(kernel_name="python3")
    environment = {**os.environ, "PLOTLY_RENDERER": "plotly_mimetype", "PYTHONPATH": str(FOLDER.parent)}
    manager.start_kernel(cwd=str(quickstart / "notebooks"), env=environment)
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_top_to_bottom(kernel: KernelManager, name: str) -> None:
    notebook = read(name)
    forget = nbformat.v4.new_code_cell("%reset -f")  # type: ignore[no-untyped-call]  # the other notebooks' variables
    notebook.cells.insert(0, forget)
    client = NotebookClient(notebook, timeout=250, km=kernel)
    try:
        client.execute()
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    charts = [output.data[key] for output in outputs if "data" in output for key in output.data if "plotly" in key]
    assert len(charts) >= CHARTS[name]
    for chart in charts:
        layout = chart["layout"]
        assert layout["title"]["text"]
        axes = [value for key, value in layout.items() if key[:5] in ("xaxis", "yaxis") and value.get("visible", True)]
        assert all(axis["title"]["text"] for axis in axes), layout["title"]["text"]


@pytest.mark.ray
def test_a_trials_model_needs_no_images(quickstart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.inspect", lambda *_: pytest.fail("the images were asked for"))
    search = load_search("digits", out=quickstart / "checkpoints")
    assert search.model(search.best()["trial"].iloc[0]).training is False


# -- on other searches and runs: in this process, which is faster


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside `checkpoints`, from which notebooks are run in this process."""
    monkeypatch.setattr(go.Figure, "show", lambda figure: None)
    monkeypatch.syspath_prepend(str(FOLDER))
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


def execute(name: str, choice: str | None = None) -> dict[str, Any]:
    """Run the cells of a notebook with another first cell; its variables."""
    code = [cell.source for cell in read(name).cells if cell.cell_type == "code"]
    found: dict[str, Any] = {}
    for source in code if choice is None else [choice, *code[1:]]:
        exec(compile(source, name, "exec"), found)
    return found


def test_a_search_with_failures_that_is_not_finished(here: Path) -> None:
    search_folder(here / "checkpoints" / "digits")
    found = execute("inspect_trials")
    assert found["best"] == {3: "trial 3", 2: "trial 2", 0: "trial 0", 1: "trial 1"}
    assert found["correlation"]["epoch"].tolist() == [1]


def test_a_search_without_trials(here: Path) -> None:
    folder = SearchFolder(here / "checkpoints" / "digits")
    spec = read_space(str(written(here, SPACE)))
    write_spec(folder, spec, {})
    Record.create(folder.journal, folder.name, spec.search.objective)
    assert execute("inspect_trials")["trials"].empty


def test_autoencoders_are_compared_and_refused_as_classifiers(here: Path) -> None:
    for seed in (0, 1):
        experiment = load_experiment(str(written(here, VAE)), [f"seed={seed}"])
        made = RunPlan(experiment, RunFolder(here / "out" / f"vae{seed}"))
        run(made, here, Quiet())
    evaluate(made.folder, "test", here, print)
    choice = "import tune\nRUNS = {name: tune.load_run(name, out='../out') for name in ('vae0', 'vae1')}"
    found = execute("compare_runs", choice)
    assert found["metrics"] == ["loss", "reconstruction", "kl"]
    assert len(found["table"]) == 2
    with pytest.raises(ValueError, match="is an autoencoder"):
        execute("final_results", "import tune\nrun = tune.load_run('vae1', out='../out')")


def test_a_run_without_mistakes_and_one_of_many_classes(here: Path) -> None:
    made = plan(here)
    run(made, here, Quiet())
    evaluate(made.folder, "test", here, print)
    choice = "import tune\nrun = tune.load_run('run', out='../out')\n"
    right = "run.predictions['predicted'] = run.predictions['label']\n"
    assert execute("final_results", choice + right)["mistakes"].empty
    names = [{"name": f"class {n}", "n": 1, "accuracy": 1, "precision": 1, "recall": 1, "f1": 1} for n in range(1000)]
    confusion = [[int(row == column) for column in range(1000)] for row in range(1000)]
    many = f"run.evaluation.update(per_class={json.dumps(names)}, confusion={json.dumps(confusion)})\n"
    assert execute("final_results", choice + many)["matrix"].shape == (30, 30)


def test_git_ignores_what_jupyter_leaves_behind() -> None:
    words = ["git", "check-ignore", "notebooks/.ipynb_checkpoints/compare_runs-checkpoint.ipynb"]
    if not (FOLDER.parent / ".git").exists():
        pytest.skip("not a git checkout")
    assert subprocess.run(words, cwd=FOLDER.parent, capture_output=True, check=False).returncode == 0
