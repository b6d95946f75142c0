"""Names, options and help: what others rely on, and what `--help` costs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from search_spaces import shipped
from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import image_folder, search_folder
from tune.cli.main import COMMANDS, load

COMMON = {"--out", "--data-dir", "--json"}
SEARCH = {"--warm-start", "--time-budget", "--address"}
ARGUMENTS = {
    "datasets": [],
    "models": [],
    "spaces": ["NAME"],
    "new": ["FILE"],
    "prepare": ["DATASET", "FIELD=VALUE"],
    "describe": ["MODEL", "FIELD=VALUE"],
    "train": ["EXPERIMENT", "FIELD=VALUE"],
    "preview": ["SPACE", "FIELD=VALUE"],
    "search": ["SPACE", "FIELD=VALUE"],
    "status": ["SEARCH"],
    "stop": ["SEARCH"],
    "add": ["SEARCH", "FIELD=VALUE"],
    "set": ["SEARCH", "FIELD=VALUE"],
    "results": ["SEARCH"],
    "report": ["SEARCH"],
    "retrain": ["SEARCH", "FIELD=VALUE"],
    "evaluate": ["RUN", "FIELD=VALUE"],
    "compare": ["RUN..."],
    "export": ["RUN", "FIELD=VALUE"],
    "latency": ["RUN..."],
    "predict": ["RUN", "IMAGE"],
    "dashboard": ["SEARCH"],
    "log": ["SEARCH"],
    "submit": ["SPACE", "FIELD=VALUE"],
    "jobs": [],
    "logs": ["ID"],
    "cancel": ["ID"],
    "reproduce": ["ROW"],
}
OPTIONS = {
    "datasets": {"--json"},
    "models": {"--json"},
    "spaces": {"--json"},
    "new": {"--json", "--images", "--like"},
    "prepare": {"--json", "--data-dir"},
    "describe": {"--json", "--input", "--classes", "--batch"},
    "train": {*COMMON, "--name", "--resume", "--weights"},
    "preview": {"--json", "--data-dir"},
    "search": {*COMMON, "--study", "--name", "--trials", "--resume", "--extend", *SEARCH},
    "status": {"--json", "--out", "--study"},
    "stop": {"--json", "--out", "--study", "--trial"},
    "add": {*COMMON, "--study"},
    "set": {"--json", "--out", "--study"},
    "results": {"--json", "--out", "--top", "--sort", "--csv", "--study"},
    "report": {"--json", "--out", "--output", "--study"},
    "retrain": {*COMMON, "--top", "--trial", "--front", "--seeds", "--full", "--study"},
    "evaluate": {*COMMON, "--split", "--predictions", "--mistakes", "--corruptions", "--test-time-averaging"},
    "compare": {"--json", "--out", "--output"},
    "dashboard": {"--json", "--out", "--port", "--study"},
    "log": {"--json", "--out", "--to", "--output", "--study"},
    "submit": {*COMMON, "--address", "--name", "--study", "--print"},
    "jobs": {"--json", "--address"},
    "logs": {"--json", "-f", "--follow", "--address"},
    "cancel": {"--json", "--address"},
    "export": {*COMMON, "--format", "--quantize", "--output"},
    "latency": {"--json", "--out"},
    "predict": {"--json", "--out", "--top", "--sample", "--interpolate", "--seed", "--output", "--csv"},
    "reproduce": {*COMMON, "--list", "--seeds", "--precision", "--csv"},
}


def parameters(name: str, kind: str) -> list[Any]:
    return [parameter for parameter in load(name).params if parameter.param_type_name == kind]


WRITTEN = [(name, option) for name, options in OPTIONS.items() for option in ("--output", "--csv") if option in options]


@pytest.mark.parametrize(("name", "option"), [*WRITTEN, ("new", "")])
def test_what_is_written_cannot_be_a_url(imagetune: Command, name: str, option: str) -> None:
    """Only `--out` can be in S3: `s3://b/f` would be taken for a folder of this machine."""
    assert len(WRITTEN) == 8
    outcome = imagetune(name, *filter(None, ["x" * bool(option), option, "s3://b/f"]))
    assert outcome.code == 2
    assert "cannot be a URL" in " ".join(outcome.err.split())
    assert not Path("s3:").exists()


def test_these_are_all_commands() -> None:
    assert len(COMMANDS) == len(set(COMMANDS)) == 28
    assert set(COMMANDS) == set(OPTIONS) == set(ARGUMENTS)


@pytest.mark.parametrize("name", OPTIONS)
def test_names_and_options_stay(name: str) -> None:
    options = {word for option in parameters(name, "option") for word in option.opts} - {"--help"}
    assert options == OPTIONS[name]
    assert [argument.metavar for argument in parameters(name, "argument")] == ARGUMENTS[name]


def test_defaults_stay() -> None:
    defaults = {
        (name, parameter.name): parameter.default
        for name in OPTIONS
        for parameter in parameters(name, "option")
        if parameter.default not in (None, False) and parameter.name != "help"
    }
    assert {key: str(value) for key, value in defaults.items()} == {
        ("describe", "batch"): "100",
        ("train", "out"): "checkpoints",
        ("search", "out"): "checkpoints",
        ("status", "out"): "checkpoints",
        ("stop", "out"): "checkpoints",
        ("add", "out"): "checkpoints",
        ("set", "out"): "checkpoints",
        ("results", "out"): "checkpoints",
        ("report", "out"): "checkpoints",
        ("retrain", "out"): "checkpoints",
        ("retrain", "seeds"): "3",
        ("evaluate", "out"): "checkpoints",
        ("evaluate", "split"): "test",
        ("compare", "out"): "checkpoints",
        ("export", "out"): "checkpoints",
        ("export", "format"): "onnx",
        ("latency", "out"): "checkpoints",
        ("predict", "out"): "checkpoints",
        ("predict", "top"): "5",
        ("dashboard", "port"): "8080",
        ("dashboard", "out"): "checkpoints",
        ("log", "out"): "checkpoints",
        ("submit", "out"): "checkpoints",
        ("reproduce", "out"): "checkpoints",
        ("reproduce", "seeds"): "1",
    }


HELP = """
import sys
from typer.testing import CliRunner
from tune.cli.main import COMMANDS, app
assert len(sys.argv) - 1 == len(COMMANDS)
for words in [[], *([name] for name in sys.argv[1:])]:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0 and "Examples" in result.output, result.output
heavy = {"torch", "ray", "optuna", "pandas", "numpy", "sklearn", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""


def test_help_of_every_command_imports_nothing_heavy() -> None:
    words = [sys.executable, "-c", HELP, *OPTIONS]
    found = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert found.stdout.strip() == "[]"


def test_help_ends_in_examples(imagetune: Command) -> None:
    for name in OPTIONS:
        text = imagetune(name, "--help").out
        shown = " ".join(text[text.index("Examples") :].split())
        for example in import_module(f"tune.cli.{name}").EXAMPLES:
            assert " ".join(example.split()) in shown


SHORTER = {"5": "2", "training.epochs=20": "training.epochs=13", "training.epochs=30": "training.epochs=3"}
"""Words of examples that would train longer than what is shown by it: seeds and epochs."""


def test_the_examples_run(imagetune: Command, tmp_path: Path) -> None:
    search_folder(tmp_path / "checkpoints" / "digits")
    images = image_folder(tmp_path / "images")
    for name in (
        "datasets",
        "models",
        "spaces",
        "new",
        "prepare",
        "describe",
        "train",
        "status",
        "add",
        "set",
        "results",
        "report",
        "retrain",
        "evaluate",
    ):
        for example in import_module(f"tune.cli.{name}").EXAMPLES:
            program, *words = shlex.split(example)
            assert program == "imagetune"
            words = [SHORTER.get(word, word).replace("/path/to/images", str(images)) for word in words]
            if "cifar10" in words or "--trial" in words:
                continue  # needs the network; or a trial that this search does not have
            assert imagetune(*words).code == 0, example


COMPLETE = """
import sys
from tune.cli.program import main
sys.argv = ["imagetune"]
try:
    main()
finally:
    print(sorted({"torch", "ray", "optuna", "pandas", "numpy", "matplotlib"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("imagetune stat", ["status"]),
        ("imagetune search mnist_u", ["mnist_under_5k"]),
        ("imagetune results fl", ["flowers"]),
        ("imagetune search --resume fl", ["flowers"]),
        ("imagetune evaluate flowers/w", ["flowers/winners/00001-seed0"]),
        ("imagetune train my", ["my/", "my_space.yaml"]),
    ],
)
def test_the_shell_completes_names(tmp_path: Path, words: str, expected: list[str]) -> None:
    winner = tmp_path / "checkpoints" / "flowers" / "winners" / "00001-seed0"
    winner.mkdir(parents=True)
    (winner / "experiment.yaml").touch()
    (tmp_path / "checkpoints" / "flowers" / "search.yaml").touch()
    (tmp_path / "my").mkdir()
    (tmp_path / "my_space.yaml").touch()
    environment = os.environ | {
        "_IMAGETUNE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    call = [sys.executable, "-c", COMPLETE]
    found = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert found.stdout.split() == expected
    assert found.stderr.strip() == "[]"


def test_a_shipped_file_is_printed(imagetune: Command) -> None:
    text = shipped()["digits"].read_text(encoding="utf-8")
    assert imagetune("spaces", "digits").out == text
    document = imagetune("spaces", "digits", "--json").document
    assert (document["text"], document["name"], document["free"]) == (text, "digits", 5)
    assert (imagetune("spaces", "digitz").code, imagetune("spaces", "digitz").out) == (2, "")


def test_version(imagetune: Command) -> None:
    assert imagetune("--version").out.startswith("imagetune 0.")


def test_without_a_command_there_is_the_help(imagetune: Command) -> None:
    assert "Commands" in imagetune().out


@pytest.mark.parametrize(
    "words", [["prepar"], ["train"], ["train", "x", "--nmae", "y"], ["describe", "x", "--batch", "0"]]
)
def test_usage_errors_exit_with_2(imagetune: Command, words: list[str]) -> None:
    outcome = imagetune(*words)
    assert (outcome.code, outcome.out) == (2, "")


def test_a_mistyped_command_is_told_the_nearest(imagetune: Command) -> None:
    assert "did you mean prepare?" in imagetune("prepar").err
