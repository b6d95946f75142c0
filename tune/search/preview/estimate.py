"""The estimate that a search records once it has trained its first epochs, to stand beside what it took."""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING, Any

from tune.record.search_status import ESTIMATE
from tune.search.preview.expected import expected

if TYPE_CHECKING:
    from tune.search.ledger import Ledger

FIRST = 3  # epochs from which the time of one is known
DRAWS = 100  # configurations whose epochs are looked at


def note_estimate(ledger: Ledger) -> None:
    """Record what the search is expected to take, unless that was done for this number of trials."""
    if ledger.record.facts.get(ESTIMATE, {}).get("trials") == ledger.target:
        return
    spec, source = ledger.spec, random.Random(0)
    drawn = [spec.space.draw(source) for _ in range(DRAWS)] if "training.epochs" in spec.space.domains else []
    lengths = [min(config.get("training.epochs", spec.sample.training.epochs), spec.longest) for config in drawn]
    will = expected(spec, ledger.target, len(ledger.live), lengths, rounds=3)
    each = statistics.fmean(epoch.seconds for trial in ledger.trials.values() for epoch in trial.epochs)
    estimate: dict[str, Any] = {"trials": ledger.target, "epochs": round(will.epochs), "most": will.most}
    ledger.record.note(ESTIMATE, {**estimate, "seconds": round(each * will.epochs, 1)})
