"""The packages are this repository's, their public names exist, and importing them costs what it must."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NEVER = {
    "import models": "data tune search_spaces ray optuna",
    "import search_spaces": "data models tune torch ray optuna pydantic numpy",
    "import data.registry; data.registry.names()": "models tune search_spaces torch",
    "from data.published.digits import read_digits; read_digits('train')": "sklearn scipy pandas tune",
    "from tune import load_search": "torch ray models typer rich plotly pyarrow.fs",
    "from tune.spec import load_search; load_search('digits')": "ray optuna typer rich pandas plotly",
}


@pytest.mark.parametrize("name", ["models", "search_spaces", "data"])
def test_a_package_is_ours_and_has_its_public_names(name: str) -> None:
    package = import_module(name)
    assert package.__file__ is not None
    assert Path(package.__file__).resolve() == ROOT / name / "__init__.py"
    assert len(package.__all__) > 10
    assert all(getattr(package, public) is not None for public in package.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = package.nonsense


@pytest.mark.parametrize("code", NEVER)
def test_what_is_not_imported(code: str) -> None:
    program = f"import sys; {code}; print(*sorted(sys.modules.keys() & set({NEVER[code]!r}.split())))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
