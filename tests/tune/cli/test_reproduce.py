"""`reproduce` as a user meets it: the list, the table, going on after Ctrl-C, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import EXPERIMENT, written
from tune.reproduce.published import ROWS, Caveat, PublishedRow

ROOT = Path(__file__).parents[3]
PLACE = Path("checkpoints/reproduce")


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows on the bundled digits in the place of the published ones; one of them diverges."""
    tiny = written(tmp_path, EXPERIMENT.replace("epochs: 3", "epochs: 1"))
    wild = written(tmp_path, EXPERIMENT.replace("{lr: 0.01}", "{name: sgd, lr: 1.0e+30}"), "wild.yaml")
    rows = (
        PublishedRow("tiny", str(tiny), 0.01, 0.123, caveat=Caveat.CHOSEN_ON_TEST),
        PublishedRow("other", str(tiny), 0.01, val_accuracy=0.5),
        PublishedRow("wild", str(wild), 0.01, 0.5),
        PublishedRow("in_float32", str(tiny), 0.01, 0.5),
    )
    monkeypatch.setattr("tune.reproduce.published.ROWS", {row.name: row for row in rows})
    monkeypatch.setattr("tune.reproduce.reproduce.ROWS", {row.name: row for row in rows})


def lines(path: Path = PLACE / "reproduction.csv") -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["row"]: row for row in csv.DictReader(file)}


def test_the_list_trains_nothing(imagetune: Command) -> None:
    rows = imagetune("reproduce", "--list", "--json").document["rows"]
    assert [row["row"] for row in rows] == list(ROWS)
    assert {row["status"] for row in rows} == {"not run"}
    assert rows[0]["published_accuracy"] == 0.9207
    outcome = imagetune("reproduce", "--list")
    assert outcome.out.count("not run") == len(ROWS)
    assert max(map(len, outcome.out.splitlines())) <= 90
    assert all(name in outcome.out for name in ROWS)  # none cut short
    (mark,) = [line[0] for line in outcome.out.splitlines() if line[1:] == f": {Caveat.BEST_TEST_EPOCH}"]
    marked = [line.split()[0] for line in outcome.out.splitlines() if line.split()[-1:] == [mark]]
    assert marked == ["mnist_v0", "mnist_v1", "mnist_v2", "mnist_v3"]
    assert not Path("checkpoints").exists()


@pytest.mark.usefixtures("stand_ins")
def test_a_row_is_measured_and_kept_beside_the_others(imagetune: Command) -> None:
    outcome = imagetune("reproduce", "tiny")
    accuracy = json.loads((PLACE / "tiny-seed0" / "evaluation.json").read_text())["accuracy"]
    assert "12.30 %" in outcome.out
    assert f"{100 * accuracy:.2f} %" in outcome.out
    assert f"{100 * (accuracy - 0.123):+.3f}" in outcome.out
    assert f"\na: {Caveat.CHOSEN_ON_TEST}\n" in outcome.out
    assert f"wrote {PLACE / 'reproduction.csv'}" in outcome.err
    assert {name: row["status"] for name, row in lines().items()} == {
        "tiny": "measured", "other": "not run", "wild": "not run", "in_float32": "not run"
    }  # fmt: skip
    first = lines()["tiny"]
    rows = imagetune("reproduce", "other", "--seeds", "2", "--json").document["rows"]
    assert [(row["row"], row["n"]) for row in rows] == [("other", 2)]
    assert lines()["tiny"] == first
    assert float(lines()["other"]["val_accuracy_mean"]) == rows[0]["val_accuracy_mean"]
    shown = imagetune("reproduce", "--list").out
    assert "val 50.00 %" in shown
    assert " ± " in shown


@pytest.mark.usefixtures("stand_ins")
def test_a_row_that_diverges_fails_the_command_and_no_other_row(imagetune: Command) -> None:
    outcome = imagetune("reproduce", "wild", "tiny")
    assert outcome.code == 1
    assert ": wild" in outcome.err
    assert {name: row["status"] for name, row in lines().items()} == {
        "tiny": "measured", "other": "not run", "wild": "diverged", "in_float32": "not run"
    }  # fmt: skip


@pytest.mark.usefixtures("stand_ins")
def test_a_row_computed_in_another_type_says_so_and_has_a_folder_of_its_own(imagetune: Command) -> None:
    row = imagetune("reproduce", "tiny", "--json").document["rows"][0]
    assert row["precision"] == "float32"
    outcome = imagetune("reproduce", "tiny", "--precision", "bfloat16")
    assert "computed in bfloat16: tiny" in outcome.out
    assert {path.name for path in PLACE.iterdir() if path.is_dir()} == {"tiny-seed0", "tiny-bfloat16-seed0"}
    assert "precision: bfloat16" in (PLACE / "tiny-bfloat16-seed0" / "experiment.yaml").read_text()
    assert lines()["tiny"]["precision"] == "bfloat16"
    # A row that is named after a type is there for it.
    rows = imagetune("reproduce", "in_float32", "--precision", "bfloat16", "--json").document["rows"]
    assert [row["precision"] for row in rows] == ["float32"]
    # Its own type is no other: what was computed in it is taken.
    assert "tiny-seed0: already finished" in imagetune("reproduce", "tiny", "--precision", "float32").err
    assert lines()["tiny"]["precision"] == "float32"


@pytest.mark.usefixtures("stand_ins")
def test_another_file_and_folder(imagetune: Command) -> None:
    assert imagetune("reproduce", "tiny", "--out", "a", "--csv", "b/mine.csv").code == 0
    assert lines(Path("b/mine.csv"))["tiny"]["status"] == "measured"
    assert {path.name for path in Path("a/reproduce").iterdir()} == {"tiny-seed0"}


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["tny"], "'tny' is not a published row; did you mean tiny? Valid names: in_float32, other, tiny, wild"),
        (["--seeds", "0"], "--seeds"),
        (["tiny", "--csv", "."], "--csv . is a folder"),
        (["tiny", "--csv", "other.csv"], "other.csv is not a table with a column 'row'"),
        (["tiny", "--out", "gs://bucket/x"], "gs://bucket/x"),
        (
            ["tiny", "--precision", "bf16"],
            "must be one of auto, bfloat16, float16, float32 (got 'bf16'); did you mean bfloat16?",
        ),
    ],
)
def test_bad_input_exits_with_2_and_writes_nothing(
    imagetune: Command, tmp_path: Path, words: list[str], line: str
) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    before = sorted(tmp_path.rglob("*"))
    outcome = imagetune("reproduce", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert line in outcome.err
    assert sorted(tmp_path.rglob("*")) == before


# Ctrl-C is heard also where the tests run in the background, whose programs ignore it.
PROGRAM = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from tune.reproduce import published, reproduce
from tune.cli.program import main
row = published.PublishedRow("long", sys.argv.pop(1), 0.01, 0.5)
published.ROWS = reproduce.ROWS = {"long": row}
main()
"""


def test_ctrl_c_exits_with_130_and_tells_how_to_go_on(tmp_path: Path) -> None:
    experiment = written(tmp_path, EXPERIMENT.replace("epochs: 3", "epochs: 400"))
    words = [sys.executable, "-c", PROGRAM, str(experiment), "reproduce", "long", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    log = tmp_path / "out" / "reproduce" / "long-seed0" / "train.log"
    while not (log.is_file() and "epoch 2/" in log.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "epochs saved" in err
    assert f"interrupted; continue with: imagetune reproduce long --out {tmp_path / 'out'}" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out" / "reproduce" / "reproduction.csv").exists()
