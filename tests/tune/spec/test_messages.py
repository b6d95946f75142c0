"""What users read, word by word: one example of each form. The other tests ask where a problem is, not how it is said."""

from __future__ import annotations

import pytest

from tests.tune.spec.conftest import EXPERIMENT, LR, MODELS, MOMENTUM, OPTIMIZER, Desk, search

DATA = "augment, image_size, max_pixels, name, normalize, path, skip_unreadable, split_seed, test_fraction, train_limit, validation_fraction"
SETS = "cifar10, cifar100, digits, fashion_mnist, folder, mnist"
POOLING = "classifier: cnn_layers must be 1 to 4 for images of 8 x 8 pixels (got 6)"

OF_AN_EXPERIMENT = {
    # types, limits, names
    "training.epochs=x": "training.epochs: must be a whole number (got 'x')",
    "training.optimizer.lr=fast": "training.optimizer.lr: must be a number (got 'fast')",
    "training.optimizer.lr=.inf": "training.optimizer.lr: must be a finite number (got Infinity)",
    "data.skip_unreadable=1": "data.skip_unreadable: must be true or false (got 1)",
    "training=3": "training: must be a mapping of fields to values (got 3)",
    "model=simple_cnn": "model: must be a mapping of fields to values (got 'simple_cnn'); write {name: simple_cnn}",
    "data=mnist": "data: must be a mapping of fields to values (got 'mnist'); write {name: mnist}",
    "training.optimizer=sgd": (
        "training.optimizer: must be a mapping of fields to values (got 'sgd'); write {name: sgd}"
    ),
    "training.epochs=0": "training.epochs: must be at least 1 (got 0)",
    "training.optimizer.lr=0": "training.optimizer.lr: must be above 0 (got 0)",
    "data.validation_fraction=1": "data.validation_fraction: must be below 1 (got 1)",
    "data.augment={flip: {p: 2}}": "data.augment.flip.p: must be at most 1 (got 2)",
    "model={name: simple_cnn, conv_channels: []}": "model.conv_channels: must be a list of at least 1 (got [])",
    "data.normalize=7": "data.normalize: must be half, dataset, none, or a mapping with mean and std (got 7)",
    "data.augment=flip": "data.augment: must be a list of names, or a mapping of names to options (got 'flip')",
    "data.augment=[flip, flip]": "data.augment: lists flip more than once; list each once",
    "data.name=digitz": f"data.name: must be one of {SETS} (got 'digitz'); did you mean digits?",
    "training.precision=half": "training.precision: must be one of auto, bfloat16, float16, float32 (got 'half')",
    "training.threads=many": "training.threads: must be auto or a whole number (got 'many')",
    "training.threads=0": "training.threads: must be at least 1 (got 0)",
    "training.threads=1.5": "training.threads: must be a whole number (got 1.5)",
    "data.splitseed=3": f"data.splitseed: unknown field; did you mean split_seed? Valid fields here: {DATA}",
    "model.hidden=3": "model.hidden: unknown field; valid fields here: name",
    "epochs=3": (
        "epochs: unknown field; did you mean training.epochs? "
        "Valid fields here: constraints, data, model, search, seed, training"
    ),
    "data={}": "data.name: is required: one of digits, mnist, fashion_mnist, cifar10, cifar100, folder",
    # fields that do not go together
    "data.path=x": "data.path: is only for data.name=folder, not for digits (got 'x'); remove it",
    "training.optimizer.momentum=0.9": (
        "training.optimizer.momentum: is only for sgd or muon, not for adam (got 0.9); remove it"
    ),
    "training.optimizer={name: sgd, nesterov: true}": (
        "training.optimizer.nesterov: needs training.optimizer.momentum above 0; set it, or remove nesterov"
    ),
    "training.beta=0.5": (
        "training.beta: is only for reconstruction, and mnist_mlr is trained for classification (got 0.5); remove it"
    ),
    "training.batch_size=1295": "training.batch_size: must be at most 1294, the number of training images (got 1295)",
    "data.validation_fraction=1e-4": (
        "data.validation_fraction: must be 0 or at least 0.0007 for 1,438 images (got 0.0001)"
    ),
    "data.normalize={mean: [1, 2], std: [1, 2]}": "data.normalize: must have 1 number in mean and std (got 2)",
    "training.schedule={name: multistep}": (
        "training.schedule.milestones: is required for multistep: "
        "the epochs after which the learning rate falls, such as [10, 15]"
    ),
    "training.schedule={name: multistep, milestones: [3, 12]}": (
        "training.schedule.milestones: must be below training.epochs=10 (got [3, 12])"
    ),
    "training.schedule={name: step, step_size: 12}": (
        "training.schedule.step_size: must be below training.epochs=10, or the learning rate never falls (got 12)"
    ),
    "training.schedule={name: cosine, min_lr: 1}": (
        "training.schedule.min_lr: must be at most training.optimizer.lr=0.001 (got 1)"
    ),
    "training.schedule={name: onecycle, pct_start: 0.001}": (
        "training.schedule.pct_start: must leave at least one of 110 steps to the rise and one to the fall (got 0.001)"
    ),
    # the form of overrides
    "nothing": "'nothing' is not an override; write dotted.name=value",
    "space.seed=1": "space.seed: cannot be overridden; fix a searched field with FIELD=VALUE, or edit a copy of the file",
    "seed=5 # five": "seed: cannot be read as YAML: what follows ' #' would be dropped as a comment; put the text in quotes to keep it",
}
OF_A_SPACE = [
    (
        ("training.optimzer.lr: {float: [0.1, 1]}",),
        "space.training.optimzer.lr: unknown field; did you mean training.optimizer.lr? Valid fields here: averaging, "
        "batch_size, beta, clip_norm, early_stopping, epochs, label_smoothing, optimizer, precision, progressive_size, schedule, threads",
    ),
    (
        ("training.epochs.most: {int: [1, 2]}",),
        "space.training.epochs.most: unknown field: training.epochs is a value, not a section; use training.epochs",
    ),
    (
        ("training: {choice: [{epochs: 3}]}",),
        "space.training: is a section and cannot be searched; use its fields, such as training.batch_size",
    ),
    (
        ("data.split_seed: {int: [0, 9]}", LR),
        "space.data.split_seed: cannot be searched: results on different images cannot be compared; "
        "give it one value under experiment",
    ),
    (
        ("training.precision: {choice: [float32, auto]}",),
        "space.training.precision: auto cannot be one of the values: it is chosen once for all trials; "
        "remove it, or give it under experiment",
    ),
    (
        ("training.threads: {choice: [1, null]}",),
        "space.training.threads: auto cannot be one of the values: it is chosen once for all trials; "
        "remove it, or give it under experiment",
    ),
    (("seed: {int: [-1, 3]}",), "space.seed: must be at least 0 (got -1)"),
    (("seed: {int: [2, 1]}",), "space.seed: int: low must be at most high (got low 2, high 1)"),
    ((), "space: has no searched field; add one, or use `train`"),
    (
        ("training.epochs: {int: [1, 2], when: {training.batch_size: 129}}",),
        "space.training.epochs: when: is never met, since training.batch_size is 128 and not searched; "
        "search it, or remove the condition",
    ),
    (
        (OPTIMIZER, MOMENTUM.replace(", when: {training.optimizer.name: sgd}", "")),
        "space.training.optimizer.name: 'adam' can never be used: training.optimizer.momentum: "
        "is only for sgd or muon, not for adam (got 0.8); remove it",
    ),
]
OF_A_SEARCH = {
    "training.optimizer.lr=0.1": (
        "FILE: space: has no searched field; the overrides fix them all: leave one out, or use `train`"
    ),
    "search.mode=max": "override: search.mode: must be min for val_loss (got max); remove it: it follows from the metric",
    "search.metric=val_kl": (
        "override: search.metric: must be a metric of classification: "
        "one of train_loss, train_accuracy, val_loss, val_accuracy (got 'val_kl')"
    ),
    "data.validation_fraction=0": (
        "FILE: search.metric: val_loss needs validation images; "
        "set data.validation_fraction above 0, or use a train_ metric"
    ),
    "search.resources.gpu=two": (
        "override: search.resources.gpu: must be auto, 0, from 0.0001 to 1, or a whole number up to 1024 (got 'two')"
    ),
    "search.scheduler.brackets=4": (
        "override: search.scheduler.brackets: must be at most 3, the rungs of 10 epochs with grace_period=1 and "
        "reduction_factor=3 (got 4)"
    ),
    "constraints={parameters: {min: 3, max: 2}}": (
        "override: constraints.parameters.max: must be at least min=3 (got 2)"
    ),
}


