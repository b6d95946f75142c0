"""What to try next, as far as a search's figures suggest it: each sentence names the figure that it follows from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from pydantic import ValidationError

from data.words import counted, listed
from search_spaces import Choice, Float, Int
from tune.record.status import Status
from tune.report.findings import Findings
from tune.spec.dotted import short_names
from tune.spec.files import value_text

PREDICTIVE, USELESS = 0.7, 0.5
"""Rank correlations with the end: from which an epoch predicts it well, and below which it says little."""
ENOUGH = 8
"""Trials from which a rank correlation, or where the best values lie in their range, means something."""
MANY = 20
"""Trials from which a field can be said not to matter, and the best trial to have come late."""
NO_INFLUENCE = 0.03
"""A share of the importance below which a field hardly mattered."""
MOST_SEPARATE = 0.6
"""The share of bad trials beyond a value from which the value is to blame."""


def next_steps(found: Findings) -> list[str]:
    """Sentences in the imperative; none where the figures do not support any."""
    return [
        *_failures(found),
        *_bad_values(found, Status.OUT_OF_MEMORY, "ran out of memory", "lower the batch size or search.concurrent"),
        *_bad_values(found, Status.DIVERGED, "diverged", "search lower learning rates or set training.clip_norm"),
        *_edges(found),
        *_grace_period(found),
        *_more_epochs(found),
        *_without_influence(found),
        *_more_trials(found),
    ]


# -- trials that went wrong


def _failures(found: Findings) -> Iterator[str]:
    failed = found.trials[found.trials["status"] == str(Status.FAILED)]
    if len(failed):
        reasons = failed["reason"].value_counts()
        reason, often = str(reasons.index[0]), int(reasons.iloc[0])
        which = "" if often == len(failed) else f"{often:,} of them: "
        short = reason if len(reason) <= 120 else f"{reason[:119]}…"
        yield f"Find out why {counted(len(failed), 'trial')} failed ({which}{short})."


@dataclass(frozen=True)
class _Limit:
    """A value of a field beyond which trials went wrong: `bad` of the `there`."""

    field: str
    side: str
    value: float
    bad: int
    there: int


def _bad_values(found: Findings, status: Status, what: str, otherwise: str) -> Iterator[str]:
    """The value from which on trials went wrong, of the field that separates them best from the others."""
    bad = found.trials["status"] == str(status)
    if not bad.any():
        return
    fields = found.search.space.domains
    limits = [limit for field in fields for limit in _limits(found.trials, bad, field)] if bad.sum() > 1 else []
    if not limits:
        yield f"{otherwise[0].upper()}{otherwise[1:]}, since {counted(int(bad.sum()), 'trial')} {what}."
        return
    best = max(limits, key=lambda limit: limit.bad / limit.there)
    yield (
        f"Keep {short_names(fields)[best.field]} {best.side} {best.value:.3g}: from there on, {best.bad} of "
        f"{counted(best.there, 'trial')} {what}."
    )


def _limits(trials: pd.DataFrame, bad: pd.Series[bool], field: str) -> Iterator[_Limit]:
    values = pd.to_numeric(trials[f"config.{field}"], errors="coerce")
    if not values[bad].notna().all():  # text, or a field that not every bad trial has
        return
    for side, value, beyond in (
        ("below", values[bad].min(), values >= values[bad].min()),
        ("above", values[bad].max(), values <= values[bad].max()),
    ):
        limit = _Limit(field, side, float(value), int(bad.sum()), int(beyond.sum()))
        if limit.bad >= MOST_SEPARATE * limit.there and limit.there < len(trials):
            yield limit


# -- the space


def _edges(found: Findings) -> Iterator[str]:
    """Numeric fields whose best trials lie in the first or last tenth of their range, where it can be widened."""
    ranked = found.trials.dropna(subset=[found.objective.metric.name])
    for field, name in short_names(found.search.space.domains).items():
        domain = found.search.space.domains[field]
        own = ranked.dropna(subset=[f"config.{field}"])
        if isinstance(domain, Choice) or domain.low == domain.high:
            continue
        best = 3 if domain.size is None or domain.size > 4 else 5  # of few values, three are often equal by chance
        if len(own) < max(ENOUGH, 3 * best):
            continue
        places = [_place(domain, value) for value in own[f"config.{field}"].head(best)]
        upwards = min(places) >= 0.9
        if not upwards and max(places) > 0.1:
            continue
        value = _beyond(domain, upwards=upwards)
        if _possible(found, int(own["trial"].iloc[0]), field, value):
            side, edge = ("above", domain.high) if upwards else ("below", domain.low)
            yield (
                f"Also search {name} {side} {edge:g}, say {'up' if upwards else 'down'} to {value:g}: "
                f"the {best} best trials are at that end of its range."
            )


def _place(domain: Int | Float, value: float) -> float:
    """Where a value lies in its range, from 0 to 1."""
    scale = math.log if domain.log else float
    low, high = scale(domain.low), scale(domain.high)
    return (scale(value) - low) / (high - low)


def _beyond(domain: Int | Float, *, upwards: bool) -> float:
    """A value outside of the range, a reasonable step away."""
    if domain.log:
        value = domain.high * 3 if upwards else domain.low / 3
    else:
        step = (domain.high - domain.low) / 2
        if domain.step:
            step = math.ceil(step / domain.step) * domain.step
        value = domain.high + step if upwards else domain.low - step
    return math.ceil(value) if isinstance(domain, Int) else float(f"{value:.2g}")


def _possible(found: Findings, trial: int, field: str, value: float) -> bool:
    """Whether an experiment accepts the value: a momentum above 1 is no advice."""
    try:
        found.search.spec.experiment({**found.search.trials[trial].config, field: value})
    except (ValidationError, ValueError):
        return False
    return True


def _without_influence(found: Findings) -> Iterator[str]:
    ranked = found.trials.dropna(subset=[found.objective.metric.name])
    names = short_names(found.search.space.domains)
    none = [field for field, share in found.shares.items() if share < NO_INFLUENCE]
    if len(ranked) < MANY or not none:
        return
    best = found.search.trials[int(ranked["trial"].iloc[0])].config
    values = listed([f"{names[field]}={value_text(best[field])}" for field in none if field in best])
    yield f"Fix the fields that hardly mattered, at the best trial's values: {values}."


# -- epochs and trials


def judgement(found: Findings) -> str:
    """Whether the scheduler judges trials at the right epoch, in a sentence."""
    grace, table = found.search.settings.scheduler.grace, found.correlation
    if (many := int(table["trials"].iloc[0])) < ENOUGH:
        return f"Only {counted(many, 'trial')} reached the end, too few to tell; at least {ENOUGH} are needed."
    if grace is None:
        first = predictive_from(table)
        if first is None:
            return "No epoch before the last predicts the ranking at the end."
        return f"From epoch {first} on, the ranking is close to that at the end."
    better = better_grace_period(found, grace)
    here = table.loc[table["epoch"] == grace, "correlation"]
    value = f" (rank correlation {here.iloc[0]:.2f})" if here.notna().any() else ""
    told = "right" if better is None else "too short" if better > grace else "longer than needed"
    return f"The grace period of {counted(grace, 'epoch')} is {told}{value}."


def better_grace_period(found: Findings, grace: int) -> int | None:
    """The grace period that the figures suggest instead of the scheduler's; None where it is right."""
    table = found.correlation
    here = table.loc[table["epoch"] == grace, "correlation"]
    first = predictive_from(table)
    short = len(here) and not here.iloc[0] >= USELESS
    return first if first is not None and (first < grace or short) else None


