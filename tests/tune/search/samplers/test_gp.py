"""The Gaussian process against scikit-learn's, its acquisition against integrals, and configurations as points."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from search_spaces import parse_space
from tests.tune.search.samplers.proposing import FREE
from tests.tune.search.simulation import LOSS, metrics
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.samplers import Task
from tune.search.samplers.encoding import Encoding
from tune.search.samplers.gaussian_process import JITTER, GaussianProcess, _cost
from tune.search.samplers.gp import MOST_ROWS, GaussianProcessSampler, log_expected_improvement, scaled, thinned
from tune.spec.metric import METRICS, Objective
from tune.spec.options.samplers import GpSpec

SPACE, _ = parse_space(FREE, {})


def task(objective: Objective = LOSS, seed: int = 1) -> Task:
    return Task(SPACE, GpSpec(startup=4), objective, 9, (1, 3, 9), seed)


def observations(count: int = 40, width: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.random((count, width))
    y = np.sin(6 * x[:, 0]) + x[:, 1] + 0.1 * generator.normal(size=count)
    return x, (y - y.mean()) / y.std()


def test_predictions_are_those_of_scikit_learn() -> None:
    x, y = observations()
    ours = GaussianProcess.fit(x, y)
    kernel = ConstantKernel(ours.signal) * Matern(ours.scales, nu=2.5) + WhiteKernel(ours.noise + JITTER)
    theirs = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(x, y)
    at = np.random.default_rng(1).random((20, 3))
    means, deviations = ours.predict(at)
    expected, spread = theirs.predict(at, return_std=True)
    assert means == pytest.approx(expected, abs=1e-8)
    assert deviations**2 + ours.noise + JITTER == pytest.approx(spread**2, abs=1e-8)


def test_the_gradient_is_that_of_the_cost() -> None:
    x, y = observations()
    squares = (x[:, None] - x[None]) ** 2
    point, step = np.array([0.3, -0.5, 1.0, -3.0, 0.2]), 1e-6
    numeric = [
        (_cost(point + step * unit, squares, y)[0] - _cost(point - step * unit, squares, y)[0]) / (2 * step)
        for unit in np.eye(5)
    ]
    assert _cost(point, squares, y)[1] == pytest.approx(numeric, abs=1e-5)


def test_an_input_without_influence_gets_a_long_scale_and_noise_is_found() -> None:
    process = GaussianProcess.fit(*observations(80))
    assert process.scales[2] > 5 * process.scales[0]
    assert 0.003 < process.noise < 0.05  # .1^2 over the variance of the function, about .6


@pytest.mark.parametrize("z", [-30.0, -8.0, -5.0, -4.99, -1.0, 0.0, 3.0])
def test_expected_improvement_is_the_integral(z: float) -> None:
    deviation = 0.7
    if z > -6:
        integral, _ = quad(lambda x: (z - x) * norm.pdf(x), -40, z)
        expected = math.log(integral * deviation)
    else:
        expected = norm.logpdf(z) - 2 * math.log(-z) + math.log(deviation)  # the leading term of its expansion
    (ours,) = log_expected_improvement(0.0, np.array([-z * deviation]), np.array([deviation]))
    assert ours == pytest.approx(expected, abs=0.12 if z <= -5 else 1e-6)


@given(st.integers(0, 10_000))
def test_every_configuration_is_a_point_and_back(seed: int) -> None:
    config = SPACE.canonical(SPACE.draw(random.Random(seed)))
    encoding = Encoding(SPACE)
    points = encoding.points([config])
    assert ((points >= 0) & (points <= 1)).all()
    back = SPACE.canonical(encoding.config(encoding.snap(points)[0]))
    assert back.keys() == config.keys()
    assert all(
        back[field] == pytest.approx(value) if field == "lr" else back[field] == value
        for field, value in config.items()
    )


def test_fields_that_are_not_in_play_do_not_tell_points_apart() -> None:
    encoding = Encoding(SPACE)
    kind = list(SPACE.domains).index("kind")
    momentum = list(SPACE.domains).index("momentum")
    points = np.full((2, 4), 0.5)
    points[:, kind] = 0.99  # null, for which there is no momentum
    points[1, momentum] = 0.9
    assert (encoding.snap(points)[0] == encoding.snap(points)[1]).all()
    assert encoding.features(encoding.snap(points)).shape == (2, 3 + 4)  # one-hot for the four kinds


@given(st.lists(st.floats(0.01, 1e6) | st.just(math.inf), min_size=2, max_size=30))
def test_scaling_keeps_the_order_and_is_not_ruled_by_outliers(costs: list[float]) -> None:
    values = scaled(np.array(costs), task().objective)
    assert np.isfinite(values).all()
    assert values.mean() == pytest.approx(0, abs=1e-6)
    order = np.argsort(costs, kind="stable")
    assert (np.diff(values[order]) >= -1e-6).all()


def test_how_badly_others_diverge_counts_for_less_than_what_separates_good_from_useless() -> None:
    good, useless, *diverged = scaled(np.array([0.05, 2.3, 1e5, 1e9, math.inf, 2.3, 2.3, 2.3]), task().objective)[:5]
    assert useless - good > diverged[0] - useless
    assert len(set(diverged)) == 1


def test_accuracies_are_compared_by_their_errors() -> None:
    values = scaled(np.array([-0.9, -0.99, -0.999, -0.5, -0.4]), Objective(METRICS["val_accuracy"]))
    assert values[0] - values[1] == pytest.approx(values[1] - values[2], rel=1e-6)  # each a tenth of the error before


def test_the_process_sees_the_best_and_the_latest_trials() -> None:
    rows = [(number, 1, float(number)) for number in range(400)]
    kept = thinned(rows)
    assert len(kept) == MOST_ROWS
    assert kept[0] == rows[0]
    assert kept[-1] == rows[-1]


def test_what_few_trials_have_reached_is_kept_of_many_observations() -> None:
    """Neither the best nor the latest, and diverged trials, which count as the worst at the end, do not replace them."""
    deep = [(number, 9, 1000.0) for number in range(20)]
    rows = [*deep, *((number, 9, math.inf) for number in range(20, 220)), *((n, 1, 1.0) for n in range(220, 420))]
    kept = thinned(rows)
    assert len(kept) == MOST_ROWS
    assert kept[:20] == deep


def test_it_learns_from_trials_that_were_stopped_early() -> None:
    """Nothing was trained to its end, and only the learning rate matters: it goes where the first epochs were best."""
    source = random.Random(0)
    trials = []
    for number in range(24):
        config = SPACE.canonical(SPACE.draw(source))
        loss = abs(math.log10(config["lr"]) + 3)
        trials.append(TrialRecord(number, config, Status.STOPPED, epochs=(metrics(1, 0.1 + loss),)))
    proposed = next(GaussianProcessSampler(task()).proposals(trials, 24))
    assert abs(math.log10(proposed["lr"]) + 3) < 0.5


def test_slow_starters_have_most_promise() -> None:
    """The smaller the learning rate, the worse after an epoch and the better in the end: it learns that from others."""
    source = random.Random(0)
    trials = []
    for number in range(40):
        config = SPACE.canonical(SPACE.draw(source))
        small = -math.log10(config["lr"])  # 1 to 5
        losses = [math.exp(small / 2)] + 8 * [math.exp(3 - small)]
        epochs = tuple(metrics(epoch, losses[epoch - 1]) for epoch in range(1, 10 if number < 30 else 2))
        status = Status.COMPLETED if number < 30 else Status.PAUSED
        trials.append(TrialRecord(number, config, status, epochs=epochs))
    promise = GaussianProcessSampler(task()).promise(trials)
    assert set(promise) == set(range(40))
    paused = range(30, 40)
    assert max(paused, key=promise.__getitem__) == min(paused, key=lambda number: trials[number].config["lr"])


def test_nothing_has_promise_before_it_has_learned() -> None:
    trials = [TrialRecord(n, {"lr": 0.01, "width": 8 + n, "kind": None}, Status.PAUSED) for n in range(20)]
    assert GaussianProcessSampler(task()).promise(trials) == {}


@pytest.mark.parametrize("status", [Status.RUNNING, Status.WAITING])
def test_what_is_known_to_end_badly_has_less_promise_than_what_is_not(status: Status) -> None:
    """Of two paused trials with the same first epoch, one is like a trial that got no better; also while others run."""
    near, far = {"lr": 1e-4, "width": 8, "kind": None}, {"lr": 1e-2, "width": 64, "kind": None}
    configs = [{"lr": 10 ** (-4 + number / 10), "width": 8 + number, "kind": None} for number in range(4)]
    trials = [
        TrialRecord(number, config, Status.COMPLETED, epochs=tuple(metrics(epoch, 0.5) for epoch in range(1, 10)))
        for number, config in enumerate(configs)
    ]
    trials += [
        TrialRecord(4, near, Status.PAUSED, epochs=(metrics(1, 0.5),)),
        TrialRecord(5, far, Status.PAUSED, epochs=(metrics(1, 0.5),)),
    ]
    sampler = GaussianProcessSampler(task())
    promise = sampler.promise(trials)
    assert promise[5] > promise[4]
    running = TrialRecord(6, {**far, "width": 63}, status, epochs=(metrics(1, 0.5),))
    assert sampler.promise([*trials, running])[5] < promise[5]


def test_two_workers_are_not_sent_to_the_same_place() -> None:
    source = random.Random(0)
    trials = [
        TrialRecord(number, config, Status.STOPPED, epochs=(metrics(1, 0.1 + abs(math.log10(config["lr"]) + 3)),))
        for number in range(12)
        for config in [SPACE.canonical(SPACE.draw(source))]
    ]
    sampler = GaussianProcessSampler(task())
    first = SPACE.canonical(next(sampler.proposals(trials, 12)))
    second = SPACE.canonical(next(sampler.proposals([*trials, TrialRecord(12, first, Status.RUNNING)], 13)))
    assert first != second


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.FAILED, Status.WAITING, Status.INFEASIBLE])
def test_a_search_without_a_single_value_goes_on(status: Status) -> None:
    source = random.Random(0)
    trials = [TrialRecord(number, SPACE.canonical(SPACE.draw(source)), status) for number in range(8)]
    assert next(GaussianProcessSampler(task()).proposals(trials, 8))
