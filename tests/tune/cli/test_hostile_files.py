"""Files that others could have put into a folder that we read: none runs code, none fills the memory, each is named."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch

import data
from data import DataIdentity
from tests.tune.cli import hostile
from tests.tune.cli.conftest import Command
from tests.tune.cli.hostile import planted
from tests.tune.report.run_folders import evaluated, run_folder
from tests.tune.runs.folders import image_folder, search_folder, trained
from tune.record.control_requests import pending
from tune.record.folder import SearchFolder
from tune.record.opening import open_record
from tune.record.search_yaml import read_spec
from tune.spec.files import dump_yaml, read_tree

MOST_MB, MOST_SECONDS = 700, 20
STATUS = Path("/proc/self/status")


@contextmanager
def bounded() -> Iterator[None]:
    """Nothing was run, and little memory and time were taken."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
    before, started = _kilobytes("VmRSS"), time.monotonic()
    yield
    assert _kilobytes("VmHWM") - before < MOST_MB * 1024
    assert time.monotonic() - started < MOST_SECONDS
    assert not Path("trapped").exists()


def _kilobytes(field: str) -> int:
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_folder(tmp_path_factory.mktemp("search") / "digits").path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained."""
    return trained(tmp_path_factory.mktemp("run")).folder.path


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was evaluated, without weights."""
    folder = run_folder(tmp_path_factory.mktemp("read") / "run")
    evaluated(folder, [0, 1, 2], [0, 1, 1])
    return folder.path


SEARCH = {"search.yaml": hostile.YAMLS, "study.journal": hostile.JOURNALS}
READ = {
    "experiment.yaml": hostile.YAMLS,
    "epochs.parquet": hostile.TABLES,
    "predictions.parquet": hostile.TABLES,
    "evaluation.json": hostile.JSONS,
}
CASES = [
    *(("search", file, attack) for file, attacks in SEARCH.items() for attack in attacks),
    *(("read", file, attack) for file, attacks in READ.items() for attack in attacks),
]


def test_all_kinds_are_tried() -> None:
    assert len(CASES) == 28
    assert {file for _, file, _ in CASES} == {*SEARCH, *READ}
    assert len(hostile.SAFETENSORS) + len(hostile.TORCH) + len(REQUESTS) == 6 + 3 + 7
    assert len(IDENTITIES) + len(ARRAYS) + len(IMAGES) + len(EXPORTED) == 5 + 7 + 5 + 10


@pytest.mark.parametrize(("place", "file", "attack"), CASES)
def test_a_file_of_a_search_or_a_run(
    request: pytest.FixtureRequest, imagetune: Command, tmp_path: Path, place: str, file: str, attack: str
) -> None:
    folder = tmp_path / "planted"
    shutil.copytree(request.getfixturevalue(place), folder)
    planted(folder, file, {**SEARCH, **READ}[file][attack]())
    with bounded():
        found = imagetune("results" if place == "search" else "compare", folder)
    assert found.code in (1, 2)
    assert file in found.err
    assert len(found.err) < 1000


@pytest.mark.parametrize("attack", hostile.SAFETENSORS)
def test_weights(imagetune: Command, run: Path, tmp_path: Path, attack: str) -> None:
    folder = tmp_path / "planted"
    shutil.copytree(run, folder)
    image = next(image_folder(tmp_path / "images", each=1).rglob("*.png"))
    planted(folder, "model.safetensors", hostile.SAFETENSORS[attack]())
    with bounded():
        found = imagetune("predict", folder, image)
    assert found.code == 1, found
    assert "model.safetensors: the checkpoint is damaged or not a checkpoint" in found.err


