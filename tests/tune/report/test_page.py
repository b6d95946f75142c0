"""The report as a page: whole, escaped, without a network, also where there is little to show."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.tune.report.browser import needs_browser, seen_in_browser
from tests.tune.report.searches import SPACE, VAE, Made, evaluated, on_disk, scores
from tests.tune.runs.folders import search_folder
from tune.record.exclusive.folder_lock import lock_folder
from tune.record.opening import read_search
from tune.record.status import Status
from tune.report.page import render


class Text(html.parser.HTMLParser):
    """Collects headings and the addresses that a page would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.addresses: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.addresses += [value for name, value in attributes if name in ("src", "href") and value]

    def handle_data(self, text: str) -> None:
        if self._inside == "h2" and text.strip():
            self.headings.append(text.strip())


def test_a_search_as_one_file(tmp_path: Path) -> None:
    page = render(read_search(search_folder(tmp_path / "digits <b>")))
    assert len(page) < 10e6
    found = Text(page)
    assert found.addresses == []
    assert {"Trials", "Learning curves", "Each field against the result", "Trials by status"} <= set(found.headings)
    assert "digits &lt;b&gt;" in page
    assert "digits <b>" not in page
    assert "The best is trial 3, in epoch 1: val_loss 0.1000, val_accuracy 90.00\N{NO-BREAK SPACE}%" in page
    curves = json.loads(re.search(r"const curves = (\{.*?\});\n", page)[1])  # type: ignore[index]
    assert curves["2"] == [[1, 2, 3], [0.5, 0.3, 0.4]]
    assert len(re.findall("<tr [^>]*data-trial=", page)) == 5


def test_a_search_without_trials(tmp_path: Path) -> None:
    page = render(read_search(on_disk(tmp_path, [])))
    assert "There are no trials." in page
    assert Text(page).headings == ["Trials", "Configuration, versions and data"]
    assert "hash of the split" in page
    assert "4567" in page


@pytest.mark.parametrize("losses", [[], [float("nan")], [0.5]])
def test_a_search_of_one_trial(tmp_path: Path, losses: list[float]) -> None:
    made = Made(losses, Status.COMPLETED if losses else Status.FAILED, "a reason: with <tags>")
    page = render(read_search(on_disk(tmp_path, [made])))
    assert ("Progress" in Text(page).headings) == (losses == [0.5])
    assert "Each field against the result" not in Text(page).headings, "there is no other trial to compare it with"
    assert ("It ran to completion. Training took 0.5 seconds in 1 epoch." in page) == bool(losses)
    assert ("No trial produced a result." in page) == (losses != [0.5])
    assert "<tags>" not in page


def test_a_search_in_which_all_trials_failed_says_why(tmp_path: Path) -> None:
    failed = [Made([], Status.FAILED, "DataError: broken.png") for _ in range(3)]
    page = render(read_search(on_disk(tmp_path, [*failed, Made([], Status.OUT_OF_MEMORY, "4 GB")])))
    assert "Find out why 3 trials failed (DataError: broken.png)." in page
    assert "<td>3</td><td>0, 1, 2</td>" in page
    assert "out of memory" in page
    assert 'id="chosen"' not in page, "no trial has a curve to be chosen"


def test_reasons_that_differ_are_counted_and_long_ones_have_several_lines(tmp_path: Path) -> None:
    made = [Made([], Status.FAILED, reason) for reason in ("x" * 61, "x" * 61, "y")]
    page = render(read_search(on_disk(tmp_path, made)))
    assert f"Find out why 3 trials failed (2 of them: {'x' * 61})." in page
    assert f'<td class="text long">{"x" * 61}</td>' in page


def test_the_cards_name_the_trial_that_values_belong_to(tmp_path: Path) -> None:
    page = render(read_search(on_disk(tmp_path, [Made([0.4, 0.3]), Made([0.5])])))
    cards = re.findall(r'<div class="card"><b>(.*?)</b><span class="soft">(.*?)</span>', page.replace("\xa0", " "))
    assert cards[:2] == [("0.3000", "best val_loss"), ("70.00 %", "val_accuracy, trial 0")]
    assert cards[-1] == ("1.5", "seconds of training")


