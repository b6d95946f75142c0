"""Exported models as somebody meets them who has only those files: other programs, `predict`, `latency`."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from onnxruntime import InferenceSession
from PIL import Image

from tests.tune.cli.conftest import Command
from tests.tune.cli.export.conftest import photo
from tune.cli.latency import EXAMPLES as LATENCY_EXAMPLES
from tune.export import latency
from tune.export.torch_program import TorchProgram
from tune.record.folder import RunFolder
from tune.runs.weights import open_run


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