def test_a_model_that_is_larger_than_its_weights(imagetune: Command, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "planted"
    shutil.copytree(run, folder)
    tree = read_tree(folder / "experiment.yaml")
    tree["experiment"]["model"] |= {"conv_channels": [65_536], "hidden_dim": 65_536}  # hundreds of GB
    planted(folder, "experiment.yaml", dump_yaml(tree).encode())
    image = next(image_folder(tmp_path / "images", each=1).rglob("*.png"))
    with bounded():
        found = imagetune("predict", folder, image)
    assert found.code == 1, found
    assert "model.safetensors: these are not the weights of this simple_cnn" in found.err


@pytest.mark.parametrize("attack", [*hostile.TORCH, "bomb", "claim"])
def test_a_checkpoint(imagetune: Command, run: Path, tmp_path: Path, attack: str) -> None:
    folder = tmp_path / "planted"
    shutil.copytree(run, folder)
    content = (folder / "last.pt").read_bytes()
    bombs: dict[str, Callable[[], bytes]] = {
        "bomb": lambda: hostile.repacked(content, 2**26, 0),
        "claim": lambda: hostile.repacked(content),
    }
    planted(folder, "last.pt", {**hostile.TORCH, **bombs}[attack]())
    with bounded():
        found = imagetune("train", folder / "experiment.yaml", "--name", "planted", "--out", tmp_path, "--resume")
    assert found.code == 1, found
    assert "last.pt: the checkpoint is damaged or not a checkpoint" in found.err


REQUESTS: dict[str, Callable[[], bytes]] = {
    **hostile.JSONS,
    "another file": lambda: json.dumps({"action": "stop", "id": "../victim"}).encode(),
    "no text": lambda: json.dumps({"action": "stop", "id": 1}).encode(),
    "no mapping": lambda: json.dumps({"action": "set", "id": "request", "values": 3}).encode(),
    "a list": lambda: b"[1]",
}


@pytest.mark.parametrize("attack", REQUESTS)
def test_a_request_to_a_search(search: Path, tmp_path: Path, attack: str) -> None:
    folder = SearchFolder(tmp_path / "planted")
    shutil.copytree(search, folder.path)
    victim = planted(folder.path, "victim.json", b"{}")
    planted(folder.path, "requests/request.json", REQUESTS[attack]())
    with bounded(), closing(open_record(folder, read_spec(folder).search.objective)) as record:
        assert pending(folder, record) == []
    assert victim.exists()


IDENTITIES: dict[str, Callable[[], bytes]] = {
    "pickle": hostile.pickled,
    "objects": lambda: hostile.npz(head=hostile.object_array()),
    "shape": lambda: hostile.npz(head=hostile.npy((2**44,))),
    "bomb": lambda: hostile.npz(head=hostile.npy((2**26,), content=bytes(2**26))),
    "deep": lambda: hostile.npz(head=hostile.npy((len(hostile.DEEP),), content=hostile.DEEP)),
}


@pytest.mark.parametrize("attack", IDENTITIES)
def test_the_identity_of_the_images(attack: str) -> None:
    content = IDENTITIES[attack]()
    with bounded(), pytest.raises(ValueError, match="not a data identity"):
        DataIdentity.from_bytes(content)


ARRAYS: dict[tuple[str, str], Callable[[], bytes]] = {
    ("images.npy", "objects"): hostile.object_array,
    ("images.npy", "shape"): lambda: hostile.npy((2**44, 3, 8, 8)),
    ("labels.npy", "pickle"): hostile.pickled,
    ("meta.json", "deep"): lambda: hostile.DEEP,
    ("meta.json", "pickle"): hostile.pickled,
    ("index", "objects"): lambda: hostile.npz(paths=hostile.object_array()),
    ("index", "bomb"): lambda: hostile.npz(paths=hostile.npy((2**26,), content=bytes(2**26))),
}


@pytest.mark.parametrize(("file", "attack"), ARRAYS)
def test_prepared_images_are_made_again(tmp_path: Path, file: str, attack: str) -> None:
    images, root, said = image_folder(tmp_path / "images", each=4), tmp_path / "data", list[str]()
    source = data.Source("folder", str(images), image_size=8, test_fraction=0.25)
    before = data.load_train(source, root)
    images_before, labels_before = before.images.clone(), before.labels.clone()  # they are maps of the files
    pattern = "prepared/index-*.npz" if file == "index" else f"prepared/folder-train-*/{file}"
    (path,) = root.glob(pattern)
    content = ARRAYS[file, attack]()
    if file.endswith(".npy"):  # as long as the note beside it says
        meta = path.with_name("meta.json")
        meta.write_text(json.dumps({**json.loads(meta.read_text()), "bytes": {path.stem: len(content)}}))
    path.write_bytes(content)
    with bounded():
        again = data.load_train(source, root, say=said.append)
    assert torch.equal(again.images, images_before)
    assert torch.equal(again.labels, labels_before)
    if file != "index":  # that one costs time only
        assert any("is damaged" in line and str(path.parent) in line for line in said)


IMAGES: dict[str, tuple[Callable[[], bytes], str]] = {
    "pixels": (lambda: hostile.png(100_000), "it has 100,000 x 100,000 pixels, more than the limit"),
    "icon": (lambda: hostile.ico(40_000), "exceeds limit"),
    "icons": (lambda: hostile.icns(40_000), "exceeds limit"),
    "program": (lambda: hostile.EPS, "EPS is a program"),
    "pickle": (hostile.pickled, "it is not an image"),
}


@pytest.mark.parametrize("attack", IMAGES)
def test_an_image(imagetune: Command, run: Path, tmp_path: Path, attack: str) -> None:
    make, words = IMAGES[attack]
    path = planted(tmp_path, "image.png", make())
    with bounded():
        found = imagetune("predict", run, path)
    assert found.code == 2
    assert str(path) in found.err
    assert words in found.err


EXPORTED: dict[tuple[str, str], Callable[[], bytes]] = {
    ("model.pt2", "pickle"): hostile.pickled,
    ("model.pt2", "torch"): hostile.torch_pickle,
    ("model.pt2", "bomb"): lambda: hostile.repacked(hostile.torch_pickle(), 2**26, 0),
    ("model.onnx", "pickle"): hostile.pickled,
    ("model.onnx", "deep"): lambda: b"\x3a\xff\xff\xff\xff\x07" * 1000,
    **{("model.onnx", kind): partial(hostile.onnx_model, kind) for kind in ("loop", "filled", "tiled", "classes")},
    ("export.json", "deep"): lambda: hostile.DEEP,
}


@pytest.mark.parametrize(("file", "attack"), EXPORTED)
def test_an_exported_file(imagetune: Command, tmp_path: Path, file: str, attack: str) -> None:
    image = next(image_folder(tmp_path / "images", each=1).rglob("*.png"))
    planted(tmp_path, file, EXPORTED[file, attack]())
    name = file if file != "export.json" else "model.pt2"
    model = tmp_path / name
    if name != file:
        model.write_bytes(b"no archive")
    with bounded():
        found = imagetune("predict", model, image)
    assert found.code in (1, 2)
    assert str(model) in found.err