def predictive_from(correlation: pd.DataFrame) -> int | None:
    """The first epoch from which on the ranking stays close to that at the end; None where only the end's own is."""
    lowest = correlation["correlation"].fillna(0)[::-1].cummin()[::-1]  # from each epoch on
    good = correlation["epoch"][lowest >= PREDICTIVE]
    return int(good.iloc[0]) if len(good) > 1 else None


def _grace_period(found: Findings) -> Iterator[str]:
    grace, table = found.search.settings.scheduler.grace, found.correlation
    if grace is None or table.empty or table["trials"].iloc[0] < ENOUGH:
        return
    if (better := better_grace_period(found, grace)) is None:
        return
    change, much = ("Raise", "little") if better > grace else ("Lower", "enough")
    yield (
        f"{change} search.scheduler.grace_period from {grace} to {better}: the ranking after "
        f"{counted(min(grace, better), 'epoch')} says {much} about the end."
    )


def _more_epochs(found: Findings) -> Iterator[str]:
    """Whether the best trials that reached the last epoch were best in it."""
    last = found.best_by_epoch.groupby("trial").tail(1)
    whole = last[last["epoch"] == found.search.longest]
    best = whole.sort_values("best", ascending=found.objective.metric.goal == "min").head(3)
    if len(best) == 3 and (best["value"] == best["best"]).all():
        yield "Train for more epochs: the 3 best of the longest trials were still improving in their last epoch."


def _more_trials(found: Findings) -> Iterator[str]:
    ranked = found.trials.dropna(subset=[found.objective.metric.name])
    if len(ranked) >= MANY and int(ranked["trial"].iloc[0]) >= 0.9 * len(found.trials):
        yield "Add trials (--extend): the best trial was among the last tenth."
