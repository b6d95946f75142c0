"""A search is continued on the images it was started with, wherever they are, and on no others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tune.changed_images import CHANGES, SPACE
from tests.tune.runs.folders import image_folder
from tests.tune.search.ray.ray_workers import TabulatedWorker
from tune.errors import UserError
from tune.record.observer import Observer
from tune.record.same_data import FILE
from tune.search.request import Request
from tune.search.runner import run_search
from tune.search.shutdown import Outcome

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images in `images` and a search on them in `out/space`."""
    folder = tmp_path_factory.mktemp("search")
    image_folder(folder / "images")
    (folder / "space.yaml").write_text(SPACE.replace("PATH", str(folder / "images")))
    outcome = run(folder, subject=str(folder / "space.yaml"))
    assert outcome.state == "finished"
    assert (outcome.folder.path / FILE).is_file()
    return folder


def run(folder: Path, *overrides: str, subject: str = "space", **options: int) -> Outcome:
    request = Request(subject, folder / "out", folder / "data", ("search.resources.gpu=0", *overrides), **options)  # type: ignore[arg-type]
    return run_search(request, Observer(), TabulatedWorker)


@pytest.mark.parametrize(("change", "words"), CHANGES.items())
def test_changed_images_are_refused(started: Path, tmp_path: Path, change: Callable[[Path], None], words: str) -> None:
    shutil.copytree(started / "out", tmp_path / "out")
    shutil.copytree(started / "images", tmp_path / "changed")
    change(tmp_path / "changed")
    before = (tmp_path / "out" / "space" / "study.journal").read_bytes()
    for how in ({"extend": 1}, {"resume": True}):
        with pytest.raises(UserError) as caught:
            run(tmp_path, f"data.path={tmp_path / 'changed'}", **how)
        assert words in str(caught.value)
    assert (tmp_path / "out" / "space" / "study.journal").read_bytes() == before


def test_moved_images_are_found_again(started: Path, tmp_path: Path) -> None:
    shutil.copytree(started / "out", tmp_path / "out")
    shutil.copytree(started / "images", tmp_path / "moved")
    outcome = run(tmp_path, f"data.path={tmp_path / 'moved'}", extend=1)
    assert outcome.state == "finished"
    assert sum(outcome.counts.values()) == 5
