"""The application: everything that joins models, data and search spaces into searches.

For notebooks and scripts: `load_search`, `load_run`, and `data_root`, the folder with the images.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune.report.face import load_search
    from tune.report.run_results import load_run
    from tune.spec import data_root

__all__ = ["data_root", "load_run", "load_search"]

# Imported when first used: they bring pandas, and `load_run` torch.
_HOME = {"data_root": "spec", "load_run": "report.run_results", "load_search": "report.face"}


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'tune' has no attribute {name!r}")
    return getattr(import_module(f"tune.{_HOME[name]}"), name)
