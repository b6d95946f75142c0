"""What `auto` stands for: by which times, remembered where, recorded in the run. The times of steps are made up."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from tests.tune.runs.folders import EXPERIMENT, SPACE, Quiet, search_folder, written
from tune.record import RunFolder
from tune.record.opening import read_search
from tune.runs import auto
from tune.runs.auto import Choice, choose
from tune.runs.info import read_run
from tune.runs.plan import RunPlan
from tune.runs.retrain import plans
from tune.runs.run import run
from tune.spec import Experiment, load_experiment
from tune.training import Training, cpu_threads
from tune.training.speed import measurable, seconds_per_step

CPU = torch.device("cpu")
AUTO = EXPERIMENT.replace("threads: 1", "threads: auto, precision: auto")

Times = Callable[[str, int], float]
"""Seconds of a step in a precision with a number of threads."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "imagetune" / "auto"


@pytest.fixture
def two_threads() -> Iterator[None]:
    with cpu_threads(2):
        yield


class Measurer:
    """Stands in for the clock; counts how often models were measured."""

    def __init__(self, times: Times) -> None:
        self.times, self.calls = times, 0
        self.busy = 0.0  # seconds of a step beside busy processes

    def __call__(
        self, variants: Sequence[tuple[Training, int]], device: torch.device, *, typical: bool = False
    ) -> list[float]:
        self.calls += 1
        if typical:
            return [self.busy]
        return [self.times(training.experiment.training.precision, threads) for training, threads in variants]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[Times], Measurer]:
    def replaced(times: Times) -> Measurer:
        measurer = Measurer(times)
        monkeypatch.setattr(auto, "seconds_per_step", measurer)
        monkeypatch.setattr(auto, "computes_bfloat16", lambda device: True)
        return measurer

    return replaced


def experiment(tmp_path: Path, text: str = AUTO, *overrides: str) -> Experiment:
    return load_experiment(str(written(tmp_path, text)), overrides)


def chosen(made: Experiment, most: int = 2) -> Choice:
    return choose(made, (1, 8, 8), 10, CPU, most)


@pytest.mark.parametrize(
    ("times", "most", "expected"),
    [
        ({1: 1.0, 2: 0.9}, 2, 1),
        ({1: 1.0, 2: 0.81}, 2, 1),  # 1.23 times as fast
        ({1: 1.0, 2: 0.79}, 2, 2),
        ({1: 1.0, 2: 0.9, 4: 0.5}, 4, 4),
        ({1: 1.0, 2: 0.6, 4: 0.5, 6: 0.45}, 6, 6),  # 4 is not clearly faster than 2, but 6 is
        ({1: 1.0, 2: 1.8}, 2, 1),
    ],
)
def test_more_threads_only_where_they_are_clearly_faster(
    tmp_path: Path, measured: Callable[[Times], Measurer], times: dict[int, float], most: int, expected: int
) -> None:
    measured(lambda precision, threads: times[threads])
    made = chosen(experiment(tmp_path, AUTO, "training.precision=float32"), most)
    assert (made.threads, made.precision) == (expected, "float32")
    assert made.why.startswith(f"{expected} thread")


@pytest.mark.parametrize(
    ("bfloat16", "expected"),
    [(0.5, "bfloat16"), (0.8, "bfloat16"), (0.9, "float32"), (2.0, "float32"), (math.inf, "float32")],
)
def test_bfloat16_only_where_it_is_clearly_faster(
    tmp_path: Path, measured: Callable[[Times], Measurer], bfloat16: float, expected: str
) -> None:
    measured(lambda precision, threads: bfloat16 if precision == "bfloat16" else 1.0)
    assert chosen(experiment(tmp_path)).precision == expected
    assert chosen(experiment(tmp_path, AUTO, "training.threads=2")).threads == 2


