"""The files of an evaluation: written, the numbers before what can be drawn of them, and read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from data.untrusted import read_json
from tune.errors import WorkError
from tune.files import write_whole
from tune.json_output import json_text
from tune.record.folder import RunFolder
from tune.record.tables import to_parquet


class Output:
    """Writes into a run's folder, and remembers what it wrote.

    After a file that cannot be written, nothing else is, so that what was measured is not lost with it.

    Attributes:
        files: The files written.
        error: Why a file could not be written; None if all could.
        say: Called with a line about anything slow or unexpected.

    Args:
        folder: The run's.
        split: The images; the files of the test split have the plain names, those of others end in the split's name.
        say: See above.
    """

    def __init__(self, folder: RunFolder, split: str, say: Callable[[str], None]) -> None:
        self._folder, self._suffix, self.say = folder, "" if split == "test" else f"-{split}", say
        self.files: list[Path] = []
        self.error: OSError | None = None

    def table(self, table: pd.DataFrame) -> None:
        """Write `predictions.parquet`: before `evaluation.json`, so that where that exists, the table does too."""
        self._write(self._folder.predictions, to_parquet(table))

    def document(self, path: Path, document: Mapping[str, Any]) -> None:
        """Write a JSON file."""
        self._write(path, f"{json_text(document)}\n".encode())

    def figure(self, name: str, draw: Callable[[], bytes]) -> None:
        """Draw a figure and write it; if it cannot be drawn, say so."""
        if self.error is not None:
            return
        try:
            picture = draw()
        except Exception as error:  # whatever happens in a drawing library: the numbers are there
            self.say(f"could not draw {name}.png ({type(error).__name__}: {error}); the numbers are saved")
        else:
            self._write(self._folder.figures / f"{name}.png", picture)

    def _write(self, path: Path, content: bytes) -> None:
        if self.error is not None:
            return
        path = path.with_name(f"{path.stem}{self._suffix}{path.suffix}")
        try:
            write_whole(path, content)
        except OSError as error:
            self.error = error
        else:
            self.files.append(path)


def read_evaluation(folder: RunFolder) -> dict[str, Any] | None:
    """The content of `evaluation.json`; None if the run has not been evaluated, or not since it was trained further.

    Raises:
        WorkError: The file is damaged.
    """
    try:
        found = read_json(folder.evaluation)
        if not isinstance(found, dict):
            raise ValueError(f"not a mapping but {type(found).__name__}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise WorkError(f"{folder.evaluation} is damaged ({error}); run `imagetune evaluate {folder.path}`") from None
    from tune.training import CheckpointError, load_weights  # with torch, which a report without winners does not need

    try:
        _, facts = load_weights(folder.weights)
    except CheckpointError:  # without weights, there is nothing newer
        return found
    epoch = found.get("epoch")  # earlier versions have none
    return found if epoch is None or str(epoch) == facts["epoch"] else None
