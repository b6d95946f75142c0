"""The package is this repository's, its public names exist, and it imports no other package of ours."""

import subprocess
import sys
from pathlib import Path

import models

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_is_ours() -> None:
    assert Path(models.__file__).resolve() == ROOT / "models" / "__init__.py"


def test_public_face() -> None:
    assert len(models.__all__) > 10
    assert all(hasattr(models, name) for name in models.__all__)


def test_importing_it_brings_no_other_room_and_no_ray() -> None:
    code = "import sys, models; print(*sorted(sys.modules.keys() & {'data', 'tune', 'search_spaces', 'ray', 'optuna'}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
