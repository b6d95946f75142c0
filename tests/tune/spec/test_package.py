"""Describing a search costs neither Ray nor Optuna."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_loading_a_search_imports_neither_ray_nor_optuna() -> None:
    code = (
        "import sys; from tune.spec import load_search; load_search('digits');"
        "print(*sorted(sys.modules.keys() & {'ray', 'optuna', 'typer', 'rich', 'pandas', 'plotly'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