HUGE = 10**23
TOO_LARGE = {
    f"training.epochs={HUGE}": "training.epochs: must be at most 1000000",
    f"training.batch_size={HUGE}": "training.batch_size: must be at most 1000000000",
    f"training.threads={HUGE}": "training.threads: must be at most 1024",
    f"seed={HUGE}": "seed: must be below 9223372036854775808",
    f"search.trials={HUGE}": "search.trials: must be at most 1000000",
    f"search.resources.cpu={HUGE}": "search.resources.cpu: must be at most 1024",
    f"search.sampler={{name: grid, points: {HUGE}}}": "search.sampler.points: must be a whole number from 1 to 1000000000",
}


@pytest.mark.parametrize("override", TOO_LARGE)
def test_of_numbers_that_no_machine_can_handle(desk: Desk, override: str) -> None:
    (line,) = desk.refusal(desk.search, search(LR), override)
    assert line.startswith(f"override: {TOO_LARGE[override]}")
    assert line.endswith(f"(got {HUGE})")


@pytest.mark.parametrize("override", OF_AN_EXPERIMENT)
def test_of_an_experiment(desk: Desk, override: str) -> None:
    line = f"override: {OF_AN_EXPERIMENT[override]}"
    assert desk.refusal(desk.experiment, EXPERIMENT, override) == [line]