def test_charts_without_anything_to_see_are_left_out(tmp_path: Path) -> None:
    page = render(read_search(on_disk(tmp_path, [Made([0.4, 0.3]), Made([0.5])])))
    assert '"text":"training.optimizer.lr"' in page
    assert '"text":"training.optimizer.momentum"' not in page, "no trial has had it"


def test_a_search_that_runs(tmp_path: Path) -> None:
    folder = on_disk(tmp_path, [Made([0.5, 0.4]), Made([0.6], Status.RUNNING), Made([], Status.WAITING)])
    with lock_folder(folder):
        page = render(read_search(folder))
    assert "running: 1 of 4 trials; " in page
    assert "Of these, 1 is waiting, 1 is running and 1 ran to completion." in page
    assert "trial %{customdata}, running" in page, "the timeline has the trial that runs"


def test_a_search_whose_record_is_in_a_database(tmp_path: Path) -> None:
    folder = on_disk(tmp_path, [Made([0.5, 0.4])], study=f"sqlite:///{tmp_path / 'record.db'}")
    page = render(read_search(folder))
    assert "The best is trial 0, in epoch 2" in page
    assert "record.db" in page


def test_several_objectives(tmp_path: Path) -> None:
    space = SPACE.replace("metric: val_loss", "objectives: [{metric: val_accuracy}, {metric: val_loss}]")
    page = render(read_search(on_disk(tmp_path, [Made([0.5]), Made([0.3]), Made([])], space)))
    assert "<th tabindex=0>front</th>" in page
    assert "The best by val_accuracy is trial 1" in page
    assert "best val_loss" not in page, "the front has several"
    assert "Trade-offs" in Text(page).headings


def test_a_vae(tmp_path: Path) -> None:
    folder = on_disk(tmp_path, [Made([5.0, 4.0]), Made([5.0, 6.0])], VAE)
    found = {"split": "test", "n": 3, "loss": 4.5, "reconstruction": 4.0, "kl": 0.5}
    evaluated(folder, "00000-seed0", found, "reconstructions")
    page = render(read_search(folder))
    assert "Winner 00000-seed0: loss 4.5000, reconstruction 4.0000, KL 0.5000" in Text(page).headings
    assert '<img alt="Test images and their reconstructions" src="data:image/png;base64,' in page


def test_the_winners_in_the_ranking_of_the_search(tmp_path: Path) -> None:
    folder = on_disk(tmp_path, [Made([0.5]), Made([0.4])])
    names = ["cat", "<dog>"]
    for run in ("00000-seed0", "00001-seed0", "00001-seed1-full"):
        evaluated(folder, run, scores([[8, 2], [1, 9]], names), "confusion", "confused_pairs")
    (folder.winners / "00001-seed2").mkdir()
    (folder.winners / "00001-seed2" / "evaluation.json").write_text("{", encoding="utf-8")
    page = render(read_search(folder))
    details = [heading for heading in Text(page).headings if heading.startswith("Winner ")]
    assert [heading.split(":")[0] for heading in details] == ["Winner 00001-seed0", "Winner 00000-seed0"]
    assert "accuracy 90.00 % (80.00 % to 95.00 %)" in page
    assert "<td class=text>cat</td><td class=text>&lt;dog&gt;</td><td>2</td><td>20.00 %</td>" in page
    assert page.count('<img alt="The most confused pairs') == 2, "the pictures of confused pairs; the matrix is a chart"
    assert "<dog>" not in page


