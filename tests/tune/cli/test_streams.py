"""Standard streams that are closed, full, or of an encoding that lacks characters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tune.cli.conftest import Command

ROOT = Path(__file__).parents[3]


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell's line in which `imagetune` is the program."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    program = f'imagetune() {{ {sys.executable} -m tune "$@"; }}; set -o pipefail; {line}'
    return subprocess.run(["bash", "-c", program], cwd=folder, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("imagetune datasets >&-", "it is closed"),
        ("imagetune datasets >/dev/full", "No space left on device"),
        ("imagetune datasets --json >/dev/full", "No space left on device"),
        ("imagetune --help >/dev/full", "No space left on device"),
    ],
)
def test_results_that_cannot_be_printed_are_told_in_a_line(tmp_path: Path, line: str, reason: str) -> None:
    ended = shell(line, tmp_path)
    assert ended.returncode == 1
    (told,) = ended.stderr.decode().splitlines()
    assert "cannot print the results" in told
    assert reason in told


@pytest.mark.parametrize("command", ["datasets", "datasets --json", "spaces", "train --help"])
def test_a_reader_that_has_had_enough_ends_a_command_in_silence(tmp_path: Path, command: str) -> None:
    """As with `| head`."""
    ended = shell(f"(sleep 1; imagetune {command}) | true", tmp_path)
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("imagetune models 2>&- >/dev/null", 0),
        ("imagetune nonsense 2>&-", 2),
        ("imagetune nonsense 2>/dev/full", 2),
        ("imagetune datasets <&- >/dev/null", 0),
    ],
)
def test_messages_that_cannot_be_printed_change_nothing(tmp_path: Path, line: str, code: int) -> None:
    ended = shell(line, tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, b"", b"")


def test_no_file_takes_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    program = "from tune.cli.streams import prepare_streams as p; p(); print(open('x', 'w').fileno() > 2)"
    ended = shell(f'{sys.executable} -c "{program}" <&- 2>&-', tmp_path)
    assert ended.stdout == b"True\n"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A class folder with an accent, and one from a Latin-1 archive."""
    for name in ("café".encode(), b"na\xefve"):
        folder = os.path.join(os.fsencode(tmp_path / "images"), name)
        os.makedirs(folder)
        for number in range(4):
            with open(os.path.join(folder, b"%d.png" % number), "wb") as file:
                Image.fromarray(np.full((8, 8), 60 * number, np.uint8)).save(file, "png")
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict", "latin-1:strict"])
def test_every_encoding_can_print_every_name(images: Path, encoding: str) -> None:
    command = "imagetune prepare folder data.path=images data.image_size=8 --data-dir cache"
    table = shell(command, images, PYTHONIOENCODING=encoding)
    if table.returncode == 2:  # refused by name, before anything was written
        assert b"na\\xefve" in table.stderr
        return
    assert (table.returncode, table.stderr.count(b"Traceback")) == (0, 0)
    document = shell(f"{command} --json", images, PYTHONIOENCODING=encoding)
    assert document.returncode == 0
    assert json.loads(document.stdout)["classes"] == ["café", "na\udcefve"]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_names_are_utf_8_in_every_locale(images: Path, locale: str) -> None:
    settings = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
    command = "imagetune describe mini_resnet --json café=1; imagetune status 'Ünicode' --out caf\u00e9"
    ended = shell(command, images, **settings)
    lines = ended.stderr.decode().splitlines()
    shown = ("café", "Ünicode") if locale != "C" else (r"caf\xe9", r"\xdcnicode")
    assert all(any(name in line for line in lines) for name in shown), lines
    assert "udc" not in ended.stderr.decode()


def test_bytes_of_names_are_shown_as_they_are(tmp_path: Path) -> None:
    """Not as the characters that stand in for them in Python."""
    ended = shell("imagetune status x --out $'na\\xefve'", tmp_path)
    assert ended.returncode == 2
    assert b"there is no search.yaml in na\\xefve/x" in ended.stderr


def test_lines_on_stdout_show_control_characters_as_escapes(imagetune: Command, tmp_path: Path) -> None:
    """A name is data: it neither breaks a line nor sends a terminal a command."""
    images = tmp_path / "images"
    for name in ("a\x1b[31mb", "c\x07d"):
        (images / name).mkdir(parents=True)
        for number in range(12):
            Image.fromarray(np.full((8, 8), 20 * number, np.uint8)).save(images / name / f"{number}.png")
    data = ("data.name=folder", f"data.path={images}", "data.image_size=8", "training.batch_size=8")
    assert imagetune("train", "mnist_mlr", "--name", "run", *data, "training.epochs=1").code == 0
    lines = [
        imagetune("evaluate", "run", "--mistakes", "1x2"),
        imagetune("export", "run", "--output", tmp_path / "new\nline"),
        imagetune("predict", "run", images),
    ]
    assert [line.code for line in lines] == [0, 0, 0], [line.err for line in lines]
    shown = "".join(line.out for line in lines)
    assert not {"\x1b", "\x07"} & set(shown)
    assert all(name in shown for name in (r"a\x1b[31mb", r"c\x07d", r"new\nline"))
