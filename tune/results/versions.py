"""Which versions numbers were made with."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from platform import python_version

import tune

_PACKAGES = ("torch", "torchvision", "numpy")


def imagetune_version() -> str:
    """The installed version; in a checkout that nobody installed, the one its pyproject.toml states."""
    try:
        return metadata.version("imagetune")
    except metadata.PackageNotFoundError:
        project = Path(str(tune.__file__)).parent.parent / "pyproject.toml"
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


def versions() -> dict[str, str]:
    """The versions of Python, imagetune and the packages that numbers depend on."""
    found = {package: metadata.version(package) for package in _PACKAGES}
    return {"python": python_version(), "imagetune": imagetune_version(), **found}
