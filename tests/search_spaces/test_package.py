"""The package is this repository's, its public names exist, and it imports no other package of ours."""

import subprocess
import sys
from pathlib import Path

import search_spaces

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_is_ours() -> None:
    assert Path(search_spaces.__file__).resolve() == ROOT / "search_spaces" / "__init__.py"


def test_public_face() -> None:
    assert len(search_spaces.__all__) > 10
    assert all(hasattr(search_spaces, name) for name in search_spaces.__all__)


def test_importing_it_brings_no_other_room_and_nothing_heavy() -> None:
    code = (
        "import sys, search_spaces;"
        "print(*sorted(sys.modules.keys() & {'data', 'models', 'tune', 'torch', 'ray', 'optuna', 'pydantic', 'numpy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_is_shipped() -> None:
    found = search_spaces.shipped()
    assert {"cifar10_classifier", "cifar10_classifier_wide", "digits", "mnist_simple"} <= set(found)
    files = [*(ROOT / "search_spaces").rglob("*.yaml")]
    assert sorted(files) == sorted(found.values()), "two files of one name, or one that is not found"
