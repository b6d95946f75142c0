"""What CONTRIBUTING.md promises under "How to add a ...": one of each, added from outside the packages, and used.

Specifications take their names from the tables when they are imported, so everything is added before, in a new process.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest

from search_spaces import Config
from tests.tune.search.simulation import SPACE, Simulation, spec_of
from tune.evaluation.evaluate import _EVALUATORS
from tune.record.status import Status
from tune.record.tables import trials_table
from tune.record.trial import TrialRecord
from tune.reproduce.published import ROWS, PublishedRow, rows_named
from tune.search.feasible import Feasibility
from tune.search.samplers import SAMPLERS, Sampler, Task
from tune.search.schedulers import SCHEDULERS, Action, Scheduler, Verdict
from tune.spec import SpecError, load_experiment, options
from tune.spec.base import Fraction
from tune.spec.checks.images import inspect_data
from tune.spec.checks.search import check_constraints
from tune.spec.constraints import Bound, ConstraintsSpec
from tune.spec.metric import _KINDS, FACTS, Metric, Objective
from tune.spec.options.samplers import SamplerSpec
from tune.spec.options.schedulers import SchedulerSpec
from tune.training.tasks import _TASKS

NEWCOMERS = '''
import sys
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import nn
from torch.optim.lr_scheduler import LinearLR

import models.registry
import data.augmentation.table
import data.registry
import tune.optim.optimizers
import tune.optim.schedules
from data.augmentation import Augmentation, Kind
from data.registry import DatasetEntry
from data.values import ImageSet
from models.registry import ModelEntry
from tune.optim.schedules import ScheduleEntry


def pooled_linear(input_shape, classes, *, side: Annotated[int, Ge(1)] = 4):
    return nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Linear(input_shape[0] * side**2, classes))


def invert(images, generator, *, p: Annotated[float, Ge(0), Le(1)] = 0.5):
    drawn = torch.rand(len(images), generator=generator) < p
    return torch.where(drawn[:, None, None, None], 255 - images, images)


def stripes(part):
    """Stripes across or down, in as many images as the table says."""
    labels = torch.arange(120 if part == "train" else 40) % 2
    across = (torch.arange(8) % 2 * 200).to(torch.uint8)[:, None].expand(8, 8)
    return ImageSet(torch.stack([across.T if label else across for label in labels])[:, None], labels, CLASSES)


def rmsprop(model, device, *, lr, weight_decay, momentum):
    return torch.optim.RMSprop(model.parameters(), lr=lr, weight_decay=weight_decay, momentum=momentum or 0.0)


def linear(optimizer, lr, epochs, steps, *, min_lr):
    return LinearLR(optimizer, 1.0, min_lr / lr, epochs)


CLASSES = ("across", "down")
models.registry._MODELS["pooled_linear"] = ModelEntry("pooled_linear", pooled_linear, "one linear layer")
data.augmentation.table._TABLE["invert"] = Augmentation("invert", Kind.PIXELS, invert, "invert with probability p")
data.registry._TABLE["stripes"] = DatasetEntry("stripes", "stripes", (1, 8, 8), CLASSES, 120, 40, read=stripes)
tune.optim.optimizers.OPTIMIZERS["rmsprop"] = rmsprop
tune.optim.schedules.SCHEDULES["linear"] = ScheduleEntry(linear, spans_all_epochs=True)

from tune.spec import SpecError, load_experiment
from tune.training import Training, open_splits, train

EXPERIMENT = """
experiment:
  data: {name: stripes, validation_fraction: 0.25, augment: {invert: {p: 0.25}}}
  model: {name: pooled_linear, side: 8}
  training:
    epochs: 4
    batch_size: 16
    optimizer: {name: rmsprop, lr: 0.01, momentum: 0.5}
    schedule: {name: linear, min_lr: 0.001}
