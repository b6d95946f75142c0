"""The package's public face, and that describing a search costs neither Ray nor Optuna."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tune.spec

ROOT = Path(__file__).resolve().parents[3]


def test_public_face() -> None:
    assert set(tune.spec.__all__) == {
        *("DataSpec", "Experiment", "Problem", "SearchSettings", "SearchSpec", "SpecError", "TrainingSpec"),
        *("data_root", "dump_yaml", "load_experiment", "load_search"),
    }
    assert all(hasattr(tune.spec, name) for name in tune.spec.__all__)


def test_loading_a_search_imports_neither_ray_nor_optuna() -> None:
    code = (
        "import sys; from tune.spec import load_search; load_search('digits');"
        "print(*sorted(sys.modules.keys() & {'ray', 'optuna', 'typer', 'rich', 'pandas', 'plotly'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
