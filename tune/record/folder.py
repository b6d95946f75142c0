"""Folders and files of a search and of a run, and files that appear whole."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from tune.errors import UserError
from tune.files import write_whole as write_whole  # imported from here by other rooms
from tune.record.url import study_url


@dataclass(frozen=True)
class SearchFolder:
    """The files of one search. `study`: the URL of the database that holds its record, where no journal does."""

    path: Path
    study: str | None = None

    @property
    def name(self) -> str:
        """The search's name: its folder's."""
        return self.path.name

    @property
    def argument(self) -> str:
        """The search on a command line."""
        return shlex.join([str(self.path), *(["--study", self.study] if self.study else [])])

    @property
    def spec(self) -> Path:
        """The resolved search."""
        return self.path / "search.yaml"

    @property
    def journal(self) -> Path:
        """The record."""
        return self.path / "study.journal"

    @property
    def lock(self) -> Path:
        """Held by the driver while it lives."""
        return self.path / ".driver.lock"

    @property
    def trials_table(self) -> Path:
        """One row per trial."""
        return self.path / "trials.parquet"

    @property
    def epochs_table(self) -> Path:
        """One row per epoch."""
        return self.path / "epochs.parquet"

    @property
    def winners(self) -> Path:
        """Run folders of retrained trials."""
        return self.path / "winners"

    def trial(self, number: int) -> Path:
        """A trial's folder: named by number, since folders named by parameters break path limits."""
        return self.path / f"trial_{number:05d}"

    def best(self, number: int) -> Path:
        """The weights of a trial's best epoch."""
        return self.trial(number) / "best.safetensors"

    def kept(self, number: int) -> str | None:
        """A trial's best weights as the tables name them, below the search's folder; None where they are not kept."""
        path = self.best(number)
        return str(path.relative_to(self.path)) if path.is_file() else None

    @property
    def exists(self) -> bool:
        """Whether a search was begun here."""
        return self.spec.is_file() or self.journal.is_file()


@dataclass(frozen=True)
class RunFolder:
    """The files of one training."""

    path: Path

    @property
    def experiment(self) -> Path:
        """The resolved experiment."""
        return self.path / "experiment.yaml"

    @property
    def epochs_table(self) -> Path:
        """One row per epoch."""
        return self.path / "epochs.parquet"

    @property
    def weights(self) -> Path:
        """The best epoch's weights."""
        return self.path / "model.safetensors"

    @property
    def last(self) -> Path:
        """The last checkpoint, from which the training goes on."""
        return self.path / "last.pt"

    @property
    def log(self) -> Path:
        """What the console said."""
        return self.path / "train.log"

    @property
    def evaluation(self) -> Path:
        """The figures on the test split."""
        return self.path / "evaluation.json"

    @property
    def predictions(self) -> Path:
        """One row per test image."""
        return self.path / "predictions.parquet"

    @property
    def figures(self) -> Path:
        """Pictures."""
        return self.path / "figures"

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.experiment.is_file()


def locate(name_or_path: str, out: Path) -> Path:
    """The folder of a search or run: a path that exists, else the name below `out`."""
    path = Path(name_or_path)
    return path if path.is_dir() else out / name_or_path


def locate_search(name_or_path: str, out: Path, study: str | None = None) -> SearchFolder:
    """The folder of a search that exists; `study` as the user gives it.

    Raises:
        UserError: there is none, or `study` is no URL of a database.
    """
    folder = SearchFolder(locate(name_or_path, out), study_url(study))
    if not folder.exists:
        raise UserError(f"{name_or_path!r} is not a search; {_legal(out, 'search.yaml')}")
    return folder


def locate_run(name_or_path: str, out: Path) -> RunFolder:
    """The folder of a run that exists.

    Raises:
        UserError: there is none.
    """
    folder = RunFolder(locate(name_or_path, out))
    if not folder.exists:
        raise UserError(f"{name_or_path!r} is not a run; {_legal(out, 'experiment.yaml')}")
    return folder


def _legal(out: Path, marker: str) -> str:
    patterns = (marker, f"*/{marker}", f"*/winners/*/{marker}")
    found = sorted(str(path.parent.relative_to(out)) for pattern in patterns for path in out.glob(pattern))
    return f"below {out} there are: {', '.join(found) or 'none'}"


def check_new_name(name: str) -> None:
    """Refuse names that are not one folder.

    Raises:
        UserError: the name is empty, hidden, or leads elsewhere.
    """
    if not name or name.startswith(".") or Path(name).name != name:
        raise UserError(f"{name!r} is not a name for a folder; legal: no slashes, no leading dot")