"""


def start(experiment):
    """Train the experiment."""
    cpu = torch.device("cpu")
    training = Training(experiment, open_splits(experiment.data, file.parent, cpu), device=cpu)
    train(training)
    return training


file = Path(sys.argv[1]) / "stripes.yaml"
file.write_text(EXPERIMENT)
experiment = load_experiment(file)
training = start(experiment)
'''

USED = """
assert isinstance(training.model[2], nn.Linear)
assert [epoch.epoch for epoch in training.history] == [1, 2, 3, 4]
plain = start(load_experiment(file, ["data.augment={}"]))
assert plain.history[-1].values["val_accuracy"] == 1.0, plain.history
assert plain.history[0].values["train_loss"] < training.history[0].values["train_loss"]
falling = [round(epoch.lr, 6) for epoch in training.history]
assert falling == [0.01, 0.00775, 0.0055, 0.00325], falling
assert experiment.training.spanning == ("linear",)
"""

TASK = """
import torch.nn.functional as F

import tune.spec.metric
import tune.training.tasks


class Squares:
    def __init__(self, spec):
        pass

    def outputs(self, model, images):
        return model(images).softmax(1)

    def loss(self, outputs, images, labels, *, training):
        return (outputs - F.one_hot(labels, outputs.shape[1])).square().sum(1).mean()

    def others(self, outputs, images, labels):
        return ((outputs.argmax(1) != labels).sum(),)


models.registry._MODELS["pooled_linear"] = ModelEntry("pooled_linear", pooled_linear, "one layer", task="squares")
tune.spec.metric._KINDS["squares"] = (("loss", "min", ""), ("error", "min", "%"))
tune.spec.metric.METRICS.update({metric.name: metric for metric in tune.spec.metric.metrics_of("squares")})
tune.training.tasks._TASKS["squares"] = Squares

values = start(load_experiment(file, ["data.augment={}"])).history[-1].values
assert list(values) == ["train_loss", "train_error", "val_loss", "val_error"], values
assert values["val_error"] == 0.0, values
"""

REFUSED = """
for field in ("model.side=0", "training.optimizer.nesterov=true", "training.schedule.gamma=0.5", "data.name=stripe"):
    try:
        load_experiment(file, [field])
    except SpecError as error:
        print(error)
    else:
        raise AssertionError(f"{field} was not refused")
"""


def run_python(code: str, folder: Path) -> str:
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_an_augmentation_a_data_set_an_optimizer_and_a_schedule_from_outside_train(tmp_path: Path) -> None:
    run_python(NEWCOMERS + USED, tmp_path)


def test_a_task_with_its_own_loss_and_metric_from_outside_trains(tmp_path: Path) -> None:
    run_python(NEWCOMERS + TASK, tmp_path)


def test_their_fields_are_checked_as_those_of_others(tmp_path: Path) -> None:
    """Limits come from annotations; a field that a newcomer's function does not take is refused."""
    lines = run_python(NEWCOMERS + REFUSED, tmp_path).splitlines()
    assert len(lines) == 4
    assert "model.side: must be at least 1" in lines[0]
    assert "only for sgd, not for rmsprop" in lines[1]
    assert "only for step or multistep, not for linear" in lines[2]
    assert "did you mean stripes?" in lines[3]


class LargestSpec(SamplerSpec):
    """The share of the range."""

    name: Literal["largest"] = "largest"
    share: Fraction = 0.0


class LargestValues(Sampler):
    """Proposes the end of every domain."""

    def __init__(self, task: Task) -> None:
        self.space = task.space

    def proposals(self, trials: Sequence[TrialRecord], number: int) -> Iterator[Config]:
        yield {field: domain.ends[-1] for field, domain in self.space.domains.items()}


