"""The line with which a command ends on a terminal: what one would do next, to be pasted as it stands."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

import typer

from tune.cli.options import DEFAULT_OUT
from tune.errors import UserError

P = ParamSpec("P")
Given = Mapping[str, Any]
"""The command's arguments and options by the names of its parameters."""
Words = tuple[str, ...]
OptionsOf = Callable[[str], Collection[str]]
"""The options of a command by its name; empty if there is no such command."""
CARRIED = {"--out": "out", "--study": "study", "--data-dir": "data_dir", "--address": "address"}
"""Options that the next command is given too, if it has them."""


def ends_with_next_step(name: str, command: Callable[P, None], options_of: OptionsOf) -> Callable[P, None]:
    """The command, which says what to do next when it is done; not with `--json`, nor without a terminal."""

    @functools.wraps(command)
    def inner(*args: P.args, **given: P.kwargs) -> None:
        try:
            command(*args, **given)
        except typer.Exit as end:
            if end.exit_code == 0:
                tell(name, given, options_of)
            raise
        tell(name, given, options_of)

    return inner


def on_terminal() -> bool:
    """Whether somebody reads what is printed on stdout."""
    return sys.stdout.isatty()


def tell(name: str, given: Given, options_of: OptionsOf) -> None:
    """Say what to do next after a command."""
    if given.get("json") or not on_terminal():
        return
    try:
        steps = STEPS[name](given)
    except (UserError, OSError, ValueError):  # the work is done, and has said what is wrong
        return
    told = [(words, options) for words in steps if (options := options_of(words[0]))]
    if lines := [shlex.join(["imagetune", *words, *_carried(options, given)]) for words, options in told]:
        print(f"next: {'   or: '.join(lines)}")


def _carried(options: Collection[str], given: Given) -> list[str]:
    """The options that the user typed and the next command has too."""
    values = {option: given.get(name) for option, name in CARRIED.items() if option in options}
    return [word for option, value in values.items() if value and value != DEFAULT_OUT for word in (option, str(value))]


# -- what comes after each command


def _after_spaces(given: Given) -> list[Words]:
    name = given["name"]
    return [("search", "digits"), ("spaces", "digits")] if name is None else [_use_of(name)]


def _use_of(space: str) -> Words:
    from tune.spec.files import find, read_tree

    return ("search" if read_tree(find(space)).get("space") else "train", space)


def _shipped_with(section: str, name: str) -> list[Words]:
    """The first shipped space, else experiment, of a data set or a model."""
    from search_spaces import shipped
    from tune.spec.files import read_tree

    trees = {space: read_tree(path) for space, path in shipped().items()}
    found = [
        space for space, tree in trees.items() if tree.get("experiment", tree).get(section, {}).get("name") == name
    ]
    found.sort(key=lambda space: not trees[space].get("space"))
    return [_use_of(found[0])] if found else [("spaces",)]


def _after_prepare(given: Given) -> list[Words]:
    if given["dataset"] != "folder":
        return _shipped_with("data", given["dataset"])
    path = next(text.partition("=")[2] for text in given["overrides"] or [] if text.startswith("data.path="))
    return [("new", "my_images.yaml", "--images", path)]


def _after_train(given: Given) -> list[Words]:
    from data.folder.parts import scan
    from tune.record.folder import locate_run
    from tune.runs.info import read_run

    run = _name(given, "experiment")
    source = read_run(locate_run(run, given["out"]))[0].data.source
    tested = source.name != "folder" or len(scan(source).test) > 0
    return [("evaluate", run) if tested else ("evaluate", run, "--split", "validation")]


def _name(given: Given, subject: str) -> str:
    """What a command called its search or run: --name, or the argument, or the name of the file that was given."""
    from tune.record.folder import RunFolder, SearchFolder, candidates

    if given["name"]:
        return str(given["name"])
    text = str(given[subject])
    for path in candidates(text, given["out"]):
        if RunFolder(path).exists or SearchFolder(path).exists:
            return text
    return Path(text).stem


def _after_search(given: Given) -> list[Words]:
    return _look_and_retrain(_name(given, "space"))


def _look_and_retrain(search: str) -> list[Words]:
    return [("report", search), ("retrain", search)]


