"""A check before anything else: there is a working folder, and `import` would find our packages and the real ones."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

import tune
from tune.errors import UserError

OURS = ("tune", "models", "data", "search_spaces")
THEIRS = ("numpy", "optuna", "pandas", "ray", "torch", "torchvision")


def check_environment() -> None:
    """Leave the working folder out of the search for modules, and refuse to run where PYTHONPATH hides a package.

    Raises:
        UserError: the working folder has been deleted, or names each module that hides a package.
    """
    home = Path(str(tune.__file__)).resolve().parent.parent
    try:
        here = Path.cwd()
    except OSError as error:
        raise UserError(f"the working folder cannot be used: {error.strerror}; change to another folder") from None
    given = [Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if here not in (home, *given):
        # `python -m tune` begins its search here, where a user's models.py, data/ or torch.py may lie.
        sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    hidden = [
        f"`import {name}` would find {_place(found)} instead of {_place(wanted)}"
        for name, found, wanted in [*_ours(home), *_theirs(given)]
        if _place(found) != _place(wanted)
    ]
    if hidden:
        raise UserError(*hidden, "rename them, or remove their folder from PYTHONPATH")


def _ours(home: Path) -> list[tuple[str, ModuleSpec | None, ModuleSpec | None]]:
    return [(name, PathFinder.find_spec(name), PathFinder.find_spec(name, [str(home)])) for name in OURS]


def _theirs(given: list[Path]) -> list[tuple[str, ModuleSpec | None, ModuleSpec | None]]:
    """Of the packages we need, those that PYTHONPATH hides, unless it holds another installation of them."""
    rest = [entry for entry in sys.path if Path(entry).resolve() not in given]
    found = [(name, PathFinder.find_spec(name), PathFinder.find_spec(name, rest)) for name in THEIRS]
    return [each for each in found if each[2] is not None and not _installed(each[0], given)]


def _installed(name: str, folders: list[Path]) -> bool:
    return any(next(folder.glob(f"{name}*.*-info"), None) for folder in folders)


def _place(spec: ModuleSpec | None) -> Path | None:
    """The module's file, or its folder; None if there is none."""
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or [])
    return Path(folders[0] if folders else str(spec.origin)).resolve()
