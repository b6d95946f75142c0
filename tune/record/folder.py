"""The folders of searches and runs: what lies where, which folder a name means, and files that appear whole."""

from __future__ import annotations

import errno
import os
import shlex
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

from data.words import printable, quoted
from tune.buckets import client
from tune.buckets.address import shown, url_of
from tune.buckets.parsing import folder_of, is_url
from tune.errors import UserError
from tune.files import fetch, is_file, probe
from tune.record.disk import FULL
from tune.record.storage.url import EXAMPLES, study_url, typed

MAX_NAME = 255  # bytes: the limit of most file systems


class _Folder(Protocol):
    @property
    def path(self) -> Path: ...

    @property
    def exists(self) -> bool: ...


F = TypeVar("F", bound=_Folder)


class Below:
    """A path below a folder, as an attribute of the folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: _Folder, owner: type | None = None) -> Path:
        return folder.path / self._name


@dataclass(frozen=True)
class SearchFolder:
    """The files of one search.

    Attributes:
        path: The folder.
        study: The URL of the database with the search's record; None where the record is the journal.
    """

    path: Path
    study: str | None = None

    spec = Below("search.yaml")
    """The search, every field spelled out."""
    journal = Below("study.journal")
    """The record."""
    lock = Below(".driver.lock")
    """Locked by the process that runs the search."""
    trials_table = Below("trials.parquet")
    """One row per trial."""
    epochs_table = Below("epochs.parquet")
    """One row per epoch."""
    requests = Below("requests")
    """Requests from outside that the driver has not carried out yet."""
    winners = Below("winners")
    """Run folders of retrained trials."""

    @property
    def name(self) -> str:
        """The search's name: its folder's, also where the path is `.` or `..`."""
        return Path(os.path.abspath(self.path)).name

    @property
    def argument(self) -> str:
        """The search on a command line."""
        return shlex.join([shown(self.path), *(["--study", typed(self.study)] if self.study else [])])

    @property
    def exists(self) -> bool:
        """Whether a search was started here."""
        return self.spec.is_file() or self.journal.is_file()

    def trial(self, number: int) -> Path:
        """A trial's folder: named by number, since folders named by parameters exceed the limits of paths."""
        return self.path / f"trial_{number:05d}"

    def best(self, number: int) -> Path:
        """The weights of a trial's best epoch."""
        return self.trial(number) / "best.safetensors"

    def kept(self, number: int) -> str | None:
        """A trial's best weights as the tables name them, relative to the folder; None where they are not kept."""
        path = self.best(number)
        return str(path.relative_to(self.path)) if is_file(path) else None


@dataclass(frozen=True)
class RunFolder:
    """The files of one training."""

    path: Path

    experiment = Below("experiment.yaml")
    """The experiment, every field spelled out."""
    epochs_table = Below("epochs.parquet")
    """One row per epoch."""
    weights = Below("model.safetensors")
    """The best epoch's weights."""
    last = Below("last.pt")
    """The last checkpoint, from which the training is resumed."""
    log = Below("train.log")
    """What the console said."""
    evaluation = Below("evaluation.json")
    """The scores on the test split."""
    predictions = Below("predictions.parquet")
    """One row per test image."""
    figures = Below("figures")
    """Pictures."""

    @property
    def name(self) -> str:
        """The run's name: its folder's, also where the path is `.` or `..`."""
        return Path(os.path.abspath(self.path)).name

    @property
    def exists(self) -> bool:
        """Whether a run was started here."""
        return self.experiment.is_file()


# -- which folder a name means


def candidates(name_or_path: str, out: Path) -> tuple[Path, Path]:
    """Where a search or run may be, the likelier first: a bare name means the folder below `out`, a path itself.

    Of one in S3, the mirror, as the bucket is now.

    Raises:
        UserError: it is a URL that cannot be used, or the bucket cannot be read.
    """
    path = folder_of(name_or_path)
    below = path if is_url(name_or_path) else out / name_or_path
    fetch(below)
    return (path, below) if os.sep in name_or_path else (below, path)


def locate_search(name_or_path: str, out: Path, study: str | None = None) -> SearchFolder:
    """The folder of an existing search; `study` as the user gives it.

    Raises:
        UserError: there is none, or `study` is not the URL of a database.
    """
    url = study_url(study)
    return _existing(name_or_path, out, [SearchFolder(path, url) for path in candidates(name_or_path, out)])


def locate_run(name_or_path: str, out: Path) -> RunFolder:
    """The folder of an existing run.

    Raises:
        UserError: there is none.
    """
    return _existing(name_or_path, out, [RunFolder(path) for path in candidates(name_or_path, out)])


def _existing(name_or_path: str, out: Path, folders: list[F]) -> F:
    for folder in folders:
        try:
            if folder.exists:
                return folder
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
    kind, marker = ("search", "search.yaml") if isinstance(folders[0], SearchFolder) else ("run", "experiment.yaml")
    places = " or ".join(dict.fromkeys(str(folder.path) for folder in folders))
    out = folders[0].path.parent if is_url(name_or_path) else out
    raise UserError(
        printable(
            f"{quoted(name_or_path)} is not a {kind}: there is no {marker} in {places}; "
            f"below {out} there are: {', '.join(_below(out, marker)) or 'none'}"
        )
    )


def _below(out: Path, marker: str) -> list[str]:
    """The folders with a certain file below `out`; of a bucket, all folders in it."""
    if (url := url_of(out)) is not None:
        return client.folders(url)
    patterns = (marker, f"*/{marker}", f"*/winners/*/{marker}")
    return sorted(str(path.parent.relative_to(out)) for pattern in patterns for path in out.glob(pattern))


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written to; nothing is left in it.

    Raises:
        UserError: Says why.
    """
    if url_of(folder) is not None:
        return probe(folder)
    try:
        above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with TemporaryDirectory(prefix=".", dir=above):
            pass
    except OSError as error:
        if error.errno not in FULL:  # the search waits for room
            raise UserError(f"{folder}: {error.strerror}; use an --out that is writable") from None
    return None


def check_recordable(place: str, study: str | None) -> None:
    """Refuse a search in S3 whose record is not in a database.

    Args:
        place: A folder, or its URL.
        study: The database's URL.

    Raises:
        UserError: says so.
    """
    if study is None and is_url(place):
        raise UserError(
            f"{place}: a search in S3 needs a database for its record, which S3 can neither append to nor lock; "
            f"use --study URL, such as {EXAMPLES}"
        )


def check_new_name(name: str) -> None:
    """Refuse a name that is not that of one folder, or that a terminal, a file system or a database cannot show.

    Raises:
        UserError: what is wrong with it.
    """
    if problem := _name_problem(name):
        raise UserError(f"{quoted(name)} cannot be used as a name: {problem}; choose another --name")


def _name_problem(name: str) -> str | None:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    if not name or name != name.strip():
        return "it is empty, or begins or ends with a space"
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in name):
        return "it contains control characters"
    if name[0] in ".-" or os.sep in name:
        return "it contains a slash, or begins with a dot or a hyphen"
    return f"it has {size} bytes, more than {MAX_NAME}" if size > MAX_NAME else None
