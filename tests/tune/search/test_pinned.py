"""`auto` in a search: concrete in its `search.yaml`, the same for all trials, and kept when it is continued."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tune.record.training_here import SPACE, search_here
from tune.record.opening import read_search
from tune.runs.auto import Choice
from tune.search import pinned as module
from tune.search.request import Request, resolve
from tune.spec import SpecError
from tune.spec.files import read_tree
from tune.spec.search import SearchSpec

AUTO = SPACE.replace("threads: 1", "threads: auto, precision: auto").replace("trials: 7", "trials: 2")


def written(tmp_path: Path, text: str = AUTO) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def resolved(tmp_path: Path, text: str = AUTO, *overrides: str) -> SearchSpec:
    return resolve(Request(str(written(tmp_path, text)), tmp_path / "out", tmp_path, overrides=overrides))[0]


def chosen_by(monkeypatch: pytest.MonkeyPatch, threads: int, precision: str) -> list[int]:
    """Stands in for the other process; gives the most threads that it was asked for."""
    asked: list[int] = []

    def choice(spec: SearchSpec, root: Path, most: int, say: object) -> Choice:
        asked.append(most)
        return Choice.model_validate({"threads": threads, "precision": precision})

    monkeypatch.setattr(module, "_choice", choice)
    return asked


def test_the_file_has_numbers_and_a_continued_search_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = chosen_by(monkeypatch, 1, "bfloat16")
    space, out = written(tmp_path), tmp_path / "out"
    folder = search_here(space, out, None).folder
    training = read_tree(folder.spec)["experiment"]["training"]
    assert (training["threads"], training["precision"]) == (1, "bfloat16")
    assert len(asked) == 1
    chosen_by(monkeypatch, 64, "float32")
    search_here(space, out, None, resume=True)
    continued, _ = resolve(Request(str(folder.path), out, tmp_path, extend=2))
    assert continued.base["training"] == read_search(folder).spec.base["training"] == training
    with pytest.raises(SpecError, match=r"training\.precision: cannot be changed on an existing search"):
        resolve(Request(str(space), out, tmp_path, ("training.precision=float32",), name="s", resume=True))


def test_it_is_measured_here(tmp_path: Path) -> None:
    said: list[str] = []
    request = Request(str(written(tmp_path)), tmp_path / "out", tmp_path)
    training = resolve(request, said.append)[0].sample.training
    assert training.threads == 1
    assert training.precision in ("float32", "bfloat16")
    assert said == [line for line in said if line.startswith(f"chosen for all trials: {training.precision}")]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("overrides", "most", "threads"),
    [
        (("search.resources.cpu=1",), [], 1),
        (("search.resources.cpu=0.5",), [], 1),
        (("search.resources.cpu=4",), [4], 3),
        (("search.resources.cpu=4", "training.threads=2"), [], 2),
        (("search.resources.cpu=64",), [], 64),  # its nodes are larger than this machine
    ],
)
def test_threads_within_the_cpus_of_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...], most: list[int], threads: int
) -> None:
    monkeypatch.setattr(module, "cores", lambda: 8)
    asked = chosen_by(monkeypatch, 3, "float32")
    text = AUTO.replace(", precision: auto", "")
    assert resolved(tmp_path, text, *overrides).sample.training.threads == threads
    assert resolved(tmp_path, text.replace("auto", "null"), *overrides).sample.training.threads == threads
    assert asked == 2 * most


def test_searched_threads_stay_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = chosen_by(monkeypatch, 3, "bfloat16")
    text = SPACE.replace(", threads: 1", "").replace("search:\n", "  training.threads: {choice: [1, 2]}\nsearch:\n")
    spec = resolved(tmp_path, text)
    assert "threads" not in spec.base["training"]
    assert asked == []
    assert spec.sample.training.threads == 1


def test_a_model_that_cannot_be_trained_here_leaves_the_search_to_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __init__(self, *given: object, **named: object) -> None:
            raise RuntimeError("no memory\nmore")

    monkeypatch.setattr(module, "ProcessPoolExecutor", Broken)
    said: list[str] = []
    training = resolve(Request(str(written(tmp_path)), tmp_path / "out", tmp_path), said.append)[0].sample.training
    assert (training.threads, training.precision) == (1, "float32")
    assert said == ["training: auto is 1 thread and float32, since nothing could be measured: no memory"]
