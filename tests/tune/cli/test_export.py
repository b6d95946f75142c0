"""`export` and `latency` as a user meets them, and exported models as somebody meets them who has only those files."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from onnx import ModelProto
from onnxruntime import InferenceSession
from PIL import Image
from ruamel.yaml import YAML

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import image_folder, trained
from tune.cli.latency import EXAMPLES as LATENCY_EXAMPLES
from tune.export import latency, onnx_model
from tune.export.torch_program import TorchProgram
from tune.record.folder import RunFolder
from tune.runs.weights import TrainedRun, open_run

CLASSES = ("rötlich | rot", "green apple", "<blue>")
VAE = "model={name: vae, cnn_layers: 2, starting_channels: 8, final_channels: 16, latent_dim: 4}"
COLOUR = "model={name: classifier, cnn_layers: 2, starting_channels: 8, final_channels: 16}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of grey digits, one with fractional pooling of colour photos, and a VAE."""
    place = tmp_path_factory.mktemp("export")
    images = image_folder(place / "my images", CLASSES)
    trained(place, name="run")
    own = f"data={{name: folder, path: {images}, image_size: 12, validation_fraction: 0.2}}"
    trained(place, own, COLOUR, "training.precision=bfloat16", "training.batch_size=16", name="colour")
    trained(place, VAE, name="vae")
    return place


