"""The arguments of `submit`, checked: everything that can be found wrong here is found before the cluster is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search_spaces import shipped
from tune.buckets.address import shown
from tune.errors import UserError
from tune.record.folder import check_new_name, check_recordable
from tune.record.storage.url import study_url
from tune.spec import load_search
from tune.spec.search import SearchSpec


@dataclass(frozen=True)
class JobRequest:
    """A search to be submitted.

    Attributes:
        space: The name of a shipped space, or the path of a YAML file.
        name: The search's.
        spec: The search.
        out: The folder for searches.
        overrides: As `field=value`.
        data_dir: The data directory, if one is given.
        study: The URL of the database with the record, if one is given.
    """

    space: str
    name: str
    spec: SearchSpec
    out: str
    overrides: tuple[str, ...]
    data_dir: str | None
    study: str | None

    @property
    def options(self) -> list[str]:
        """The options and overrides of `imagetune search`."""
        given = {"--out": self.out, "--data-dir": self.data_dir, "--study": self.study}
        return [*(word for option, value in given.items() if value for word in (option, value)), *self.overrides]

    @property
    def file(self) -> Path | None:
        """The user's own YAML file; None for a shipped space."""
        return None if self.space in shipped() else Path(self.space)


def job_request(
    space: str,
    overrides: Sequence[str],
    *,
    name: str | None,
    out: Path,
    data_dir: Path | None,
    study: str | None,
) -> JobRequest:
    """A valid request. The images need not be on this machine.

    Args:
        space: The name of a shipped space, or a YAML file.
        overrides: As `field=value`.
        name: The search's; by default the space's.
        out: The folder for searches, as the nodes see it.
        data_dir: The data directory, likewise.
        study: The URL of the database with the record.

    Raises:
        UserError: what is wrong with it.
    """
    spec = load_search(space, overrides, with_data=False)
    images = spec.sample.data.path
    if images is None:
        spec = load_search(space, overrides)
    name = name or spec.name
    check_new_name(name)
    for option, path in (("--out", out), ("--data-dir", data_dir), ("data.path", Path(images) if images else None)):
        if path is not None and not path.is_absolute():
            raise UserError(f"{option} {path}: must be an absolute path that every node of the cluster sees")
    study_url(study)  # refuses one with a password, which would become part of the job
    check_recordable(shown(out), study)
    return JobRequest(space, name, spec, shown(out), tuple(overrides), str(data_dir) if data_dir else None, study)