@pytest.mark.parametrize(("domains", "line"), OF_A_SPACE)
def test_of_a_space(desk: Desk, domains: tuple[str, ...], line: str) -> None:
    assert desk.refusal(desk.search, search(*domains)) == [f"FILE: {line}"]


@pytest.mark.parametrize("override", OF_A_SEARCH)
def test_of_a_search(desk: Desk, override: str) -> None:
    assert desk.refusal(desk.search, search(LR), override) == [OF_A_SEARCH[override]]


def test_the_models_own_words_come_out_whole(desk: Desk) -> None:
    model = "model={name: classifier, cnn_layers: 6}"
    (line,) = desk.refusal(desk.experiment, EXPERIMENT, model)
    assert line.startswith(f"override: model: {POOLING}")
    (line,) = desk.refusal(desk.search, search("model.cnn_layers: {int: [6, 9]}"))
    assert line.startswith(
        f'FILE: space: none of 4 configurations can be trained; the first, {{"model.cnn_layers": 6}}: model: {POOLING}'
    )


def test_of_known_good_configurations(desk: Desk) -> None:
    first = "first: [3, {seed: 10, sed: 1}, {}]\nconstraints: {parameters: {min: 10, max: 1000}}\n"
    lines = desk.refusal(desk.search, search("seed: {int: [0, 9]}", more=first))
    parameters = "must have at least 10 and at most 1000 parameters by constraints.parameters"
    assert lines[:4] == [
        "FILE: first.0: must be a mapping of dotted fields to values (got 3)",
        "FILE: first.1.sed: unknown field; did you mean seed? Valid fields here: seed",
        "FILE: first.1.seed: must be a whole number from 0 to 9 (got 10)",
        "FILE: first.2.seed: is required: a whole number from 0 to 9",
    ]
    first = first.replace("3, {seed: 10, sed: 1}, {}", "{seed: 1}")
    (line,) = desk.refusal(desk.search, search("seed: {int: [0, 9]}", more=first))
    assert line.startswith(f"FILE: first.0: {parameters} (got ")


def test_of_an_experiment_with_searched_fields(desk: Desk) -> None:
    assert desk.refusal(desk.experiment, search(MODELS, LR, model="{}")) == [
        "FILE: space: has searched fields: model.name, training.optimizer.lr; "
        "use `search`, or give each a value: FIELD=VALUE"
    ]
