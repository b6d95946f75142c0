"""The evaluations of a search's retrained trials, as `evaluate` wrote them: a table, and the details of the best."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from tune.errors import WorkError
from tune.evaluation.files import read_evaluation
from tune.record.folder import RunFolder, SearchFolder
from tune.report.charts import evaluation
from tune.report.template import Section, drawn, html_table
from tune.spec.metric import METRICS

MOST_DETAILED = 3
"""Trials of which the page shows more than a row."""
MOST_LISTED = 50
"""Classes in the table of classes; of more, those with the lowest F1."""
MOST_PAIRS = 8
PICTURES = {
    "confused_pairs": "The most confused pairs of classes, with the mistakes made with the highest confidence",
    "mistakes": "Mistakes",
    "predictions": "Images with their predictions",
    "reconstructions": "Test images and their reconstructions",
}
"""Figures that `evaluate` draws of test images, with what they show."""
MOST_BYTES, MOST_PIXELS = 400_000, 1600
"""Of a picture in the page, and of its width: the page has to stay small enough to be sent around."""


@dataclass(frozen=True)
class Winner:
    """An evaluated run of a trial.

    Attributes:
        folder: The run's.
        trial: Number of the trial.
        scores: As in its `evaluation.json`.
    """

    folder: RunFolder
    trial: int
    scores: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The folder's name: `00012-seed0`."""
        return self.folder.name


def read_winners(folder: SearchFolder, trials: pd.DataFrame) -> list[Winner]:
    """The evaluated winners of a search, in the ranking of their trials; files that cannot be read are left out.

    The ranking is that of the search, by validation images: chosen by its test score, a winner would look too good.
    """
    rank = {int(number): place for place, number in enumerate(trials["trial"])}
    found = []
    for path in sorted(folder.winners.glob("*/evaluation.json")):
        number = re.match(r"\d+", path.parent.name)
        with suppress(WorkError):
            scores = read_evaluation(RunFolder(path.parent))
            if number and scores is not None and int(number[0]) in rank:
                found.append(Winner(RunFolder(path.parent), int(number[0]), scores))
    return sorted(found, key=lambda winner: (rank[winner.trial], winner.name))


def sections(winners: Sequence[Winner]) -> list[Section]:
    """A table of all evaluated runs, then the first run of each of the best trials in detail."""
    if not winners:
        return []
    first = {winner.trial: winner for winner in reversed(winners)}
    detailed = [winner for winner in winners if first[winner.trial] is winner][:MOST_DETAILED]
    details = [_classifier(winner) if "confusion" in winner.scores else _other(winner) for winner in detailed]
    return [Section("Winners on the test images", html=_overview(winners)), *details]


def percent(share: float) -> str:
    """A fraction as it is written everywhere: `98.20 %`."""
    return METRICS["val_accuracy"].text(share)


_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "top5_accuracy": "top-5 accuracy",
    "loss": "loss",
    "expected_calibration_error": "calibration error",
    "reconstruction": "reconstruction",
    "kl": "KL",
}


def _overview(winners: Sequence[Winner]) -> str:
    shown = [name for name in _NAMES if any(winner.scores.get(name) is not None for winner in winners)]
    head = ["run", "test images", *(_NAMES[name] for name in shown)]
    rows = [
        [winner.name, f"{winner.scores['n']:,}", *(_score(winner.scores, name) for name in shown)] for winner in winners
    ]
    about = "Trials retrained by <code>imagetune retrain</code>, in the order of their ranking on validation images."
    return f"<p class=soft>{about}</p>{html_table(head, rows, text=1)}"


def _score(scores: Mapping[str, Any], name: str) -> str:
    value = scores.get(name)
    if value is None:
        return "-"
    if name in ("loss", "reconstruction", "kl"):
        return f"{value:.4f}"
    interval = scores.get("accuracy_interval") if name == "accuracy" else None  # earlier versions have none
    return percent(value) + (f" ({percent(interval[0])} to {percent(interval[1])})" if interval else "")


def _classifier(winner: Winner) -> Section:
    scores = winner.scores
    rows = [row for row in scores["per_class"] if row["n"]]
    worst = sorted(rows, key=lambda row: row["f1"])
    charts = [evaluation.confusion(scores)]
    if (found := scores.get("calibration")) is not None:
        charts.append(evaluation.calibration(found))
    if 1 < len(rows) <= evaluation.MOST_CLASSES:
        charts.insert(1, evaluation.per_class(sorted(rows, key=lambda row: row["recall"])))
    pairs = _pairs(scores)
    return Section(
        f"Winner {winner.name}: accuracy {_score(scores, 'accuracy')}",
        [*map(drawn, charts), *([pairs] if pairs else [])],
        html=f"{_pictures(winner)}{_classes(rows if len(rows) <= MOST_LISTED else worst, len(rows))}",
    )


def _classes(rows: Sequence[Mapping[str, Any]], many: int) -> str:
    shown = [
        [row["name"], f"{row['n']:,}", *(percent(row[key]) for key in ("precision", "recall", "f1"))]
        for row in rows[:MOST_LISTED]
    ]
    which = f"The {len(shown)} of {many:,} classes with the lowest F1" if len(shown) < many else "Scores by class"
    table = html_table(["class", "images", "precision", "recall (accuracy)", "F1"], shown, text=1)
    return f"<details><summary>{which}</summary>{table}</details>"


def _pairs(scores: Mapping[str, Any]) -> str:
    """The most confused pairs; evaluations of earlier versions have no list of them."""
    pairs = scores.get("most_confused", [])[:MOST_PAIRS]
    rows = [[pair["truth"], pair["predicted"], f"{pair['n']:,}", percent(pair["share"])] for pair in pairs]
    head = ["truth", "predicted", "images", "of the class"]
    return f"<h3>Most confused pairs</h3>{html_table(head, rows, text=2)}" if rows else ""


def _other(winner: Winner) -> Section:
    terms = ", ".join(f"{_NAMES[name]} {_score(winner.scores, name)}" for name in ("loss", "reconstruction", "kl"))
    return Section(f"Winner {winner.name}: {terms}", html=_pictures(winner))


def _pictures(winner: Winner) -> str:
    paths = ((winner.folder.figures / f"{name}.png", about) for name, about in PICTURES.items())
    return "".join(_picture(path, about) for path, about in paths if path.is_file())


def _picture(path: Path, about: str) -> str:
    """A figure as an image inside the page; a large one is made smaller, or only named if that does not help."""
    content, kind, words = path.read_bytes(), "png", html.escape(about)
    if len(content) > MOST_BYTES:
        content, kind = _smaller(content), "webp"
    if len(content) > MOST_BYTES:
        return f"<p class=soft>{words}: see {html.escape(str(path))}</p>"
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    image = f'<div class=scroll><img alt="{words}" src="{source}"></div>'
    return f"<figure><figcaption>{words}</figcaption>{image}</figure>"


def _smaller(picture: bytes) -> bytes:
    stream = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.thumbnail((MOST_PIXELS, 8 * MOST_PIXELS))
        image.convert("RGB").save(stream, "webp", quality=80)
    return stream.getvalue()


def mean_accuracy(winners: Sequence[Winner]) -> float | None:
    """The mean test accuracy over the runs of the best trial; None for other tasks, and without winners."""
    own = [run.scores["accuracy"] for run in winners if run.trial == winners[0].trial and "accuracy" in run.scores]
    return sum(own) / len(own) if own else None
