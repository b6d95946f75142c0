"""The sampler's view: what TPE would call good in the whole search, and a bounded number of others."""

from __future__ import annotations

import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.samplers._tpe.sampler import _split_trials
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from tune.search.samplers.view import BEST, LATEST, View, rank

STATES = (TrialState.COMPLETE, TrialState.PRUNED)
# (state, value, epochs reached, bad)
TRIAL = st.tuples(
    st.sampled_from([*STATES, TrialState.FAIL, TrialState.RUNNING]),
    st.one_of(st.integers(-3, 3).map(float), st.just(math.nan)),
    st.integers(0, 4),
    st.booleans(),
)


def filled(
    storage: InMemoryStorage, trials: list[tuple[TrialState, float, int, bool]], sense: StudyDirection
) -> optuna.Study:
    study = storage.create_new_study([sense], "view")
    for state, value, epochs, bad in trials:
        begun = create_trial(state=TrialState.RUNNING, params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)})
        identity = storage.create_new_trial(study, begun)
        for epoch in range(1, epochs + 1):
            storage.set_trial_intermediate_value(identity, epoch, value)
        if bad:
            storage.set_trial_system_attr(identity, "constraints:diverged", 1.0)
        if state is TrialState.COMPLETE:
            storage.set_trial_state_values(identity, state, [0.0 if math.isnan(value) else value])
        elif state is not TrialState.RUNNING:
            storage.set_trial_state_values(identity, state)
    return optuna.load_study(study_name="view", storage=storage)


@pytest.mark.parametrize("sense", [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE])
@given(trials=st.lists(TRIAL, max_size=30))
def test_a_short_search_is_shown_whole(
    sense: StudyDirection, trials: list[tuple[TrialState, float, int, bool]]
) -> None:
    whole = filled(InMemoryStorage(), trials, sense)
    shown = filled(View(1 if sense is StudyDirection.MINIMIZE else -1), trials, sense)
    states = (*STATES, TrialState.RUNNING)
    assert [(trial.number, trial.state, trial.values) for trial in shown.get_trials(states=states)] == [
        (trial.number, trial.state, trial.values) for trial in whole.get_trials(states=states)
    ]


@pytest.mark.parametrize("sense", [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE])
@given(trials=st.lists(TRIAL, min_size=1, max_size=40), n_below=st.integers(1, 25))
def test_the_order_is_that_of_tpe(
    sense: StudyDirection, trials: list[tuple[TrialState, float, int, bool]], n_below: int
) -> None:
    """Optuna's own split into good and other trials puts the first of our order among the good ones."""
    study = filled(InMemoryStorage(), trials, sense)
    ended = study.get_trials(states=STATES)
    below, _ = _split_trials(study, ended, n_below)
    sign = 1 if sense is StudyDirection.MINIMIZE else -1
    ours = sorted(ended, key=lambda trial: (rank(trial, sign), trial.number))[:n_below]
    assert sorted(rank(trial, sign) for trial in ours) == sorted(rank(trial, sign) for trial in below)


def test_a_long_search_shows_its_best_its_latest_and_its_live_trials() -> None:
    good = [(TrialState.COMPLETE, -100.0 - number, 1, False) for number in range(BEST)]
    live = [(TrialState.RUNNING, 0.0, 1, False)]
    failed = [(TrialState.FAIL, 0.0, 1, False)] * 3
    others = [(TrialState.PRUNED, 1.0, 1, False)] * (2 * LATEST)
    study = filled(View(1), [*live, *good, *failed, *others], StudyDirection.MINIMIZE)
    numbers = [trial.number for trial in study.get_trials()]
    last = len(live + good + failed + others)
    assert numbers == [0, *range(1, 1 + BEST), *range(last - LATEST, last)]
