"""Fill the tables of RESULTS.md and cluster.md from the CSV files in results/: no number there is written by hand.

Run it as python -m tests.benchmarks.render. A test asserts that doing so changes nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.benchmarks.cells import (
    Columns,
    Row,
    decimal,
    measured,
    megabytes,
    percent,
    plain,
    quartiles,
    share,
    times,
    whole,
)
from tests.benchmarks.rows import RESULTS, read_rows
from tune.reproduce.reproduce import table as reproduction

PAGES = [Path(__file__).with_name(name) for name in ("RESULTS.md", "cluster.md")]

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
        "epochs of each retraining": plain("retrain_epochs"),
        "retraining, s": whole("retrain_seconds"),
        "test accuracy of the retrained winner": percent("test_accuracy_mean", "test_accuracy_std"),
        "macro F1": percent("test_macro_f1_mean"),
        "seeds": plain("seeds"),
        "precision": plain("precision"),
        **WHERE,
    },
    "reproduction": {
        "row": lambda row: f"`{row['row']}`",
        "published test accuracy": percent("published_accuracy"),
        "ours": lambda row: percent("accuracy_mean", "accuracy_std")(row) if measured(row) else row["status"],
        "published macro F1": percent("published_macro_f1"),
        "our F1": percent("macro_f1_mean"),
        "published loss": plain("published_loss"),
        "our loss": decimal("loss_mean"),
        "published validation": percent("published_val_accuracy"),
        "our validation": percent("val_accuracy_mean", "val_accuracy_std"),
        "points": lambda row: f"{100 * float(row['difference']):+.3f} ({row['verdict']})" if row["verdict"] else "-",
        "parameters": whole("parameters"),
        "epochs": plain("epochs"),
        "training, s": whole("seconds"),
        "precision": plain("precision"),
        "n": plain("n"),
        "caveat": lambda row: row["caveat"],
        **WHERE,
    },
    "front": {
        "network": lambda row: row["network"] if row["network"].startswith("trial") else f"`{row['network']}`",
        "parameters": whole("parameters"),
        "validation": percent("val_accuracy"),
        "epochs": plain("epochs"),
        "training, s": whole("seconds"),
        "found: no larger and no worse": plain("no larger and no worse"),
        **WHERE,
    },
    "grace": {
        "space": lambda row: f"`{row['space']}`",
        "images": plain("images"),
        "trials": plain("trials"),
        "epochs": plain("epochs"),
        **{f"at {epoch}": plain(f"epoch {epoch}") for epoch in (1, 2, 3, 4, 6, 9, 12)},
        "at least .7 from": plain("predictive from"),
        "grace period": plain("grace period"),
        **WHERE,
    },
    "dtypes": {
        "row": lambda row: f"`{row['row']}`",
        "images kept as": plain("images"),
        "training in": plain("training"),
        "inference": plain("inference"),
        "test accuracy": percent("accuracy_mean", "accuracy_std"),
        "macro F1": percent("macro_f1_mean"),
        "loss": decimal("loss_mean"),
        "training, s per epoch": quartiles("epoch_seconds", 1),
        "ms per batch": quartiles("batch_ms", 2),
        "ms per image alone": quartiles("image_ms", 3),
        "model, MB": megabytes("model_bytes", 2),
        "images, MB": megabytes("image_bytes", 1),
        "peak of the training, MB": megabytes("peak_bytes", 0),
        "n": plain("n"),
        "torch": plain("torch"),
        **WHERE,
    },
    "epoch_speed": {
        "model": lambda row: f"`{row['model']}`",
        "images": plain("images"),
        "batch": plain("batch"),
        "precision": plain("precision"),
        "imagetune, s per epoch": plain("ours_seconds"),
        "tutorial, s per epoch": plain("tutorial_seconds"),
        "ratio": times("ratio"),
        "aim": plain("aim"),
        "floor, s": plain("floor_seconds"),
        "n": plain("n"),
        "spread": plain("spread"),
        **WHERE,
    },
    "whole_search": {
        "model": lambda row: f"`{row['model']}`",
        "precision": plain("precision"),
        "imagetune, s": plain("ours_seconds"),
        "tutorial, s": plain("tutorial_seconds"),
        "ratio": times("ratio"),
        "aim": plain("aim"),
        "floor, s": plain("floor_seconds"),
        "best accuracy, imagetune": percent("ours_accuracy"),
        "best accuracy, tutorial": percent("tutorial_accuracy"),
        "n": plain("n"),
        **WHERE,
    },
    "start_and_end": {
        "program": plain("program"),
        "s": plain("seconds"),
        "lowest": plain("lowest"),
        "highest": plain("highest"),
        "to the floor": plain("share of the floor"),
        "not training": percent("beside training"),
        "n": plain("n"),
        **WHERE,
    },
    "busy_cores": {
        "experiment": lambda row: f"`{row['experiment']}`",
        "threads": plain("threads"),
        "spins at a barrier": whole("spins"),
        "busy processes": plain("busy processes"),
        "s per epoch": plain("seconds"),
        "to one thread alone": times("ratio to one thread alone", 2),
        "n": plain("n"),
        "load": plain("load"),
        **WHERE,
    },
    "gpu_speed": {
        "model": lambda row: f"`{row['model']}`",
        "precision": plain("precision"),
        "imagetune, s per epoch": plain("ours_seconds"),
        "ms per step": plain("ours_ms_per_step"),
        "images per second": whole("ours_images_per_second"),
        "tutorial, s per epoch": plain("tutorial_seconds"),
        "ratio": times("ratio"),
        "n": plain("n"),
        "torch": plain("torch"),
        **WHERE,
    },
    "gpu_record": {
        "precision": plain("precision"),
        "batch": plain("batch"),
        "imagetune, images per second": whole("ours_images_per_second"),
        "script, images per second": whole("script_images_per_second"),
        "ratio": times("ratio", 2),
        "n": plain("n"),
        "torch": plain("torch"),
        **WHERE,
    },
    "many_at_once": {
        "model": lambda row: f"`{row['model']}`",
        "networks": plain("networks"),
        "way": plain("way"),
        "ms per step of all": plain("ms_per_step"),
        "images per second in all": whole("images_per_second"),
        "to one after the other": times("ratio"),
        "memory, MiB": plain("peak_mib"),
        "n": plain("n"),
        **WHERE,
    },
    "memory": {
        "data set": plain("dataset"),
        "processes": plain("processes"),
        "images of all processes, MB": plain("images_mb_of_all_processes"),
        "copied, MB": plain("copied_mb_of_all_processes"),
        **WHERE,
    },
    "search_quality_summary": {
        "tasks": lambda row: f"{row['compared']} {row['tasks']}",
        "method": lambda row: f"`{row['method']}`",
        "at once": plain("workers"),
        "seeds": plain("seeds"),
        "1 %: share of stock": share("epochs_1_percent"),
        "median epochs, 1 %": plain("epochs_1_percent_medians"),
        ".2 %: share of stock": share("epochs_0.2_percent"),
        "median epochs, .2 %": plain("epochs_0.2_percent_medians"),
        "ms a suggestion": plain("ms_per_suggestion"),
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
    "large_record": {
        "command": lambda row: f"`{row['command']}`",
        "trials": whole("trials"),
        "epochs of each": plain("epochs"),
        "seconds": plain("seconds"),
        "seconds of the CPU": plain("cpu_seconds"),
        "peak, MB": whole("peak_mb"),
        "page, MB": plain("page_mb"),
        "journal, MB": plain("journal_mb"),
        "n": plain("n"),
        **WHERE,
    },
    "cluster": {
        "search": plain("search"),
        "trials at once": whole("concurrent"),
        "how": plain("how"),
        "results/s": plain("results_per_second"),
        "trials/s": plain("trials_per_second"),
        "keeps up with epochs of, s": lambda row: f"{float(row['concurrent']) / float(row['results_per_second']):,.1f}",
        "driver, ms per result": plain("driver_ms_per_result"),
        "ms per proposal": plain("proposal_ms"),
        "driver, CPUs": plain("driver_cpu"),
        "driver peak, MB": plain("driver_peak_mb"),
        "object store, MB per node": plain("object_store_mb_per_node"),
        "journal, MB": plain("journal_mb"),
        "trials": whole("trials"),
        "load": plain("load"),
        **WHERE,
    },
    "reliability": {
        "fault": plain("fault"),
        "how injected": plain("how injected"),
        "what happened": plain("what happened"),
        "exit": plain("exit code"),
        "lost": plain("lost"),
        "commit": plain("commit"),
    },
}


def rows_of(name: str) -> list[Row]:
    """The rows of a table. Published runs have a row each, measured or not."""
    path = RESULTS / f"{name}.csv"
    if name == "reproduction":
        lines = reproduction(path).values()
        return [{column: "" if value is None else str(value) for column, value in line.items()} for line in lines]
    return read_rows(name) if path.is_file() else []


def render(name: str) -> str:
    """A table as Markdown."""
    columns, rows = TABLES[name], rows_of(name)
    if not rows:
        return "Not measured yet.\n"
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    cells = ([cell(row).replace("|", "\\|") for cell in columns.values()] for row in rows)
    lines += ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    """The page with every table between its marks replaced."""
    pattern = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.S)
    return pattern.sub(lambda match: match[1] + render(match[2]) + match[3], text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