def _after_status(given: Given) -> list[Words]:
    from tune.record import locate_search
    from tune.record.search_status import search_status

    search = given["search"]
    found = search_status(locate_search(search, given["out"], given["study"]))
    if found.status == "running":
        return [("results", search)]
    resume = found.counts["waiting"] and not found.enough
    return [("search", search, "--resume")] if resume else _look_and_retrain(search)


def _after_asking(given: Given) -> list[Words]:
    return [("status", given["search"])]


def _after_retrain(given: Given) -> list[Words]:
    """Evaluate the first winner of the best trial, or of the one that was chosen."""
    from tune.record import locate_search
    from tune.record.opening import read_search
    from tune.runs.retrain import chosen, plans
    from tune.spec.reading.overrides import parse_overrides

    found = read_search(locate_search(given["search"], given["out"], given["study"]))
    best, changes = chosen(found, 1, given["trial"])[0], parse_overrides(given["overrides"] or [])[0]
    first = next(plans(found, best, 1, full=given["full"], changes=changes)).folder
    return [("evaluate", _below_out(first.path, given["out"]))] if first.exists else []


def _below_out(path: Path, out: Path) -> str:
    """The shorter name of a run, where that means the same folder."""
    from tune.record.folder import locate_run

    if path.is_relative_to(out) and locate_run(short := str(path.relative_to(out)), out).path == path:
        return short
    return str(path)


def _after_evaluate(given: Given) -> list[Words]:
    return _take_away(given["run"], given["out"])


def _take_away(run: str, out: Path) -> list[Words]:
    """Export a classifier; look at samples of an autoencoder."""
    import models
    from tune.record.folder import locate_run
    from tune.runs.info import read_run

    folder = locate_run(run, out)
    if models.get(read_run(folder)[0].model.name).task != "classification":
        return [] if (folder.figures / "samples.png").is_file() else [("predict", run, "--sample", "4x8")]
    return [] if (folder.path / "export").is_dir() else [("export", run, "--format", "onnx")]


def _after_compare(given: Given) -> list[Words]:
    """Evaluate what is left out for want of it, else what the best run still lacks."""
    from tune.record.folder import locate_run
    from tune.report.comparison.compare import compare

    names = {locate_run(run, given["out"]): run for run in given["runs"]}
    ranked = compare(list(names)).runs
    missing = [names[run.folder] for run in ranked if run.best and run.predictions is None]
    return [("evaluate", missing[0])] if missing else _take_away(names[ranked[0].folder], given["out"])


def _evaluate_or_take_away(runs: Sequence[str], out: Path) -> list[Words]:
    """What the first of some runs still lacks; nothing for exported files, which are no runs."""
    from tune.record.folder import locate_run

    missing = [run for run in runs if not locate_run(run, out).evaluation.is_file()]
    return [("evaluate", missing[0])] if missing else _take_away(runs[0], out)


STEPS: dict[str, Callable[[Given], list[Words]]] = {
    "datasets": lambda given: [("prepare", "digits")],
    "models": lambda given: [("describe", "classifier", "cnn_layers=5")],
    "spaces": _after_spaces,
    "new": lambda given: [("search", str(given["file"]))],
    "prepare": _after_prepare,
    "describe": lambda given: _shipped_with("model", given["model"]),
    "train": _after_train,
    "preview": lambda given: [("search", given["space"], *(given["overrides"] or []))],
    "search": _after_search,
    "status": _after_status,
    "stop": _after_asking,
    "add": _after_asking,
    "set": _after_asking,
    "results": lambda given: _look_and_retrain(given["search"]),
    "report": lambda given: [("retrain", given["search"])],
    "retrain": _after_retrain,
    "evaluate": _after_evaluate,
    "predict": lambda given: _evaluate_or_take_away([given["run"]], given["out"]),
    "reproduce": lambda given: [("reproduce", "--list")],
    "compare": _after_compare,
    "export": lambda given: [("latency", given["run"])],
    "latency": lambda given: _evaluate_or_take_away(given["runs"], given["out"]),
    "dashboard": lambda given: [("results", given["search"])],
    "log": lambda given: [("report", given["search"])],
    "submit": lambda given: [] if given["manifest"] else [("jobs",)],
    "jobs": lambda given: [("submit", "digits", "--out", "/shared/searches")],
    "logs": lambda given: [("jobs",)],
    "cancel": lambda given: [("jobs",)],
}
"""For each command, from what it was given to one command or several; those that do not exist are left out."""
