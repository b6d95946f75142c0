"""`export` as a user meets it: the folder, its card, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import re
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.tune.cli.conftest import Command
from tests.tune.cli.export.conftest import CLASSES, COLOURED, RUN


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
