"""The versions, the machine and the date that results were obtained with."""

from __future__ import annotations

import os
import platform
import subprocess
import tomllib
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from platform import python_version

import tune
from data.words import counted

UNKNOWN = "unknown"
_PACKAGES = ("torch", "torchvision", "numpy")
_ROOT = Path(str(tune.__file__)).parent.parent


def imagetune_version() -> str:
    """The installed version; in a checkout that is not installed, the version in its pyproject.toml."""
    try:
        return metadata.version("imagetune")
    except metadata.PackageNotFoundError:
        project = _ROOT / "pyproject.toml"
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


def versions(*more: str) -> dict[str, str]:
    """The versions of Python, imagetune and the packages that results depend on, `more` of them if given."""
    found = {package: metadata.version(package) for package in (*_PACKAGES, *more)}
    return {"python": python_version(), "imagetune": imagetune_version(), **found}


def circumstances() -> dict[str, str]:
    """Hardware, versions, commit and date of a measurement."""
    return {
        "hardware": hardware(),
        "python": python_version(),
        "torch": metadata.version("torch"),
        "commit": commit(),
        "date": today(),
    }


def hardware(gpu: str | None = None) -> str:
    """The machine in words: `2 cores of AMD EPYC`, and the name of the GPU if one is used."""
    return ", ".join([f"{counted(os.cpu_count() or 1, 'core')} of {cpu_name()}", *([gpu] if gpu else [])])


def commit() -> str:
    """The short hash of this checkout; unknown if imagetune is installed as a package, or without git."""
    if not (_ROOT / ".git").exists():  # a repository further up is another project
        return UNKNOWN
    try:
        ask = ["git", "-C", str(_ROOT), "rev-parse", "--short", "HEAD"]
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN


def today() -> str:
    """The date as 2026-01-31, in UTC."""
    return datetime.now(UTC).date().isoformat()


def cpu_name() -> str:
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
