"""Fill the README's tables from the CSV files beside this script: no number there is written by hand.

python -m tests.benchmarks.readme          (a test asserts that doing so changes nothing)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.rows import RESULTS, read_rows

README = Path(__file__).parents[2] / "README.md"
Row = dict[str, str]
Columns = dict[str, Callable[[Row], str]]


def plain(name: str) -> Callable[[Row], str]:
    """The cell as it stands."""
    return lambda row: row.get(name, "") or "-"


def percent(name: str, spread: str | None = None) -> Callable[[Row], str]:
    """A fraction in percent, with its standard deviation."""

    def cell(row: Row) -> str:
        if not row.get(name):
            return "-"
        tail = f" ± {100 * float(row[spread]):.2f}" if spread and row.get(spread) else ""
        return f"{100 * float(row[name]):.2f} %{tail}"

    return cell


def times(name: str) -> Callable[[Row], str]:
    """A ratio."""
    return lambda row: f"{float(row[name]):.1f}x"


def whole(name: str) -> Callable[[Row], str]:
    """A whole number with thousands marked."""
    return lambda row: f"{float(row[name]):,.0f}" if row.get(name) else "-"


WHERE: Columns = {"hardware": plain("hardware"), "commit": plain("commit")}

TABLES: dict[str, Columns] = {
    "main_job": {
        "search": lambda row: f"`{row['search']}`",
        "command": lambda row: f"`{row['command']}`",
        "trials (stopped early)": lambda row: f"{row['trials']} ({row['stopped']})",
        "epochs": plain("epochs"),
        "training, s": whole("training_seconds"),
        "validation": percent("best_val_accuracy"),
        "parameters": whole("parameters"),
        "test accuracy of the retrained winner": percent("test_accuracy_mean", "test_accuracy_std"),
        "macro F1": percent("test_macro_f1_mean"),
        "seeds": plain("seeds"),
        **WHERE,
    },
    "epoch_speed": {
        "model": lambda row: f"`{row['model']}`",
        "precision": plain("precision"),
        "imagetune, s per epoch": plain("ours_seconds"),
        "tutorial, s per epoch": plain("tutorial_seconds"),
        "ratio": times("ratio"),
        "n": plain("n"),
        "spread": plain("spread"),
        "hardware": lambda row: f"1 core of {row['cpu']}",
        "commit": plain("commit"),
    },
    "memory": {
        "data set": plain("dataset"),
        "processes": plain("processes"),
        "images of all processes, MB": plain("images_mb_of_all_processes"),
        "copied, MB": plain("copied_mb_of_all_processes"),
        **WHERE,
    },
    "scale": {
        "search": plain("search"),
        "trials": plain("trials"),
        "epochs": plain("epochs"),
        "trials/s": plain("trials_per_second"),
        "first tenth": plain("first_tenth"),
        "last tenth": plain("last_tenth"),
        "driver peak, MB": plain("driver_peak_mb"),
        "journal, MB": plain("journal_mb"),
        **WHERE,
    },
    "reliability": {
        "fault": plain("fault"),
        "what happened": plain("what happened"),
        "exit": plain("exit code"),
        "lost": plain("lost"),
        "commit": plain("commit"),
    },
}


def render(name: str) -> str:
    """One table as Markdown; a line that says so where it was not measured yet."""
    if not (RESULTS / f"{name}.csv").is_file():
        return "Not measured yet.\n"
    columns = TABLES[name]
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    cells = ([cell(row).replace("|", "\\|") for cell in columns.values()] for row in read_rows(name))
    lines += ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    """The README with every table between its marks replaced."""
    pattern = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.S)
    return pattern.sub(lambda match: match[1] + render(match[2]) + match[3], text)


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