@pytest.fixture(autouse=True)
def exported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter of torch takes seconds: the same weights are given to it once."""
    really = onnx_model._exported

    def quick(run: TrainedRun) -> ModelProto:
        weights = run.folder.weights.read_bytes()
        if weights not in GRAPHS:
            GRAPHS[weights] = really(run)
        return copy.deepcopy(GRAPHS[weights])

    monkeypatch.setattr(onnx_model, "_exported", quick)


GRAPHS: dict[bytes, ModelProto] = {}


@pytest.fixture
def export(imagetune: Command, place: Path, tmp_path: Path) -> Command:
    """`imagetune` with copies of the runs where it looks for them."""
    shutil.copytree(place / "out", tmp_path / "checkpoints")
    return imagetune


RUN, COLOURED = RunFolder(Path("checkpoints/run")), RunFolder(Path("checkpoints/colour"))


def photo(path: str = "photo.jpg") -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((400, 500)).save(path)
    return Path(path)


def test_a_folder_that_is_all_one_needs(export: Command) -> None:
    found = export("export", "colour", "--json").document
    names = ["model.onnx", "labels.txt", "export.json", "README.md"]
    assert found["files"] == [f"checkpoints/colour/export/{name}" for name in names]
    assert found["file"] == found["files"][0]
    assert found["bytes"] == Path(found["file"]).stat().st_size
    assert sorted(path.name for path in Path("checkpoints/colour/export").iterdir()) == sorted(names)
    assert Path(found["files"][1]).read_text().splitlines() == sorted(CLASSES)
    check = found["check"]
    assert (check["split"], check["images"]) == ("validation", 6)
    assert check["largest_difference"] < 1e-4
    assert 0 <= check["accuracy"] <= 1


def test_people_are_told_how_close_it_is(export: Command) -> None:
    out = export("export", "run").out
    assert "compared with the run on 144 validation images:\n  largest difference of a logit " in out
    assert "wrote checkpoints/run/export/README.md" in out


@pytest.mark.parametrize("kind", ["RGBA", "CMYK", "L", "RGB"])
def test_a_photo_has_the_same_class_by_the_run_and_by_its_files(exported: tuple[Command, list[str]], kind: str) -> None:
    command, files = exported
    pixels = np.random.default_rng(2).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    image = Image.fromarray(pixels, "RGBA")
    name = "photo.tif" if kind == "CMYK" else "photo.png"
    (image if kind == "RGBA" else image.convert("RGB").convert(kind)).save(name)
    expected, *others = (
        command("predict", model, name, "--json").document["predictions"][0] for model in ("run", *files)
    )
    assert len(others) == 2
    for other in others:
        assert other["class"] == expected["class"]
        assert [one["class"] for one in other["top"]] == [one["class"] for one in expected["top"]]
        assert other["probability"] == pytest.approx(expected["probability"], abs=1e-4)


@pytest.fixture(scope="module")
def files(place: Path) -> Path:
    """The grey classifier in three formats."""
    from tune.export.export import TARGETS
    from tune.export.export import export as write

    run = RunFolder(place / "out" / "run")
    for target in TARGETS.values():
        write(run, target, place, print, place=place / "files")
    return place / "files"


@pytest.fixture
def exported(export: Command, files: Path) -> tuple[Command, list[str]]:
    return export, [str(files / "model.onnx"), str(files / "model.pt2")]


# -- without imagetune

WITHOUT = "import sys; sys.modules.update(dict.fromkeys(('tune', 'models', 'data', 'search_spaces', {more})))\n"


def run_alone(code: str, folder: Path, more: str = "") -> list[str]:
    """Run code in a process that cannot import imagetune; what it prints, in lines."""
    words = [sys.executable, "-I", "-c", WITHOUT.format(more=more) + code]
    found = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True, encoding="utf-8")
    return found.stdout.splitlines()


def test_the_lines_of_the_card_say_what_predict_says(export: Command, files: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    shutil.copytree(files, elsewhere)
    (row,) = export("predict", "run", photo(str(elsewhere / "photo.jpg")), "--json").document["predictions"]
    expected = [f"{one['class']}: {100 * one['probability']:.2f}%" for one in row["top"]]
    onnx, program = re.findall(r"```python\n(.*?)```", (elsewhere / "README.md").read_text(), re.DOTALL)
    assert run_alone(onnx, elsewhere, "'torch', 'onnx'") == expected
    assert run_alone(program, elsewhere, "'onnx', 'onnxruntime'") == expected


def test_the_lines_of_the_card_take_colour_and_transparency(export: Command) -> None:
    export("export", "colour")
    folder = Path("checkpoints/colour/export")
    pixels = np.random.default_rng(3).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    Image.fromarray(pixels, "RGBA").save(folder / "photo.png")
    (row,) = export("predict", "colour", folder / "photo.png", "--json").document["predictions"]
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    first, *_ = run_alone(code.replace("photo.jpg", "photo.png"), folder, "'torch'")
    assert first.startswith(f"{row['class']}: ")  # the run computes in bfloat16


@pytest.mark.filterwarnings("ignore:The given buffer is not writable:UserWarning")  # torch 2.11, of its own tensors
def test_the_torch_program_takes_any_number_of_images(files: Path, place: Path) -> None:
    run = open_run(RunFolder(place / "out" / "run"), torch.device("cpu"))
    texts = {"classes": ""}
    model = torch.export.load(files / "model.pt2", extra_files=texts).module()
    assert json.loads(texts["classes"]) == list(run.info.classes)
    for images in (1, 2, 65):
        pixels = torch.randint(0, 256, (images, 1, 8, 8), dtype=torch.uint8)
        with torch.inference_mode():
            torch.testing.assert_close(model(pixels), run.model((pixels / 255 - 0.5) / 0.5), rtol=1e-4, atol=1e-5)


# -- the card


def front(card: str) -> Any:
    return YAML(typ="safe").load(card.split("---\n")[1])


def test_a_run_that_was_not_evaluated_gets_a_card_that_says_so(export: Command) -> None:
    export("export", "colour")
    card = Path("checkpoints/colour/export/README.md").read_text()
    assert "Not evaluated on test images yet: run `imagetune evaluate colour`, then export again." in card
    assert front(card)["pipeline_tag"] == "image-classification"
    assert "model-index" not in front(card)
    assert "bfloat16" in card
    assert "my images" not in card  # where they are on this disk
    assert "  path: /path/to/images" in card


def test_the_figures_of_an_evaluation_stand_in_the_card(export: Command) -> None:
    scores = export("evaluate", "colour", "--json").document
    export("export", "colour")
    card = Path("checkpoints/colour/export/README.md").read_text()
    (result,) = front(card)["model-index"][0]["results"]
    assert result["metrics"][0] == {"type": "accuracy", "name": "Accuracy", "value": scores["accuracy"]}
    assert f"The run's on {scores['n']} test images" in card
    assert f"| accuracy | {100 * scores['accuracy']:.2f} %" in card
    assert r"| rötlich \| rot | " in card
    assert r"| \<blue\> | " in card
    COLOURED.evaluation.write_text(json.dumps({**scores, "epoch": 77}))
    export("export", "colour")
    assert "The evaluation is of epoch 77" in Path("checkpoints/colour/export/README.md").read_text()
    COLOURED.evaluation.write_text("{")
    export("export", "colour")
    assert "The evaluation cannot be read" in Path("checkpoints/colour/export/README.md").read_text()


def test_all_formats_stand_in_one_card(files: Path) -> None:
    card, record = (files / "README.md").read_text(), json.loads((files / "export.json").read_text())
    assert list(record["files"]) == ["model.onnx", "model-int8.onnx", "model.pt2"]
    for name, model in record["files"].items():
        assert f"| `{name}` | " in card
        assert model["bytes"] == (files / name).stat().st_size
        assert model["check"]["images"] == 144
    assert front(card)["tags"] == ["image-classification", "imagetune", "onnx", "pytorch"]


# -- what is refused, and what stays


def test_what_cannot_be_exported(export: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("")
    for words, line in (
        (
            ["vae"],
            "checkpoints/vae: vae is a model for reconstruction, and only classifiers can be exported; "
            "load it in Python: tune.load_run('checkpoints/vae').model()",
        ),
        (["rn"], "'rn' is not a run"),
        (["run", "--format", "torch", "--quantize", "int8"], "--quantize int8: only ONNX models can be quantized"),
        (["run", "--format", "onxn"], "onxn"),
        (["run", "--output", "file"], "--output file is a file"),
        (["run", "seed=1"], "a run is exported as it was trained"),
    ):
        outcome = export("export", *words)
        assert (outcome.code, outcome.out) == (2, ""), words
        assert line in outcome.err
    RUN.weights.unlink()
    assert "no epoch is finished yet" in export("export", "run").err
    assert not (RUN.path / "export").exists()


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    export: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "onnxscript" else find(name, package)

    monkeypatch.setattr("tune.export.onnx_model.find_spec", without)
    for words in (["export", "run"], ["latency", "run"], ["predict", "a.onnx", "b.png"]):
        Path("a.onnx").write_bytes(b"")
        outcome = export(*words)
        assert outcome.code == 2
        assert re.search(r"not installed: onnxscript; run pip install -e '\.\[onnx\]'", outcome.err)


def test_without_its_images_it_is_exported_unchecked(export: Command, place: Path) -> None:
    moved = place / "moved"
    (place / "my images").rename(moved)
    try:
        found = export("export", "colour", "--json")
        assert found.document["check"] is None
        assert "not compared with the run on images, as they cannot be read" in found.err
        assert "not compared: the run's images were missing" in (COLOURED.path / "export/README.md").read_text()
        outcome = export("export", "colour", "--quantize", "int8")
        assert outcome.code == 2
        assert "int8 is calibrated on the run's training images" in outcome.err
        assert export("export", "colour", f"data.path={moved}", "--json").document["check"]["images"] == 6
    finally:
        moved.rename(place / "my images")


def test_a_second_export_replaces_its_own_files_and_no_others(export: Command) -> None:
    folder = RUN.path / "export"
    export("export", "run")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "notes.txt").write_text("mine")
    export("export", "run", "--format", "torch")
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "model.onnx").read_bytes() == before["model.onnx"]
    assert list(json.loads((folder / "export.json").read_text())["files"]) == ["model.onnx", "model.pt2"]
    (folder / "model.pt2").unlink()
    export("export", "run")
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_folder_that_cannot_be_written(export: Command, tmp_path: Path) -> None:
    (RUN.path / "export").write_text("a file")
    outcome = export("export", "run")
    assert outcome.code == 1
    assert "cannot write to checkpoints/run/export: " in outcome.err
    assert "use --output DIR to write elsewhere" in outcome.err
    assert export("export", "run", "--output", tmp_path / "new" / "place").code == 0
    assert (tmp_path / "new" / "place" / "model.onnx").is_file()


@pytest.mark.parametrize("name", ["model.onnx", "model.pt2"])
def test_damaged_files_are_refused_by_name(export: Command, files: Path, name: str) -> None:
    picture, whole = photo(), (files / name).read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole[:-1], b"nothing" * 99):
        Path(name).write_bytes(content)
        outcome = export("predict", name, picture)
        assert (outcome.code, outcome.out) == (1, ""), len(content)
        assert outcome.err.startswith(f"{name} is damaged or not an ")
    shutil.copy(files / "export.json", ".")
    Path(name).write_bytes(whole[:-9] + bytes(byte ^ 1 for byte in whole[-9:]))
    outcome = export("predict", name, picture)
    assert outcome.code == 1
    assert outcome.err.startswith(f"{name} is not the file that export.json describes")


def test_models_of_others_are_refused(export: Command, files: Path) -> None:
    import onnx

    model = onnx.load(files / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, "other.onnx")
    outcome = export("predict", "other.onnx", photo())
    assert outcome.code == 2
    assert "other.onnx was not exported by imagetune" in outcome.err


# -- predict


def test_folders_are_searched_and_what_cannot_be_read_is_named(exported: tuple[Command, list[str]]) -> None:
    command, (onnx, _) = exported
    deep = Path("photos/a b/c")
    deep.mkdir(parents=True)
    for path in ("photos/1.jpg", "photos/a b/2.png", "photos/a b/c/3.png"):
        photo(path)
    Path("photos/broken.png").write_bytes(b"nothing")
    Path("photos/notes.txt").write_text("no image")
    for model in ("run", onnx):
        found = command("predict", model, "photos", "--csv", "found.csv", "--top", "2", "--json")
        document = found.document
        assert [row["image"] for row in document["predictions"]] == [
            "photos/1.jpg",
            "photos/a b/2.png",
            "photos/a b/c/3.png",
        ]
        (broken,) = document["unreadable"]
        assert broken["image"] == "photos/broken.png"
        assert "left out photos/broken.png: it is not an image" in found.err
        assert "1 file of an unsupported type (1 .txt)" in found.err
        table = pd.read_csv("found.csv", dtype={"class": str, "class_2": str})
        assert list(table) == ["image", "class", "probability", "class_2", "probability_2"]
        assert table["class"].tolist() == [row["class"] for row in document["predictions"]]
        assert table["probability_2"].tolist() == [row["top"][1]["probability"] for row in document["predictions"]]
    outcome = command("predict", "run", "photos", "photos/broken.png")
    assert (outcome.code, outcome.out) == (2, "")
    outcome = command("predict", "run", "photos/notes.txt")
    assert outcome.code == 2


# -- latency


def test_latency_of_runs_and_files(exported: tuple[Command, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    command, files = exported
    monkeypatch.setattr(latency, "latencies", partial(latency.latencies, seconds=0.0))
    monkeypatch.setattr(latency, "_cores", lambda: 2)
    rows = command("latency", "run", "vae", *files, "--json").document["runs"]
    keys = ["run", "runtime", "batch", "threads", "median_ms", "p95_ms", "images_per_second", "calls"]
    assert {tuple(row) for row in rows} == {tuple(keys)}
    assert {(row["batch"], row["threads"]) for row in rows} == {(1, 1), (1, 2), (64, 1), (64, 2)}
    kinds = dict.fromkeys((row["run"], row["runtime"]) for row in rows)
    assert list(kinds) == [
        ("run", "torch"),
        ("run", "onnxruntime"),
        ("vae", "torch"),
        (files[0], "onnxruntime"),
        (files[1], "torch.export"),
    ]
    assert len(rows) == 4 * len(kinds)
    assert all(0 < row["median_ms"] <= row["p95_ms"] for row in rows)
    assert "onnxruntime" in command("latency", files[0]).out
    assert command("latency", "run", "no").code == 2


def test_the_examples_run(export: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "latencies", partial(latency.latencies, seconds=0.0))
    for name in ("first", "other"):
        shutil.copytree("checkpoints/run", f"checkpoints/{name}")
    examples = [*import_module("tune.cli.export").EXAMPLES, *LATENCY_EXAMPLES]
    examples += [line for line in import_module("tune.cli.predict").EXAMPLES if ".onnx" in line]
    assert len(examples) == 6
    Image.new("RGB", (20, 30), "teal").save("photo.png")
    for example in examples:
        _, *words = shlex.split(example)
        assert export(*words).code == 0, example
    assert isinstance(TorchProgram(Path("model/model.pt2").read_bytes()), TorchProgram)
    session = InferenceSession("checkpoints/first/export/model-int8.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(uint8)"
