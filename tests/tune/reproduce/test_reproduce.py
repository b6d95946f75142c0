"""The published rows: what is said of them, how they are measured and compared, and that the table keeps every line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_spaces import shipped
from tests.tune.runs.folders import EXPERIMENT, Quiet, written
from tune.errors import UserError
from tune.reproduce import merged_table, reproduce
from tune.reproduce.published import CIFAR_NOISE, MNIST_NOISE, ROWS, Caveat, PublishedRow, rows_named
from tune.reproduce.reproduce import check_rows, comparison, measure, record, table
from tune.runs.run import Interrupted
from tune.spec import load_experiment
from tune.spec.files import read_tree


@pytest.fixture
def row(tmp_path: Path) -> PublishedRow:
    """A stand-in: a small network on the bundled digits."""
    path = written(tmp_path, EXPERIMENT.replace("epochs: 3", "epochs: 2"))
    return PublishedRow("tiny", str(path), 0.5, 0.9, caveat=Caveat.BEST_TEST_EPOCH)


def measured(row: PublishedRow, tmp_path: Path, seeds: int = 1, screen: Quiet | None = None) -> merged_table.Line:
    experiment = check_rows([row], tmp_path)[row.name]
    return measure(row, experiment, seeds, tmp_path / "reproduce", tmp_path, screen or Quiet())


# -- what was published


def test_every_published_run_has_a_row_and_a_file() -> None:
    assert len(ROWS) == 17
    assert [name for name, row in ROWS.items() if row.experiment not in shipped()] == []
    fixed = {name for name, path in shipped().items() if path.parent.name == "fixed"}
    unpublished = {"vae_digits", "vae_mnist", "vae_cifar10"}
    assert fixed - unpublished == {row.experiment for row in ROWS.values()}


def test_the_figures_are_those_that_the_shipped_files_state() -> None:
    figures = 0
    for row in ROWS.values():
        text = shipped()[row.experiment].read_text(encoding="utf-8")
        comments = " ".join(line for line in text.splitlines() if line.startswith("#"))
        stated = {float(number) for number in re.findall(r"\d*\.\d+|\d+", comments)}
        for name in ("accuracy", "val_accuracy", "macro_f1", "loss", "val_loss"):
            if (value := getattr(row, name)) is not None:
                assert {value, round(100 * value, 4)} & stated, (row.name, name)
                figures += 1
    assert figures == 37


def test_figures_chosen_on_the_test_images_say_so() -> None:
    assert ROWS["classifier_best"].caveat is Caveat.CHOSEN_ON_TEST
    assert {ROWS[f"mnist_v{version}"].caveat for version in range(4)} == {Caveat.BEST_TEST_EPOCH}


def test_noise_is_a_tenth_of_a_point_on_mnist_and_a_point_on_cifar() -> None:
    for row in ROWS.values():
        mnist = load_experiment(row.experiment).data.name == "mnist"
        assert row.noise == (MNIST_NOISE if mnist else CIFAR_NOISE) == (0.001 if mnist else 0.01)


def test_rows_by_name() -> None:
    assert [row.name for row in rows_named(["mnist_v3", "mnist_mlr", "mnist_v3"])] == ["mnist_v3", "mnist_mlr"]
    assert len(rows_named([])) == len(ROWS)
    with pytest.raises(UserError, match="'mnist_mlp' is not a published row; did you mean mnist_mlr") as caught:
        rows_named(["mnist_mlp", "x"])
    assert "'x' is not a published row" in str(caught.value)


# -- measuring


def test_a_row_is_trained_and_evaluated(row: PublishedRow, tmp_path: Path) -> None:
    line = measured(row, tmp_path)
    folder = tmp_path / "reproduce" / "tiny-seed0"
    scores = json.loads((folder / "evaluation.json").read_text())
    assert (scores["split"], scores["n"]) == ("test", 359)
    assert [line[f"{name}_mean"] for name in ("accuracy", "macro_f1", "loss")] == [
        scores["accuracy"], scores["macro_f1"], scores["loss"]
    ]  # fmt: skip
    assert line["accuracy_std"] is None
    assert (line["status"], line["n"], line["test_images"], line["epochs"]) == ("measured", 1, 359, 2)
    assert line["best_epochs"] in ("1", "2")
    assert line["difference"] == pytest.approx(scores["accuracy"] - 0.9, abs=1e-6)
    assert line["caveat"] == Caveat.BEST_TEST_EPOCH
    info = read_tree(folder / "experiment.yaml")["made_with"]
    assert {name: line[name] for name in ("hardware", "commit", "date")} == {
        name: info[name] for name in ("hardware", "commit", "date")
    }
    assert line["torch"] == info["versions"]["torch"]
    assert line["parameters"] == info["parameters"]


def test_seeds_have_a_mean_and_a_spread(row: PublishedRow, tmp_path: Path) -> None:
    line = measured(row, tmp_path, seeds=2)
    folders = [tmp_path / "reproduce" / f"tiny-seed{seed}" for seed in (0, 1)]
    first, second = (json.loads((folder / "evaluation.json").read_text())["loss"] for folder in folders)
    assert first != second
    assert line["loss_mean"] == pytest.approx((first + second) / 2)
    assert line["loss_std"] == pytest.approx(abs(first - second) / 2**0.5)
    assert line["n"] == 2
    assert line["epochs"] == 4
    assert len(line["best_epochs"].split("; ")) == 2


def test_what_is_finished_is_neither_trained_nor_evaluated_again(
    row: PublishedRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = measured(row, tmp_path, seeds=2)
    (tmp_path / "reproduce" / "tiny-seed0" / "last.pt").unlink()  # or one of another version: it is not looked at
    monkeypatch.setattr(reproduce, "evaluate", None)
    screen = Quiet()
    assert measured(row, tmp_path, seeds=1, screen=screen) == before  # the second seed counts, though none asked for it
    assert screen.lines == [f"tiny-seed{seed}: already finished; reusing it" for seed in (0, 1)]


def test_a_run_that_was_killed_before_its_evaluation_is_evaluated(row: PublishedRow, tmp_path: Path) -> None:
    before = measured(row, tmp_path)
    (tmp_path / "reproduce" / "tiny-seed0" / "reproduced.json").unlink()
    (tmp_path / "reproduce" / "tiny-seed0" / "evaluation.json").unlink()
    screen = Quiet()
    assert measured(row, tmp_path, screen=screen) == before
    assert screen.lines == ["tiny-seed0: already finished; reusing it"]


def test_finished_runs_keep_the_commit_that_they_were_made_with(
    row: PublishedRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune.runs.run.commit", lambda: "aaaaaaa")
    measured(row, tmp_path)
    monkeypatch.setattr("tune.runs.run.commit", lambda: "bbbbbbb")
    assert measured(row, tmp_path)["commit"] == "aaaaaaa"
    assert measured(row, tmp_path, seeds=2)["commit"] == "aaaaaaa; bbbbbbb"


@pytest.mark.parametrize("text", ["{", "[]", '{"diverged": false}', "\udcff"])
def test_a_damaged_record_is_made_again(row: PublishedRow, tmp_path: Path, text: str) -> None:
    before = measured(row, tmp_path)
    path = tmp_path / "reproduce" / "tiny-seed0" / "reproduced.json"
    path.write_text(text, errors="surrogateescape")
    screen = Quiet()
    assert measured(row, tmp_path, screen=screen) == before
    assert any("reproduced.json is damaged" in line for line in screen.lines)


class Impatient(Quiet):
    def say(self, text: str) -> None:
        super().say(text)
        if text.startswith("epoch 1/"):
            raise KeyboardInterrupt


def test_an_interrupted_row_goes_on_and_comes_to_the_same(row: PublishedRow, tmp_path: Path) -> None:
    whole = measured(replace(row, name="whole"), tmp_path)
    with pytest.raises(Interrupted):
        measured(row, tmp_path, screen=Impatient())
    screen = Quiet()
    line = measured(row, tmp_path, screen=screen)
    assert "tiny-seed0: resuming after epoch 1" in screen.lines[0]
    apart = ("row", "seconds")
    assert {k: v for k, v in line.items() if k not in apart} == {k: v for k, v in whole.items() if k not in apart}


def test_a_row_that_diverges_says_so(row: PublishedRow, tmp_path: Path) -> None:
    path = written(tmp_path, EXPERIMENT.replace("{lr: 0.01}", "{name: sgd, lr: 1.0e+30}"), "wild.yaml")
    line = measured(replace(row, experiment=str(path)), tmp_path)
    assert (line["status"], line["n"], line["diverged"]) == ("diverged", 0, 1)
    assert line["accuracy_mean"] is None
    assert line["verdict"] is None
    assert not (tmp_path / "reproduce" / "tiny-seed0" / "evaluation.json").exists()


def test_a_row_whose_file_changed_is_refused(row: PublishedRow, tmp_path: Path) -> None:
    measured(row, tmp_path)
    written(tmp_path, EXPERIMENT.replace("epochs: 3", "epochs: 2").replace("0.01", "0.02"))
    with pytest.raises(UserError, match=r"training\.optimizer\.lr: cannot be changed .*0\.01 \(got 0\.02\)"):
        measured(row, tmp_path)


@pytest.mark.parametrize(
    ("ours", "difference", "verdict"),
    [
        (0.9207, 0.0, "within"),
        (0.9217, 0.001, "within"),  # .9217 - .9207 is more than .001 in binary
        (0.9197, -0.001, "within"),
        (0.9218, 0.0011, "above"),
        (0.9190, -0.0017, "below"),
        (None, None, None),
    ],
)
def test_the_verdict(ours: float | None, difference: float | None, verdict: str | None) -> None:
    found = comparison(ROWS["mnist_mlr"], {"accuracy_mean": ours})
    assert found == {"difference": difference and pytest.approx(difference), "verdict": verdict}


def test_rows_without_a_test_figure_are_compared_by_validation() -> None:
    line = {"accuracy_mean": 0.1, "val_accuracy_mean": 0.7395}
    assert comparison(ROWS["tiny_vgg_run1"], line)["verdict"] == "within"
    assert comparison(ROWS["tiny_vgg_run3"], line)["verdict"] == "below"
    assert comparison(ROWS["simple_cnn_bfloat16"], line)["verdict"] is None


# -- the table


def line_of(name: str, **cells: Any) -> merged_table.Line:
    return {"row": name, "status": "measured", "accuracy_mean": 0.5, "commit": "12e4567", **cells}


def test_rows_not_run_yet_say_so(tmp_path: Path) -> None:
    lines = table(tmp_path / "none.csv")
    assert list(lines) == list(ROWS)
    assert {line["status"] for line in lines.values()} == {"not run"}
    assert all(line.get("accuracy_mean") is None for line in lines.values())
    assert not list(tmp_path.iterdir())


def test_lines_of_several_invocations_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    record(path, line_of("mnist_v3", accuracy_mean=0.9941))
    record(path, line_of("mnist_mlr", commit="0000001"))
    record(path, line_of("mnist_mlr", commit="0000002", n=3))
    record(path, line_of("of_another_version"))
    lines = table(path)
    assert set(lines) == {*ROWS, "of_another_version"}
    assert (lines["mnist_v3"]["accuracy_mean"], lines["mnist_v3"]["verdict"]) == (0.9941, "within")
    assert lines["mnist_v3"]["commit"] == "12e4567"  # no number
    assert (lines["mnist_mlr"]["commit"], lines["mnist_mlr"]["n"]) == ("0000002", 3)
    assert lines["mnist_cnn"]["status"] == "not run"
    assert [entry.name for entry in path.parent.iterdir()] == ["table.csv"]


def test_a_measured_line_survives_the_file(row: PublishedRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROWS, "tiny", row)
    line = measured(row, tmp_path)
    record(tmp_path / "table.csv", line)
    found = table(tmp_path / "table.csv")["tiny"]
    assert {name: found[name] for name in line} == line


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "row,noise\nx,much\n", "row\nx,y,z\n", "row,n\nx\n", "\x00", 'row\n"x'])
def test_files_that_are_no_such_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=r"x\.csv is not a table"):
        record(path, line_of("mnist_mlr"))
    assert path.read_text() == text


def test_an_empty_file_is_a_table_without_lines(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("")
    assert list(table(tmp_path / "x.csv")) == list(ROWS)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"x\.csv is not a table"):
        table(tmp_path / "x.csv")


def test_a_place_that_cannot_be_written_is_refused_beforehand(tmp_path: Path) -> None:
    merged_table.check_writable(tmp_path / "a" / "b.csv")
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "b.csv"):
        with pytest.raises(UserError, match="--csv"):
            merged_table.check_writable(path)
