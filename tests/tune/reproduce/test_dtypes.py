"""The data-type table: trainings in processes of their own, rows that differ in one thing, and the figure."""

from __future__ import annotations

import io
import resource
from dataclasses import replace
from functools import partial
from multiprocessing import Pipe
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread

from search_spaces import shipped
from tests.tune.runs.folders import EXPERIMENT, Quiet, plan, written
from tune.errors import UserError
from tune.evaluation.evaluate import evaluate
from tune.evaluation.timing import measure_latency, quartiles
from tune.record.folder import RunFolder
from tune.record.observer import Observer
from tune.reproduce import dtypes
from tune.reproduce import subprocess_training as own_process
from tune.reproduce.cells import joined, means, middle
from tune.reproduce.dtypes import check_rows, measure
from tune.reproduce.dtypes_figure import dtypes_figure
from tune.reproduce.dtypes_table import ROWS, DtypeRow, Measured, cells_of, record, table
from tune.reproduce.merged_table import Line
from tune.reproduce.subprocess_training import Images, SubprocessResult, peak_bytes, train_here, train_in_subprocess
from tune.runs.info import read_run
from tune.runs.plan import RunPlan
from tune.spec import load_experiment

PRECISIONS = ("float32", "bfloat16", "float16")


@pytest.fixture(autouse=True)
def short_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty calls are enough here."""
    monkeypatch.setattr(dtypes, "measure_latency", partial(measure_latency, seconds=0.0))


def in_this_process(plan: RunPlan, images: Images, root: Path, observer: Observer) -> SubprocessResult:
    """In place of `train_in_subprocess`, whose process imports torch first, which takes seconds."""
    return train_here(plan, images, root, observer.say)


def stand_in(tmp_path: Path, name: str, text: str = EXPERIMENT) -> DtypeRow:
    path = written(tmp_path, text.replace("epochs: 3", "epochs: 2"))
    return replace(ROWS[name], experiment=str(path))


def measured(row: DtypeRow, tmp_path: Path, seeds: int = 1, screen: Quiet | None = None) -> Line:
    experiment = check_rows([row], tmp_path)[row.name]
    return measure(row, experiment, seeds, tmp_path / "dtypes", tmp_path, screen or Quiet())


# -- the rows


def test_every_row_is_what_it_says() -> None:
    assert list(ROWS) == [*PRECISIONS, "images_float16", "images_float32", "onnx_float32", "onnx_int8"]
    for row in ROWS.values():
        experiment = load_experiment(row.experiment)
        assert row.experiment in shipped()
        assert experiment.training.precision == row.training
        assert (experiment.data.name, experiment.model.name, experiment.training.batch_size) == (
            "mnist",
            "simple_cnn",
            64,
        )
        base = ROWS[row.trained_as]
        assert (base.images, base.training) == (row.images, row.training)
        assert (row.model is None) == row.inference.startswith("torch") == (row.trained_as == row.name)
    # Rows that are compared differ in nothing but the type.
    trees = [load_experiment(ROWS[name].experiment).to_tree() for name in PRECISIONS]
    for tree in trees:
        tree["training"].pop("precision", None)
    assert trees[0] == trees[1] == trees[2]


# -- measured


def test_a_row_is_trained_evaluated_and_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Quiet()
    line = measured(stand_in(tmp_path, "float32"), tmp_path, screen=screen)
    folder = RunFolder(tmp_path / "dtypes" / "float32-seed0")
    scores = evaluate(folder, "test", tmp_path, print).scores
    assert [line[f"{name}_mean"] for name in ("accuracy", "macro_f1", "loss")] == [
        scores["accuracy"], scores["macro_f1"], scores["loss"]
    ]  # fmt: skip
    assert (line["status"], line["n"], line["epochs"], line["test_images"]) == ("measured", 1, 2, 359)
    assert line["model_bytes"] == folder.weights.stat().st_size
    assert line["image_bytes"] == 1438 * (64 + 8)  # one byte a pixel, eight a label; the map is shared by both parts
    assert 50e6 < line["peak_bytes"] < 10e9
    for name in ("batch_ms", "image_ms", "epoch_seconds"):
        assert 0 < line[f"{name}_low"] <= line[name] <= line[f"{name}_high"]
    assert sum("epoch" in text for text in screen.lines) >= 2
    assert all(line[name] for name in ("hardware", "torch", "commit", "date"))
    assert line["hardware"].startswith(read_run(folder)[1].hardware)  # which names the GPU if one was used

    # The rows in ONNX use the same training: it is not repeated, nor is its memory measured.
    monkeypatch.setattr(dtypes, "train_in_subprocess", in_this_process)
    onnx, int8 = (measured(stand_in(tmp_path, name), tmp_path) for name in ("onnx_float32", "onnx_int8"))
    assert [onnx[f"{name}_mean"] for name in ("accuracy", "macro_f1")] == [scores["accuracy"], scores["macro_f1"]]
    assert onnx["loss_mean"] == pytest.approx(scores["loss"], rel=1e-5)
    assert abs(int8["accuracy_mean"] - scores["accuracy"]) <= 0.03
    for row in (onnx, int8):
        assert [row[name] for name in ("peak_bytes", "image_bytes", "epoch_seconds", "epochs")] == [None] * 4
        assert row["onnxruntime"]
    assert (folder.path / "model-int8.onnx").stat().st_size == int8["model_bytes"]

    # A finished measurement is reused.
    screen = Quiet()
    monkeypatch.setattr(dtypes, "_measured", None)
    assert measured(stand_in(tmp_path, "float32"), tmp_path, screen=screen) == line
    assert screen.lines == ["float32-seed0: measured-float32 already exists; reusing it"]


def test_images_kept_as_float32_come_to_the_same_at_four_times_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dtypes, "train_in_subprocess", in_this_process)
    row = stand_in(tmp_path, "images_float32")
    line = measured(row, tmp_path)
    plain = dtypes.measure(stand_in(tmp_path, "float32"), check_rows([row], tmp_path)[row.name], 1, tmp_path / "plain", tmp_path, Quiet())  # fmt: skip
    assert [line[f"{name}_mean"] for name in ("accuracy", "loss")] == [plain["accuracy_mean"], plain["loss_mean"]]
    # 300 images to train and 144 to validate; the uint8 map holds those beyond data.train_limit too
    assert line["image_bytes"] == 444 * (4 * 64 + 8)


def test_an_interrupted_row_is_resumed(tmp_path: Path) -> None:
    first = plan(tmp_path, "training.epochs=2")
    whole = train_here(replace(first, folder=RunFolder(tmp_path / "whole")), "float16", tmp_path, print)
    assert not whole.diverged
    assert len(whole.epoch_seconds) == 2
    assert whole.image_bytes == 444 * (2 * 64 + 8)

    class Impatient(Quiet):
        def say(self, text: str) -> None:
            super().say(text)
            if text.startswith("epoch 1/"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_in_subprocess(first, "float16", tmp_path, Impatient())
    resumed = train_here(first, "float16", tmp_path, print)
    assert resumed.image_bytes == whole.image_bytes
    folders = (tmp_path / "whole" / "model.safetensors", first.folder.weights)
    assert folders[0].read_bytes() == folders[1].read_bytes()


# -- failures


def test_bad_input_in_the_other_process_is_bad_input_here(tmp_path: Path) -> None:
    (tmp_path / "dtypes" / "float32-seed0" / "mine").mkdir(parents=True)
    with pytest.raises(UserError, match="float32-seed0 already exists") as caught:
        measured(stand_in(tmp_path, "float32"), tmp_path)
    assert caught.value.exit_code == 2
    assert [path.name for path in (tmp_path / "dtypes" / "float32-seed0").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        (
            SubprocessResult(False, (1.0,), 2, 3),
            "SubprocessResult(diverged=False, epoch_seconds=(1.0,), peak_bytes=2, image_bytes=3)",
        ),
        ((2, ("no such file",)), "UserError('no such file')"),
        ((1, ("memory is spent",)), "WorkError('memory is spent')"),
        ("ended without a word", "None"),
    ],
)
def test_what_the_other_process_says_is_what_came_of_it(word: object, outcome: str) -> None:
    screen = Quiet()
    ours, theirs = Pipe(duplex=False)
    with ours:
        theirs.send("epoch 1")
        theirs.send(word)
        theirs.close()
        assert repr(own_process._listen(ours, screen)) == outcome
    assert screen.lines[0] == "epoch 1"


def test_the_peak_lies_between_what_is_used_and_what_the_system_counted() -> None:
    used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()
    assert used <= peak_bytes() * 1.01
    assert peak_bytes() <= 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1.01


def test_a_row_that_diverged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dtypes, "train_in_subprocess", in_this_process)
    row = stand_in(tmp_path, "float32", EXPERIMENT.replace("optimizer: {lr: 0.01}", "optimizer: {name: sgd, lr: 1e38}"))
    line = measured(row, tmp_path)
    assert (line["status"], line["n"], line["diverged"], line["accuracy_mean"]) == ("diverged", 0, 1, None)
    assert line["epoch_seconds"] > 0
    assert line["peak_bytes"] > 50e6
    assert line["batch_ms"] is None
    dtypes_figure([line])


# -- cells, table, figure


def one(accuracy: float, batch: float, seconds: tuple[float, ...] | None = None) -> Measured:
    return Measured(
        accuracy=accuracy, macro_f1=accuracy, loss=1 - accuracy, test_images=10, epoch_seconds=seconds, peak_bytes=7,
        batch_ms=(batch - 1, batch, batch + 1), image_ms=(1.0, 2.0, 3.0), model_bytes=4,
        where=dict.fromkeys(("hardware", "python", "torch", "onnxruntime", "commit", "date"), "x"),
    )  # fmt: skip


def test_several_seeds_have_a_mean_and_a_spread_and_the_middle_latency() -> None:
    cells = cells_of([one(0.5, 30.0, (1.0, 2.0)), one(0.7, 10.0, (3.0, 4.0, 5.0)), one(0.9, 20.0)], 2)
    assert (cells["accuracy_mean"], cells["accuracy_std"]) == (pytest.approx(0.7), pytest.approx(0.2))
    assert (cells["batch_ms_low"], cells["batch_ms"], cells["batch_ms_high"]) == (19.0, 20.0, 21.0)
    assert (cells["epoch_seconds"], cells["epochs"]) == (3.0, 5)
    assert (cells["n"], cells["threads"], cells["commit"]) == (3, 2, "x")


def test_cells() -> None:
    assert quartiles([4.0, 1.0, 2.0, 3.0, 5.0]) == (2.0, 3.0, 4.0)
    assert quartiles([4.0]) == (4.0, 4.0, 4.0)
    assert middle("x", [None]) == {"x_low": None, "x": None, "x_high": None}
    assert joined(["a", "b", "a"]) == "a; b"
    assert means([], ["y"]) == {"y_mean": None, "y_std": None}


def test_the_table_keeps_every_row(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    assert {line["status"] for line in table(path).values()} == {"not run"}
    for name in ("float32", "onnx_int8"):
        record(path, {"row": name, **cells_of([one(0.5, 3.0, (1.0,))], 1)})
    lines = table(path)
    assert list(lines) == list(ROWS)
    assert [lines[name]["status"] for name in ("float32", "bfloat16", "onnx_int8")] == [
        "measured",
        "not run",
        "measured",
    ]
    assert lines["onnx_int8"]["inference"] == "ONNX int8"
    assert (lines["float32"]["batch_ms"], lines["float32"]["threads"]) == (3.0, 1)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="is not a table"):
        record(path, lines["float32"])


@pytest.mark.usefixtures("drawn")
def test_the_figure_is_a_picture_whatever_is_known(tmp_path: Path) -> None:
    nothing = list(table(tmp_path / "none.csv").values())
    some = [{**line, **cells_of([one(0.5, 3.0, (1.0,)), one(0.6, 3.0, (2.0,))], 1)} for line in nothing]
    for lines in (nothing, some):
        height, width, _ = imread(io.BytesIO(dtypes_figure(lines))).shape
        assert (height, width) == (955, 1300)


def test_latency_is_that_of_the_call() -> None:
    calls = []

    def classify(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return images

    found = measure_latency(classify, torch.zeros(7, 1), seconds=0.0)
    assert found.calls == 30
    assert calls == [7] * 35
    low, median, high = found.quartiles
    assert 0 < low <= median <= high < 50
