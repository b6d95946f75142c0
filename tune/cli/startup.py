"""A check before anything else: the packages that `import` would find are ours."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import tune
from tune.errors import UserError

PACKAGES = ("tune", "models", "data", "search_spaces")


def check_packages() -> None:
    """Refuse to run where another package or folder stands before one of ours, as for `python -m tune` beside `data/`.

    Raises:
        UserError: names each intruder.
    """
    home = Path(str(tune.__file__)).resolve().parent.parent
    found = {name: _places(name) for name in PACKAGES}
    intruders = [
        f"`import {name}` finds {', '.join(map(str, places)) or 'nothing'} instead of {home / name}"
        for name, places in found.items()
        if home / name not in places
    ]
    if intruders:
        way_out = "start it from another folder (`python -m` looks in the current one first), or clear PYTHONPATH"
        raise UserError("\n".join([*intruders, f"legal: the packages of imagetune; {way_out}"]))


def _places(name: str) -> list[Path]:
    """The folders, or the module file, that importing a top-level name would use; nothing is imported."""
    spec = find_spec(name)
    if spec is None:
        return []
    places = list(spec.submodule_search_locations or []) or [str(spec.origin)]
    return [Path(place).resolve() for place in places]
