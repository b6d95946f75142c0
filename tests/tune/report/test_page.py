"""The report as a page: whole, escaped, without a network, also where there is little to show."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tune.runs.folders import SPACE, search_folder, written
from tune.record.folder import SearchFolder
from tune.record.opening import read_search
from tune.record.search_yaml import write_spec
from tune.record.study import Record
from tune.report.page import render
from tune.spec import load_search

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=10000",
    "--enable-logging=stderr",
]


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


def empty_search(folder: Path) -> SearchFolder:
    """A search without a trial."""
    spec = load_search(str(written(folder, SPACE, "space.yaml")))
    found = SearchFolder(folder / "search")
    write_spec(found, spec, {})
    Record.create(found.journal, found.name, spec.search.objective).close()
    return found


def test_a_search_as_one_file(tmp_path: Path) -> None:
    page = render(read_search(search_folder(tmp_path / "digits <b>")))
    assert len(page) < 10e6
    found = Text(page)
    assert found.addresses == []
    assert {"Trials", "Learning curves", "Each field against the result", "How trials ended"} <= set(found.headings)
    assert "digits &lt;b&gt;" in page
    assert "digits <b>" not in page
    assert "The best is trial 3 in its epoch 1: val_loss 0.1000, val_accuracy 90.00 %" in page
    curves = json.loads(re.search(r"const curves = (\{.*?\});\n", page)[1])  # type: ignore[index]
    assert curves["2"] == [[1, 2, 3], [0.5, 0.3, 0.4]]
    assert page.count("<tr data-trial=") == 5


def test_a_search_without_trials(tmp_path: Path) -> None:
    page = render(read_search(empty_search(tmp_path)))
    assert "There are no trials yet." in page
    assert Text(page).headings == ["Trials", "How trials ended", "Configuration, versions and data"]


@pytest.mark.parametrize("losses", [[], [float("nan")], [0.5]])
def test_a_search_of_one_trial(tmp_path: Path, losses: list[float]) -> None:
    from tests.tune.runs.folders import curve
    from tune.record.status import Status

    folder = empty_search(tmp_path)
    spec = read_search(folder).spec
    record = Record.open(folder.journal, folder.name, spec.search.objective)
    number = record.add(spec.space, {"model.hidden_dim": 8, "training.optimizer.lr": 0.01}, {"parameters": 10})
    record.start(number)
    for metrics in curve(losses):
        record.epoch(number, metrics)
    record.end(number, Status.FAILED if not losses else Status.COMPLETED, "a reason: with <tags>")
    page = render(read_search(folder))
    assert ("Progress" in Text(page).headings) == (losses == [0.5])
    assert ("No trial produced a result." in page) == (losses != [0.5])
    assert "<tags>" not in page


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_shows_it_without_an_error_and_nothing_is_cut_off(tmp_path: Path, width: int) -> None:
    path = tmp_path / "report.html"
    probe = (
        "<script>window.addEventListener('load', () => setTimeout(() => {"
        "const page = document.documentElement, wide = page.scrollWidth - page.clientWidth;"
        "const charts = document.querySelectorAll('.js-plotly-plot .main-svg').length;"
        "console.log('SEEN ' + JSON.stringify({wide, charts})); }, 1500));</script>"
    )
    page = render(read_search(search_folder(tmp_path / "digits")))
    path.write_text(page.replace("</head>", f"{probe}</head>"), encoding="utf-8")
    words = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
    words += [f"--screenshot={tmp_path / 'page.png'}", path.as_uri()]
    log = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False).stderr
    console = [line for line in log.splitlines() if "CONSOLE" in line]
    seen = json.loads(re.search(r"SEEN (\{.*?\})", "\n".join(console))[1])  # type: ignore[index]
    assert [line for line in console if "SEEN" not in line and "rror" in line] == []
    assert seen["wide"] <= 0
    assert seen["charts"] >= 8