def test_a_sampler_from_outside_proposes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLERS, "largest", LargestValues)
    monkeypatch.setitem(options.samplers.SAMPLERS, "largest", LargestSpec)
    search = Simulation(
        spec_of(tmp_path, SPACE, "search.sampler={name: largest, share: 0.5}"), tmp_path / "s", trials=1
    )
    search.run()
    assert search.ledger.trials[0].config == {"training.optimizer.lr": 0.1, "training.batch_size": 64}
    with pytest.raises(SpecError, match=r"search.sampler.share: must be below 1"):
        spec_of(tmp_path, SPACE, "search.sampler={name: largest, share: 1.5}")
    with pytest.raises(SpecError, match=r"search.sampler.startup: unknown field; .*name, share"):
        spec_of(tmp_path, SPACE, "search.sampler={name: largest, startup: 5}")


class OddSpec(SchedulerSpec):
    """No options."""

    name: Literal["odd"] = "odd"


class OddTrials(Scheduler):
    """Stops every second trial after its first epoch."""

    def __init__(self, spec: OddSpec, epochs: int, objective: Objective, seed: int) -> None:
        pass

    def judge(self, number: int, epoch: int, value: float, others: tuple[float, ...] = ()) -> Verdict:
        return Verdict(Action.STOP, "odd") if number % 2 else Verdict(Action.CONTINUE)

    def replay(self, trials: Iterable[TrialRecord], metric: str) -> None:
        pass


def test_a_scheduler_from_outside_stops_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEDULERS, "odd", OddTrials)
    monkeypatch.setitem(options.schedulers.SCHEDULERS, "odd", OddSpec)
    search = Simulation(spec_of(tmp_path, SPACE, "search.scheduler={name: odd}"), tmp_path / "search", trials=4)
    search.run()
    ends = [(trial.status, trial.reason, len(trial.epochs)) for trial in search.ledger.trials.values()]
    assert ends == [(Status.COMPLETED, "all epochs", 9), (Status.STOPPED, "odd", 1)] * 2


def test_a_constraint_from_outside_is_checked(tmp_path: Path) -> None:
    """Any quantity of `models.Cost` is a constraint as soon as it is a field."""

    class More(ConstraintsSpec):
        params_bytes: Bound | None = None

    experiment = load_experiment("mnist_mlr", ["data.name=digits", "data.train_limit=null"])
    info = inspect_data(experiment.data, tmp_path)
    size = 4 * (64 + 1) * 10
    assert list(check_constraints(More(params_bytes=Bound(max=size)), experiment, info)) == []
    assert len(list(check_constraints(More(params_bytes=Bound(max=size - 1)), experiment, info))) == 1


def test_a_fact_from_outside_is_an_objective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any quantity of `models.Cost`, by its name alone: it is recorded, compared and in the table."""
    monkeypatch.setitem(FACTS, "activation_bytes", Metric("model", "activation_bytes", "min"))
    spec = spec_of(tmp_path, SPACE, "search.objectives=[{metric: val_loss}, {metric: activation_bytes}]")
    assert spec.search.objective.text == "val_loss and activation_bytes"
    facts = Feasibility(spec, tmp_path)(spec.example)
    assert facts is not None
    assert facts["activation_bytes"] == 4 * 10  # ten logits
    search = Simulation(spec, tmp_path / "search", trials=4, facts=facts)
    search.run()
    assert all(trial.costs(spec.search.objective) for trial in search.ledger.trials.values())
    assert (
        trials_table(search.record.trials(), [], spec.search.objective, search.folder)["activation_bytes"].eq(40).all()
    )


def test_a_published_row_from_outside_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    row = PublishedRow("my_digits", "vae_digits", 0.001, 0.99)
    monkeypatch.setitem(ROWS, row.name, row)
    assert rows_named(["my_digits"]) == [row]


def test_what_has_a_line_in_two_tables_is_in_both() -> None:
    """The specification may not import what builds these, so their names stand there too."""
    assert set(options.samplers.SAMPLERS) == set(SAMPLERS)
    assert set(options.schedulers.SCHEDULERS) == set(SCHEDULERS)
    assert set(_KINDS) == set(_TASKS) == set(_EVALUATORS)
