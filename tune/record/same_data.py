"""Whether the images are still the ones that a run or a search was made with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from data import DataIdentity
from tune.errors import UserError
from tune.files import write_whole
from tune.record.folder import SearchFolder
from tune.record.search_yaml import made_with

FILE = "data.npz"
UNRECORDED = "unknown"
"""Stands for the digest in runs and searches that were made before images were recorded."""


def record_data(place: Path, identity: DataIdentity) -> str:
    """Record in the folder of a run or search which images it is made with.

    To be called before the folder's description (`experiment.yaml`, `search.yaml`) is written.

    Returns:
        The digest, to be written as `made_with.data` of the description.

    Raises:
        OSError: The file cannot be written.
    """
    if len(identity.train_hashes):  # bundled and published data sets are known by their names
        write_whole(place / FILE, identity.to_bytes())
    return identity.digest


def recorded_data(folder: SearchFolder) -> str:
    """The digest that a search was made with, or `UNRECORDED`.

    Raises:
        SpecError: `search.yaml` is damaged.
    """
    return str(made_with(folder).get("data", UNRECORDED))


def check_same_data(
    place: Path, recorded: str, now: DataIdentity, path: str | None, say: Callable[[str], None]
) -> None:
    """Refuse to use a run or a search whose images have changed.

    Args:
        place: The folder of the run or search.
        recorded: The digest in its description, or `UNRECORDED`.
        now: The images as they are now.
        path: Where they are, if they are the user's own.
        say: Called with a line if nothing was recorded to compare with.

    Raises:
        UserError: The images are not the same; says what has changed and what to do.
    """
    if recorded == UNRECORDED:
        say(f"{place}: made before imagetune recorded its images, so they are compared by number and class only")
    elif recorded != now.digest:
        lines = [f"{place}: the images in {path or now.name} are not the ones it was made with:"]
        lines += [f"  {change}" for change in _changes(place, recorded, now)]
        raise UserError(*lines, "restore them, or use data.path=FOLDER if they are somewhere else now")


def _changes(place: Path, recorded: str, now: DataIdentity) -> list[str]:
    try:
        before = DataIdentity.from_bytes((place / FILE).read_bytes())
    except FileNotFoundError:
        return [f"{FILE} is missing, so what has changed is not known"]
    except (OSError, ValueError) as error:
        return [f"{FILE} cannot be read ({error}), so what has changed is not known"]
    return before.changes(now) if before.digest == recorded else [f"{FILE} belongs to other images"]
