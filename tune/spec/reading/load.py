"""From a YAML file and overrides to a valid experiment or search, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tune.spec.checks.images import looker
from tune.spec.checks.pydantic_errors import validated
from tune.spec.checks.search import check_search
from tune.spec.constraints import ConstraintsSpec
from tune.spec.dotted import with_values
from tune.spec.errors import Problem, SpecError
from tune.spec.experiment import Experiment
from tune.spec.reading.example import find_example, space_problems
from tune.spec.reading.free_fields import first_configs, free_fields, reasons_against
from tune.spec.reading.overrides import Loaded, read
from tune.spec.search import SearchSpec
from tune.spec.search_settings import SearchSettings


def load_experiment(name_or_path: str, overrides: Iterable[str] = (), root: Path | None = None) -> Experiment:
    """A valid experiment.

    Args:
        name_or_path: The name of a shipped file, or a path.
        overrides: As on the command line: `training.epochs=3`.
        root: The data directory; see `data_root`.

    Raises:
        SpecError: everything that is wrong with it.
    """
    loaded = read(name_or_path, overrides)
    free = free_fields(loaded)
    example = find_example(free, looker(root))
    problems = [*space_problems(free, example), *_read_settings(loaded)[2]]
    if free.space.domains:
        message = (
            f"has searched fields: {', '.join(free.space.domains)}; use `search`, or give each a value: FIELD=VALUE"
        )
        problems.append(Problem("space", message))
    if problems or loaded.problems or example.experiment is None:
        raise SpecError([*loaded.problems, *loaded.placed(problems)])
    return example.experiment


def load_search(
    name_or_path: str, overrides: Iterable[str] = (), root: Path | None = None, *, with_data: bool = True
) -> SearchSpec:
    """A valid search; for the arguments see `load_experiment`.

    With `with_data=False` the file is read as a record of a search that was made: neither its images nor rules about
    what may be trained or searched today are checked.

    Raises:
        SpecError: everything that is wrong with it.
    """
    loaded = read(name_or_path, overrides)
    look = looker(root) if with_data else None
    free = free_fields(loaded, recorded=not with_data)
    example = find_example(free, look)
    constraints, settings, problems = _read_settings(loaded)
    # If no configuration can be trained, that is reported once, not for each of `first`.
    reasons = reasons_against(free, constraints, look) if example.experiment else lambda config: ()
    first, first_problems = first_configs(loaded, free, reasons)
    problems = [*space_problems(free, example), *first_problems, *problems]
    if not free.space.domains and not free.problems:
        fixed = "; the overrides fix them all: leave one out" if loaded.written["space"] else "; add one"
        problems.append(Problem("space", f"has no searched field{fixed}, or use `train`"))
    if settings is not None and example.experiment is not None:
        problems += check_search(settings, free.space, example.experiment)
    if problems or loaded.problems or constraints is None or settings is None or example.experiment is None:
        raise SpecError([*loaded.problems, *loaded.placed(problems)])
    base = free.base
    if "data.path" not in free.space.domains:  # absolute, as workers and later commands may run in another folder
        base = with_values(base, {"data.path": example.experiment.data.path})
    return SearchSpec(loaded.path.stem, base, free.space, constraints, settings, example.config, first)


def _read_settings(loaded: Loaded) -> tuple[ConstraintsSpec | None, SearchSettings | None, list[Problem]]:
    """The sections `constraints` and `search`, and what is wrong with them."""
    constraints, found = validated(ConstraintsSpec, loaded.sections["constraints"], "constraints")
    settings, more = validated(SearchSettings, loaded.sections["search"], "search")
    return constraints, settings, [*found, *more]
