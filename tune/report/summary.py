"""A search in a paragraph of plain words, generated from its figures."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from search_spaces import Choice
from tune.record.status import Status
from tune.report.analysis import budget_correlation, running_best
from tune.spec.dotted import short_names
from tune.spec.metric import METRICS, Objective
from tune.spec.search import SearchSpec

PREDICTIVE = 0.7
"""A rank correlation with the end from which an epoch is called a good predictor of it."""


def paragraphs(
    spec: SearchSpec,
    trials: pd.DataFrame,
    epochs: pd.DataFrame,
    shares: Mapping[str, float],
    objective: Objective,
) -> list[str]:
    """What was searched, what it cost, what came out, what mattered, and what to try next."""
    sentences = [_searched(spec, trials), _cost(spec, trials, epochs)]
    best = trials.dropna(subset=[objective.metric.name]).head(1)
    if best.empty:
        return [*sentences, "No trial has a result yet." if _open(trials) else "No trial produced a result."]
    return [*sentences, _best(best.iloc[0], objective), *_mattered(shares), *_next(spec, trials, epochs, objective)]


def _searched(spec: SearchSpec, trials: pd.DataFrame) -> str:
    fields = list(short_names(list(spec.space.domains)).values())
    model, data = spec.sample.model.name, spec.sample.data.name
    models = "several models" if "model.name" in spec.space.domains else f"the model {model}"
    return (
        f"This search tried {len(trials)} configurations of {_count(len(fields), 'field')} "
        f"({_listed(fields)}) for {models} on {data}."
    )


def _cost(spec: SearchSpec, trials: pd.DataFrame, epochs: pd.DataFrame) -> str:
    counts = trials["status"].value_counts()
    parts = [f"{counts[status]} {_WORDS[Status(status)]}" for status in map(str, Status) if status in counts]
    most = spec.longest * len(trials)
    saved = f", {1 - len(epochs) / most:.0%} fewer than without early stopping" if _stopped(trials) and most else ""
    return (
        f"Of these, {_listed(parts)}. Training took {_duration(float(trials['seconds'].sum()))} "
        f"in {_count(len(epochs), 'epoch')}{saved}."
    )


_WORDS = {
    Status.COMPLETED: "ran to their end",
    Status.STOPPED: "were stopped early",
    Status.RUNNING: "are running",
    Status.WAITING: "are waiting",
    Status.DIVERGED: "diverged",
    Status.OUT_OF_MEMORY: "ran out of memory",
    Status.INFEASIBLE: "were infeasible",
    Status.FAILED: "failed",
}


def _best(best: pd.Series, objective: Objective) -> str:
    shown = [f"{name} {METRICS[name].text(best[name])}" for name in METRICS if _shown(name, best, objective)]
    first = sorted(shown, key=lambda text: not text.startswith(objective.metric.name + " "))
    size = f", with {int(best['parameters']):,} parameters" if pd.notna(best.get("parameters")) else ""
    return f"The best is trial {best['trial']} in its epoch {best['best_epoch']}: {', '.join(first)}{size}."


def _shown(name: str, best: pd.Series, objective: Objective) -> bool:
    """Whether a metric is worth mentioning: those of the part that the search is judged by."""
    return METRICS[name].part == objective.metric.part and name in best and pd.notna(best[name])


def _mattered(shares: Mapping[str, float]) -> list[str]:
    if not shares:
        return []
    names = short_names(list(shares))
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    large = [f"{names[field]} ({share:.0%})" for field, share in ranked[:3] if share >= 0.05]
    small = [names[field] for field, share in ranked if share < 0.05]
    rest = f"; {_listed(small)} hardly mattered" if small else ""
    return [f"What mattered most was {_listed(large)}{rest}."] if large else []


def _next(spec: SearchSpec, trials: pd.DataFrame, epochs: pd.DataFrame, objective: Objective) -> list[str]:
    """Advice that follows from the figures; none where they do not support any."""
    advice = [
        *_at_the_edge(spec, trials, objective),
        *_grace(spec, epochs, objective),
        *_still_falling(epochs, objective),
    ]
    return [f"What to try next: {'; '.join(advice)}."] if advice else []


def _at_the_edge(spec: SearchSpec, trials: pd.DataFrame, objective: Objective) -> list[str]:
    """Numeric fields whose three best trials lie in the first or last tenth of their range."""
    best = trials.dropna(subset=[objective.metric.name]).head(3)
    found = []
    for field, domain in spec.space.domains.items():
        values = [] if isinstance(domain, Choice) else best[f"config.{field}"].dropna().tolist()
        if isinstance(domain, Choice) or len(values) < 3:
            continue
        scale = math.log if domain.log else float
        low, high = scale(domain.low), scale(domain.high)
        places = [(scale(value) - low) / (high - low) for value in values]
        if max(places) <= 0.1:
            found.append(f"values of {field} below {domain.low:g}, since the three best trials are at that end")
        elif min(places) >= 0.9:
            found.append(f"values of {field} above {domain.high:g}, since the three best trials are at that end")
    return found


def _grace(spec: SearchSpec, epochs: pd.DataFrame, objective: Objective) -> list[str]:
    scheduler = spec.search.scheduler
    table = budget_correlation(epochs, objective)
    if scheduler.name == "none" or table.empty:
        return []
    here = table[table["epoch"] == scheduler.grace_period]["correlation"]
    good = table[(table["correlation"] >= PREDICTIVE) & (table["correlation"][::-1].cummin()[::-1] >= PREDICTIVE)][
        "epoch"
    ]
    if here.empty or good.empty or float(here.iloc[0]) >= PREDICTIVE:
        return []
    return [
        f"a grace period of {int(good.iloc[0])} instead of {scheduler.grace_period} epochs, since the ranking after "
        f"{scheduler.grace_period} says little about the end (rank correlation {float(here.iloc[0]):.2f})"
    ]


def _still_falling(epochs: pd.DataFrame, objective: Objective) -> list[str]:
    """Whether the best trials were best in their last epoch."""
    table = running_best(epochs, objective)
    last = table.groupby("trial").tail(1)
    whole = last[last["epoch"] == last["epoch"].max()]
    best = whole.sort_values("best", ascending=objective.metric.goal == "min").head(3)
    improving = len(best) == 3 and bool((best["value"] == best["best"]).all())
    return ["more epochs, since the three best trials were still improving at their end"] if improving else []


def _open(trials: pd.DataFrame) -> bool:
    return bool(trials["status"].isin([str(Status.WAITING), str(Status.RUNNING)]).any())


def _stopped(trials: pd.DataFrame) -> bool:
    return bool((trials["status"] == str(Status.STOPPED)).any())


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else "none"
