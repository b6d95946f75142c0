"""The published runs: their figures, and known objections to them.

Each is a shipped experiment (`search_spaces/fixed/`), whose file says what differs here and why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from data.words import quoted
from tune.errors import UserError
from tune.spec import load_experiment
from tune.spec.errors import nearest

# Differences in accuracy between seeds, on 10,000 test images.
MNIST_NOISE, CIFAR_NOISE = 0.001, 0.01


class Caveat(StrEnum):
    """Why a published figure cannot be compared directly."""

    CHOSEN_ON_TEST = "its validation set is the test set: configuration and epoch were chosen on it"
    BEST_TEST_EPOCH = "the highest of all epochs on the test images"
    BATCH_MEAN_F1 = "its F1 is a mean over batches, which is too low"
    AUGMENTED_VAL = "its validation images were augmented too"
    INPUT_CAST_ONLY = "only the input was cast, the network stayed float32"
    NOT_PUBLISHED = "stands beside the published runs in float32 and float16"


@dataclass(frozen=True)
class PublishedRow:
    """One published run; accuracies and F1 are fractions, None is unknown.

    Attributes:
        name: Of the row and its run folders.
        experiment: A shipped name or a YAML file.
        noise: A difference in accuracy that counts as equal.
        accuracy: On the test images.
        macro_f1: On the test images, mean over classes.
        loss: Cross entropy on the test images.
        val_accuracy: On the validation images, at the best epoch.
        val_loss: The same epoch's.
        caveat: Why the published figure cannot be compared directly.
        precision: The precision used here, if it is not the experiment's.
    """

    name: str
    experiment: str
    noise: float
    accuracy: float | None = None
    macro_f1: float | None = None
    loss: float | None = None
    val_accuracy: float | None = None
    val_loss: float | None = None
    caveat: Caveat | None = None
    precision: str | None = None


_Figure = float | None


def _mnist(
    name: str, accuracy: _Figure = None, f1: _Figure = None, loss: _Figure = None, caveat: Caveat | None = None
) -> PublishedRow:
    return PublishedRow(name, name, MNIST_NOISE, accuracy, f1, loss, caveat=caveat)


def _cifar100(name: str, accuracy: float, f1: float, loss: float) -> PublishedRow:
    return PublishedRow(name, name, CIFAR_NOISE, accuracy, f1, loss, caveat=Caveat.BATCH_MEAN_F1)


def _tiny_vgg(run: int, val_loss: float, val_accuracy: float, caveat: Caveat | None = None) -> PublishedRow:
    name = f"tiny_vgg_run{run}"
    return PublishedRow(name, name, CIFAR_NOISE, val_accuracy=val_accuracy, val_loss=val_loss, caveat=caveat)


def _lightweight(version: int, accuracy: float) -> PublishedRow:
    return _mnist(f"mnist_v{version}", accuracy, caveat=Caveat.BEST_TEST_EPOCH)


ROWS: dict[str, PublishedRow] = {
    row.name: row
    for row in (
        _mnist("mnist_mlr", 0.9207, 0.9179, 0.2789),
        _mnist("mnist_cnn", 0.9721, 0.9713, 0.0949),
        _mnist("simple_cnn_mnist", 0.9915, 0.9913, 0.0245),
        _mnist("simple_cnn_float32", 0.9936, 0.9930, 0.0219),
        _mnist("simple_cnn_float16", 0.9930, 0.9924, 0.0215, caveat=Caveat.INPUT_CAST_ONLY),
        _mnist("simple_cnn_bfloat16", caveat=Caveat.NOT_PUBLISHED),
        _cifar100("simple_cnn_cifar100", 0.3126, 0.2314, 2.7993),
        _cifar100("cifar_model", 0.4419, 0.3499, 2.1409),
        _tiny_vgg(1, 0.770, 0.738),
        _tiny_vgg(2, 0.655, 0.770, Caveat.AUGMENTED_VAL),
        replace(_tiny_vgg(3, 0.566, 0.8075, Caveat.AUGMENTED_VAL), accuracy=0.8272, loss=0.52),
        _tiny_vgg(4, 0.602, 0.791, Caveat.AUGMENTED_VAL),
        PublishedRow(
            "classifier_best", "classifier_best", CIFAR_NOISE, 0.8304, loss=0.5419, caveat=Caveat.CHOSEN_ON_TEST
        ),
        _lightweight(0, 0.9911),
        _lightweight(1, 0.9935),
        _lightweight(2, 0.9908),
        _lightweight(3, 0.9945),
    )
}


def rows_named(names: Iterable[str]) -> list[PublishedRow]:
    """The rows of these names, each once; all if no name is given.

    Raises:
        UserError: There is no such row; suggests the nearest.
    """
    wanted = list(dict.fromkeys(names)) or list(ROWS)
    if unknown := [name for name in wanted if name not in ROWS]:
        raise UserError(*(f"{quoted(name)} is not a published row; {nearest(name, ROWS)}" for name in unknown))
    return [ROWS[name] for name in wanted]


def computed_in(rows: Iterable[PublishedRow], precision: str) -> list[PublishedRow]:
    """The rows in another precision, except those that are named after a precision.

    Raises:
        SpecError: There is no such precision.
    """
    computed = []
    for row in rows:
        own = load_experiment(row.experiment).training.precision
        load_experiment(row.experiment, [f"training.precision={precision}"])
        computed.append(row if precision == own or row.name.endswith(own) else replace(row, precision=precision))
    return computed
