"""From a YAML file and overrides to a checked experiment or search: all that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tune.spec.checks import check_search, looker
from tune.spec.errors import Problem, SpecError
from tune.spec.experiment import Experiment
from tune.spec.free_fields import first_configs, free_fields, reasons_against
from tune.spec.overrides import parse_overrides
from tune.spec.pydantic_errors import validated
from tune.spec.search import ConstraintsSpec, SearchSettings, SearchSpec
from tune.spec.sections import Loaded, read
from tune.spec.space_checks import find_example, space_problems

__all__ = ["load_experiment", "load_search", "parse_overrides"]


def load_experiment(name_or_path: str, overrides: Iterable[str] = (), root: Path | None = None) -> Experiment:
    """A checked experiment. `root` is the data directory (for the images' shape and number).

    Raises:
        SpecError: all that is wrong with it.
    """
    loaded = read(name_or_path, overrides)
    free = free_fields(loaded)
    example = find_example(free, looker(root))
    problems = [*space_problems(free, example), *_read_settings(loaded)[2]]
    if free.space.domains:
        message = f"has free fields: {', '.join(free.space.domains)}; legal: `search` it, or fix each with an override"
        problems.append(Problem("space", message))
    if problems or loaded.problems or example.experiment is None:
        raise SpecError([*loaded.problems, *loaded.placed(problems)])
    return example.experiment


def load_search(
    name_or_path: str, overrides: Iterable[str] = (), root: Path | None = None, *, with_data: bool = True
) -> SearchSpec:
    """A checked search; see `load_experiment`.

    Without data it is read as a record: what depends on the images is not checked, nor what no longer may be searched.

    Raises:
        SpecError: all that is wrong with it.
    """
    loaded = read(name_or_path, overrides)
    look = looker(root) if with_data else None
    free = free_fields(loaded, recorded=not with_data)
    example = find_example(free, look)
    constraints, settings, problems = _read_settings(loaded)
    # Where no configuration is possible, that is said once, and not of each that was named.
    reasons = reasons_against(free, constraints, look) if example.experiment else lambda config: ()
    first, first_problems = first_configs(loaded, free, reasons)
    problems = [*space_problems(free, example), *first_problems, *problems]
    if not free.space.domains and not free.problems:
        problems.append(Problem("space", "has no free field; legal: at least one, or `train` the experiment"))
    if settings is not None and example.experiment is not None:
        problems += check_search(settings, free.space, example.experiment)
    if problems or loaded.problems or constraints is None or settings is None:
        raise SpecError([*loaded.problems, *loaded.placed(problems)])
    return SearchSpec(loaded.path.stem, free.base, free.space, constraints, settings, example.config, first)


def _read_settings(loaded: Loaded) -> tuple[ConstraintsSpec | None, SearchSettings | None, list[Problem]]:
    """The sections beside experiment and space, and what is wrong with them."""
    constraints, found = validated(ConstraintsSpec, loaded.sections["constraints"], "constraints")
    settings, more = validated(SearchSettings, loaded.sections["search"], "search")
    return constraints, settings, [*found, *more]