def test_bfloat16_is_not_tried_without_instructions_for_it(
    tmp_path: Path, measured: Callable[[Times], Measurer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of it would take minutes there."""
    measurer = measured(lambda precision, threads: {"float32": 1.0}[precision])
    monkeypatch.setattr(auto, "computes_bfloat16", lambda device: False)
    without = "float32 (no instructions for bfloat16)"
    assert chosen(experiment(tmp_path), most=1) == Choice(threads=1, precision="float32", why=without)
    assert measurer.calls == 0
    both = chosen(experiment(tmp_path))
    assert (both.precision, both.why) == ("float32", f"1 thread (more are not clearly faster), {without}")


def test_threads_are_measured_in_the_chosen_precision(tmp_path: Path, measured: Callable[[Times], Measurer]) -> None:
    measured(
        lambda precision, threads: {"float32": 1.0, "bfloat16": 0.5}[precision] / (threads ** (precision == "float32"))
    )
    assert chosen(experiment(tmp_path)).threads == 1


@pytest.mark.parametrize(("busy", "expected"), [(1.4, 2), (1.6, 1)])
def test_several_threads_only_where_other_processes_do_not_slow_them_down(
    tmp_path: Path, measured: Callable[[Times], Measurer], busy: float, expected: int
) -> None:
    """At most 1.5 times as slow as one thread alone."""
    measured(lambda precision, threads: 1.0 / threads).busy = busy
    assert chosen(experiment(tmp_path, AUTO, "training.precision=float32")).threads == expected


def test_nothing_is_measured_without_a_choice(tmp_path: Path, measured: Callable[[Times], Measurer]) -> None:
    measurer = measured(lambda precision, threads: 1.0)
    assert chosen(experiment(tmp_path, EXPERIMENT)) == Choice(threads=1, precision="float32")
    assert chosen(experiment(tmp_path, AUTO, "training.precision=float16"), most=1).precision == "float16"
    assert measurer.calls == 0


def test_a_model_is_measured_once(tmp_path: Path, cache: Path, measured: Callable[[Times], Measurer]) -> None:
    measurer = measured(lambda precision, threads: 1.0 / threads)
    made = experiment(tmp_path)
    first = chosen(made)
    calls = measurer.calls
    assert chosen(made) == chosen(made.model_copy(update={"seed": 7})) == first
    assert measurer.calls == calls
    for other in ("training.batch_size=32", "model.hidden_dim=8", "training.optimizer.name=muon"):
        chosen(experiment(tmp_path, AUTO, other))
    assert measurer.calls == 4 * calls
    assert len(list(cache.iterdir())) == 4


@pytest.mark.parametrize(
    "content", ["", "[" * 100_000, "[]", '{"measured": {}, "choice": {"threads": 64, "precision": "float32"}}']
)
def test_a_damaged_file_is_written_again(
    tmp_path: Path, cache: Path, measured: Callable[[Times], Measurer], content: str
) -> None:
    measurer = measured(lambda precision, threads: 1.0)
    made = experiment(tmp_path)
    first, calls = chosen(made), measurer.calls
    (file,) = cache.iterdir()
    before = file.read_bytes()
    file.write_text(content)
    assert chosen(made) == first
    assert measurer.calls == 2 * calls
    assert file.read_bytes() == before


def test_a_cache_that_cannot_be_written_costs_the_time_alone(
    tmp_path: Path, cache: Path, measured: Callable[[Times], Measurer]
) -> None:
    measurer = measured(lambda precision, threads: 1.0)
    cache.parent.mkdir(parents=True)
    cache.write_text("a file in the folder's place: also root cannot write below it")
    first, calls = chosen(experiment(tmp_path)), measurer.calls
    assert chosen(experiment(tmp_path)) == first
    assert measurer.calls == 2 * calls


@pytest.mark.usefixtures("two_threads")
def test_a_run_records_what_was_chosen_and_resumes_with_it(
    tmp_path: Path, cache: Path, measured: Callable[[Times], Measurer]
) -> None:
    measured(lambda precision, threads: 1.0 / threads / (2 if precision == "bfloat16" else 1))
    plan, screen = RunPlan(experiment(tmp_path), RunFolder(tmp_path / "out" / "run")), Quiet()
    run(plan, tmp_path, screen)
    made = read_run(plan.folder)[0].training
    assert (made.threads, made.precision) == (2, "bfloat16")
    told = "chosen for this machine: 2 threads (2.0 times as fast as 1), bfloat16 (2.0 times as fast as float32)"
    assert told in " ".join(line.strip() for line in screen.lines)
    assert "2 threads (2.0 times as fast as 1)" in plan.folder.log.read_text()

    for file in cache.iterdir():  # what a measurement would say by now
        file.write_text(file.read_text().replace('"threads": 2,', '"threads": 1,'))
    measurer = measured(lambda precision, threads: float(threads))
    longer = dataclasses.replace(plan, experiment=experiment(tmp_path, AUTO.replace("cosine", "constant")))
    constant = dataclasses.replace(longer, folder=RunFolder(tmp_path / "out" / "constant"))
    run(constant, tmp_path, Quiet())
    assert read_run(constant.folder)[0].training.threads == 1
    again = run(plan, tmp_path, Quiet(), resume=True)
    assert again.trained == 0
    assert read_run(plan.folder)[0].training == made
    calls = measurer.calls
    run(plan, tmp_path, Quiet(), resume=True)
    assert measurer.calls == calls


def test_a_search_that_recorded_no_threads_is_retrained_with_those_of_its_trials(tmp_path: Path) -> None:
    """Earlier versions wrote null, and its trials had as many threads as CPUs."""
    text = SPACE.replace("threads: 1", "threads: null").replace("trials: 4", "trials: 4, resources: {cpu: 3}")
    found = read_search(search_folder(tmp_path / "s", text))
    (plan,) = plans(found, found.trials[0], 1, full=False)
    assert plan.experiment.training.threads == 3
    assert plan.folder.path.name == "00000-seed0"
    (other,) = plans(found, found.trials[0], 1, full=False, changes={"training.threads": "auto"})
    assert other.experiment.training.threads == "auto"


def test_steps_are_timed_in_turns_and_a_loss_that_is_not_finite_is_told(tmp_path: Path) -> None:
    made = experiment(tmp_path, EXPERIMENT)
    sound = measurable(made, (1, 8, 8), 10, CPU)
    broken = measurable(made, (1, 8, 8), 10, CPU)
    with torch.no_grad():
        next(broken.model.parameters()).fill_(math.nan)
    one, two, infinite = seconds_per_step([(sound, 1), (sound, 2), (broken, 1)], CPU)
    assert 0 < one < 1
    assert 0 < two < 1
    assert infinite == math.inf
    assert sound.threads == 2


def test_a_training_needs_its_precision(tmp_path: Path) -> None:
    made = measurable(experiment(tmp_path, EXPERIMENT), (1, 8, 8), 10, CPU)
    with pytest.raises(ValueError, match=r"training\.precision is auto"):
        Training(experiment(tmp_path), made.splits, device=CPU)
