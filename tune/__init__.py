"""The application: everything that joins models, data and search spaces into searches.

For notebooks and scripts: `load_search`, `load_run`, and `data_root`, the folder with the images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune.report.face import data_root, load_run, load_search

__all__ = ["data_root", "load_run", "load_search"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: they bring pandas and torch (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'tune' has no attribute {name!r}")
    from tune.report import face

    return getattr(face, name)
