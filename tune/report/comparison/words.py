"""A comparison of runs in words and figures, for the page and for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from data.words import counted, listed
from tune.report.comparison.compare import Comparison, Pair
from tune.report.comparison.paired import CONFIDENCE, Difference

METHODS = {
    "accuracy": "Intervals: 95 %, Wald's for pairs as adjusted by Bonett and Price (2012). Test: McNemar's, exact.",
    "loss": "Intervals, 95 %, and test: Student's t for pairs.",
}
"""By `Comparison.measure`."""
ABOUT_SEEDS = "They are about these models: the same experiment with another seed gives another model."
MOST_SENTENCES = 3
"""Runs that have a sentence each; more are told together."""
UNITS = {"accuracy": "percentage points", "loss": "nats per image"}


def sentences(comparison: Comparison) -> list[str]:
    """Which run is best, and how the others differ from it."""
    best, metric, found = comparison.runs[0], comparison.metric, []
    if len(comparison.runs) > 1 and metric.name in best.best:
        value = metric.text(best.best[metric.name])
        found.append(f"{best.name} is best: {metric.name} {value} in epoch {best.best['epoch']}.")
    pairs = sorted(comparison.pairs, key=lambda pair: pair.overall is None)  # those that are left out come last
    compared = [pair for pair in pairs if pair.overall is not None]
    if len(compared) > MOST_SENTENCES:
        found.append(_together(compared))
        pairs = pairs[len(compared) :]
    return [*found, *(_sentence(pair, comparison.measure) for pair in pairs)]


def _together(pairs: Sequence[Pair]) -> str:
    """Which of many runs differ from the best; the table has the figures."""
    others = {pair.against for pair in pairs}
    best = others.pop() if len(others) == 1 else "the best run"
    real = [pair.run for pair in pairs if pair.overall is not None and _is_real(pair.overall)]
    rest = [pair.run for pair in pairs if pair.run not in real]
    chances = [f"is unlikely to be chance for {listed(real)}"] * bool(real)
    chances += [f"may be chance for {listed(rest)}"] * bool(rest)
    return f"On the test images, the difference from {best} {', and '.join(chances)}."


def _is_real(found: Difference) -> bool:
    return found.p < 1 - CONFIDENCE


def _sentence(pair: Pair, measure: str) -> str:
    found = pair.overall
    if found is None:
        return f"{pair.run} is not compared: {pair.reason}."
    size = abs(found.difference)
    if measure == "accuracy":
        sense = f"{100 * size:.2f} percentage points {'more' if found.difference > 0 else 'less'} often than"
        what = f"{pair.run} is right {sense if size else 'exactly as often as'} {pair.against}"
    else:
        sense = f"is {size:.4g} nats per image {'higher' if found.difference > 0 else 'lower'} than"
        what = f"The loss of {pair.run} {sense if size else 'is exactly'} that of {pair.against}"
    chance = "which is unlikely to be chance" if _is_real(found) else "which may be chance"
    return f"{what} on {counted(found.n, 'test image')} (95 % interval {interval_text(found, measure)}), {chance}."


def interval_text(found: Difference, measure: str) -> str:
    """`-2.10 to 0.35`, in percentage points or nats; `-` where there are too few images."""
    scale, digits = (100, 2) if measure == "accuracy" else (1, 4)
    return "-" if math.isnan(found.low) else f"{scale * found.low:.{digits}f} to {scale * found.high:.{digits}f}"


def difference_text(found: Difference, measure: str) -> str:
    """`+1.20`, in percentage points or nats."""
    return f"{100 * found.difference:+.2f}" if measure == "accuracy" else f"{found.difference:+.4f}"


def p_text(found: Difference) -> str:
    """The p-value of the test: `0.012`, or `< 0.001`."""
    return "-" if math.isnan(found.p) else "< 0.001" if found.p < 0.001 else f"{found.p:.3f}"


def notes(comparison: Comparison) -> list[str]:
    """What to keep in mind about the ranking."""
    metric, found = comparison.metric.name, []
    if len({(run.info.data, run.info.split_hash) for run in comparison.runs}) > 1:
        found.append("Not all of these runs were trained and validated on the same images.")
    if missing := [run.name for run in comparison.runs if run.best.get(metric) is None]:
        found.append(f"Ranked last, without a value of {metric}: {', '.join(missing)}.")
    return found


def largest(rows: Sequence[tuple[str, Difference]], most: int) -> list[tuple[str, Difference]]:
    """Those of the rows with the largest differences in either direction, from more to less."""
    kept = sorted(rows, key=lambda row: -abs(row[1].difference))[:most]
    return sorted(kept, key=lambda row: -row[1].difference)
