"""Warm starts: trials of another search, as far as they mean the same here, for the sampler to learn from.

They are no trials of this search and the scheduler does not compare with them, but their configurations are not tried
again. They are copied into the record, so that a resumed search does not need the other one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from data.words import counted
from search_spaces import Config, config_key
from tune.record.opening import Search
from tune.record.search_yaml import made_with
from tune.record.status import Status
from tune.record.study import Record
from tune.record.trial import SEEDS, TrialRecord
from tune.spec.dotted import flatten, get_dotted, with_values, within
from tune.spec.errors import Problem, SpecError
from tune.spec.experiment import Experiment
from tune.spec.metric import EpochMetrics, Objective
from tune.spec.search import SearchSpec

WARM = "warm"  # the key of the rows in the record

# Other ends say nothing about the configuration, or as out_of_memory nothing about it on this machine.
USED = (Status.COMPLETED, Status.STOPPED, Status.DIVERGED)

# Fields that may differ: where the images are, and what changes a result only by chance or rounding.
IGNORED = ("data.path", "seed", "training.threads")
MOST_NAMED = 3  # fields that a reason names


@dataclass
class WarmStart:
    """What another search has to offer.

    Attributes:
        name: The other search.
        trials: How many it has.
        rows: Those that can be used, as JSON values for the record.
        left_out: Why others cannot, and how many trials each reason holds for.
    """

    name: str
    trials: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """As printed."""
        reasons = "; ".join(f"{count} {reason}" for reason, count in self.left_out.most_common())
        used = f"using {len(self.rows)} of {counted(self.trials, 'trial')} of {self.name}"
        return f"warm start: {used}{f'; left out: {reasons}' if reasons else ''}"


def check_metric(spec: SearchSpec, other: Search) -> None:
    """Refuse to learn from a search by another metric.

    Raises:
        SpecError: The metrics differ.
    """
    theirs, ours = other.objective, spec.search.objective
    if theirs != ours:
        kind = "objectives" if theirs.several or ours.several else "metric"
        message = f"{other.folder.name} has search.{kind}={theirs.text}, this search {ours.text}"
        raise SpecError([Problem("--warm-start", f"{message}; name a search with the same {kind}")])


def warm_start(spec: SearchSpec, other: Search, made: Mapping[str, Any], record: Record) -> WarmStart:
    """The trials of another search whose values mean the same in this one and that it does not have yet.

    Args:
        spec: This search.
        other: The other search, by the same metric.
        made: What this search is made with, as in `made_with` of its `search.yaml`: `data` and `split` are compared.
        record: This search's.
    """
    theirs = other.spec
    same_data = _same_data(spec, theirs, made, made_with(other.folder))
    known = [*record.facts.get(WARM, ()), *({"config": trial.config} for trial in record.trials())]
    had = {config_key(one["config"]) for one in known}
    found = WarmStart(other.folder.name, len(other.trials))
    for trial in other.trials:
        config = _fitting(spec, theirs, trial) if same_data else "with other images"
        if isinstance(config, str):
            found.left_out[config] += 1
        elif config_key(config) in had:
            found.left_out["already known here"] += 1
        else:
            had.add(config_key(config))
            found.rows.append(_row(trial, config, spec.search.objective))
    return found


def _same_data(spec: SearchSpec, theirs: SearchSpec, ours: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    """Whether both searches use the same images in the same way, by what they recorded when they were started."""
    if "split" in made and made["split"] != ours.get("split"):
        return False
    if "data" in made and "data" in ours:
        return bool(made["data"] == ours["data"])
    return theirs.sample.data.path == spec.sample.data.path  # started before images were recorded


def _fitting(spec: SearchSpec, theirs: SearchSpec, trial: TrialRecord) -> Config | str:
    """Their trial's configuration as one of this space, or why it cannot be used.

    All that is not searched here must have been the same there, whether it was fixed or searched.
    """
    if trial.status not in USED:
        return f"{trial.status}".replace("_", " ")
    tree = with_values(theirs.base, trial.config)
    config: Config = {}
    for name, domain in spec.space.domains.items():
        if spec.space.in_play(name, config):
            value = get_dotted(tree, name)
            if not domain.contains(value):
                return f"outside this space ({name})"
            config[name] = domain.canonical(value)
    try:
        there, here = theirs.experiment(trial.config), spec.experiment(config)
    except ValidationError:
        return "whose experiment is no longer valid"
    skipped = (*IGNORED, *spec.space.domains)
    before, now = _meaning(there, theirs.epochs), _meaning(here, spec.epochs)
    differing = [name for name in {**before, **now} if before.get(name) != now.get(name) and not within(name, skipped)]
    if differing:
        more = len(differing) - MOST_NAMED
        others = f" and {counted(more, 'other field')}" if more > 0 else ""
        return f"with different {', '.join(differing[:MOST_NAMED])}{others}"
    return config


def _meaning(experiment: Experiment, limit: int | None) -> dict[str, Any]:
    """All that decides what a trial's values mean, by dotted name.

    `training.epochs` counts as it stands where the learning rate or the average is laid over all epochs, and otherwise
    as the epochs that the trial may run; `limit` is that of the scheduler.
    """
    fields = flatten(experiment.to_tree())
    epochs = experiment.training.epochs
    fields["epochs per trial"] = min(epochs, limit or epochs)
    if not experiment.training.spanning:
        fields.pop("training.epochs")
    return fields


def _row(trial: TrialRecord, config: Config, objective: Objective) -> dict[str, Any]:
    metric = objective.metric.name
    values = [[epoch.epoch, epoch.values[metric]] for epoch in trial.epochs if metric in epoch.values]
    row: dict[str, Any] = {"config": config, "status": str(trial.status), "values": values}
    if objective.several:
        row["facts"] = trial.with_facts({})
        others = [one.name for one in objective.every if one.part != "model" and one.name != metric]
        row["others"] = {
            name: [epoch.values[name] for epoch in trial.epochs if metric in epoch.values] for name in others
        }
    if len(results := trial.results(objective)) > 1:
        measured = [one.name for one in objective.every if one.part != "model"]
        row["replicates"] = [{name: values[name] for name in measured} for values in results[1:]]
    return row


def records(rows: Iterable[Mapping[str, Any]], metric: str) -> list[TrialRecord]:
    """Rows of the record as trials with negative numbers, for the sampler alone."""
    return [
        TrialRecord(
            number=-1 - index,
            config=dict(row["config"]),
            status=Status(row["status"]),
            epochs=tuple(_epochs(row, metric)),
            facts={**row.get("facts", {}), **_seeds(row)},
            replicates=tuple((EpochMetrics(1, dict(values), 0.0, 0.0),) for values in row.get("replicates", ())),
        )
        for index, row in enumerate(rows)
    ]


def _seeds(row: Mapping[str, Any]) -> dict[str, Any]:
    """Further seeds, of which the row has the best epochs of those that count."""
    further = len(row.get("replicates", ()))
    return {SEEDS: [{"status": str(Status.COMPLETED), "reason": ""}] * (further + 1)} if further else {}


def _epochs(row: Mapping[str, Any], metric: str) -> Iterator[EpochMetrics]:
    for index, (epoch, value) in enumerate(row["values"]):
        others = {name: float(values[index]) for name, values in row.get("others", {}).items()}
        yield EpochMetrics(int(epoch), {metric: float(value), **others}, 0.0, 0.0)