def test_200_trials_and_large_pictures_of_winners_are_less_than_10_mb(tmp_path: Path) -> None:
    trials = [Made([0.5 + n / 500] * 4, config={"training.optimizer.lr": 0.001 + n / 1e4}) for n in range(200)]
    folder = on_disk(tmp_path, trials)
    noise = np.random.default_rng(0).integers(0, 255, (500, 500, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    Image.fromarray(noise).save(tmp_path / "noise.png", compress_level=1)
    for run in range(4):
        where = evaluated(folder, f"{run:05d}-seed0", scores([[8, 2], [1, 9]], ["cat", "dog"]))
        for name in ("confused_pairs", "mistakes", "predictions"):
            shutil.copy(tmp_path / "noise.png", where.figures / f"{name}.png")
    assert len(render(read_search(folder))) < 10e6


@pytest.mark.parametrize("classes", [1, 2, 1000])
def test_an_evaluation_of_few_or_many_classes(tmp_path: Path, classes: int) -> None:
    folder = on_disk(tmp_path, [Made([0.5])])
    counts = [[4 if i == j else int(j == i + 1) for j in range(classes)] for i in range(classes)]
    if classes == 2:
        counts[1] = [0, 0]  # a class without images
    evaluated(folder, "00000-seed0", scores(counts, [f"a class with a long name {n}" for n in range(classes)]))
    page = render(read_search(folder))
    assert ("The 50 of 1,000 classes with the lowest F1" in page) == (classes == 1000)
    assert ("The 30 most confused of 1,000 classes" in page) == (classes == 1000)
    assert len(page) < 10e6


@needs_browser
@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_shows_it_without_an_error_and_nothing_is_cut_off(tmp_path: Path, width: int) -> None:
    trials = [Made([1 - 0.03 * n, 0.9 - 0.03 * n], config={"training.optimizer.lr": 0.001 * 1.2**n}) for n in range(12)]
    folder = on_disk(tmp_path, [*trials, Made([9.0], Status.STOPPED, "asha: a long reason " * 9)])
    names = [f"a class with a long name {n}" for n in range(12)]
    evaluated(
        folder,
        "00011-seed0",
        scores([[max(0, 9 - abs(i - j)) for j in range(12)] for i in range(12)], names),
        "confused_pairs",
    )
    seen = seen_in_browser(render(read_search(folder)), tmp_path, width, CLICKS)
    assert seen["errors"] == []
    assert seen["wide"] <= 0
    assert seen["charts"] >= 14
    _check_clicks(seen["done"])


CLICKS = """
const input = document.querySelector("#trials input"), body = document.querySelector("#trials tbody");
const trials = () => [...body.rows].filter(row => !row.hidden).map(row => +row.dataset.trial);
const filtered = text => {
  input.value = text;
  input.dispatchEvent(new Event("input"));
  return trials();
};
const done = {};
for (const text of ["val_loss < 0.6", "val_loss>=60%, status = completed", "STOPPED", "lr > 1e-3 lr <= 0.0012", "nothing > 3"])
  done[text] = filtered(text);
done.unknown = input.getAttribute("aria-invalid");
done.all = filtered("").length;
const heading = [...document.querySelectorAll("#trials th")].find(each => each.textContent === "lr");
heading.click();
done.up = trials();
heading.click();
done.down = trials();
body.rows[1].click();
const chosen = document.getElementById("chosen");
done.chosen = [chosen.layout.title.text, chosen.data[0].y];
const axis = [...document.querySelectorAll(".parcoords .axis-brush .background")].at(-1), box = axis.getBoundingClientRect();
const mouse = (kind, target, y) => target.dispatchEvent(
  new MouseEvent(kind, {bubbles: true, view: window, clientX: box.x + box.width / 2, clientY: box.y + y, button: 0}));
for (const [kind, y] of [["mousemove", 30], ["mousedown", 30]]) mouse(kind, axis, y);
for (const [kind, y] of [["mousemove", 90], ["mousemove", 200], ["mouseup", 200]]) mouse(kind, window, y);
done.brushed = axis.closest(".js-plotly-plot").data[0].dimensions.filter(each => each.constraintrange).length;
return done;
"""


def _check_clicks(done: dict[str, Any]) -> None:
    """Trial n has val_loss .9 - .03 n and lr .001 * 1.2^n; trial 12 was stopped, with lr .003."""
    assert done["val_loss < 0.6"] == [11]
    assert done["val_loss>=60%, status = completed"] == list(range(10, -1, -1))
    assert done["STOPPED"] == [12]
    assert (done["nothing > 3"], done["unknown"], done["all"]) == ([], "true", 13)
    assert done["lr > 1e-3 lr <= 0.0012"] == [1]
    assert done["up"][-2:] == [10, 11]
    assert done["down"][:2] == [11, 10]
    assert done["chosen"] == ["Trial 10", [0.7, 0.6]]
    assert done["brushed"] == 1
