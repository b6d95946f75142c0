"""Reading published data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from data import DamagedDataError, DataError, Source, inspect, load_test, load_train, prepare

if TYPE_CHECKING:
    from tests.data.conftest import Published, Web

MNIST, CIFAR10 = Source("mnist"), Source("cifar10")


@pytest.mark.parametrize("form", ["packed", "unpacked", "both"])
def test_mnist_is_read_from_either_form(mnist: Published, root: Path, form: str, web: Web) -> None:
    mnist.lay_out(root, lambda name: form == "both" or name.endswith(".gz") == (form == "packed"))
    assert mnist.is_in(load_train(MNIST, root, download=False), "train")
    assert mnist.is_in(load_test(MNIST, root, download=False), "test")
    assert web.asked == []


def test_cifar_is_read(cifar10: Published, root: Path, web: Web) -> None:
    cifar10.lay_out(root)
    train = load_train(CIFAR10, root, download=False)
    assert cifar10.is_in(train, "train")
    assert cifar10.is_in(load_test(CIFAR10, root, download=False), "test")
    assert train.classes[:2] == ("airplane", "automobile")
    assert web.asked == []


def test_an_archive_put_there_by_hand_is_unpacked_without_network(cifar10: Published, root: Path, web: Web) -> None:
    root.mkdir()
    (archive,) = cifar10.files
    (root / archive).write_bytes(cifar10.files[archive])
    assert cifar10.is_in(load_train(CIFAR10, root, download=False), "train")
    assert (root / archive).is_file()
    assert web.asked == []


def test_missing_files_are_named_with_how_to_get_them(mnist: Published, root: Path, web: Web) -> None:
    with pytest.raises(DataError, match=r"mnist is missing: could not download .*mes données") as caught:
        load_train(MNIST, root, download=False)
    text = str(caught.value)
    assert all(f"MNIST/raw/{name}" in text for name in mnist.files)
    assert "downloads are disabled" in text
    assert "run `imagetune prepare mnist` with network access, or copy the files there" in text
    assert "\n" not in text
    assert not isinstance(caught.value, DamagedDataError)
    assert web.asked == []


def test_inspect_needs_no_files(root: Path, web: Web) -> None:
    found = inspect(CIFAR10, root)
    assert (found.input_shape, len(found.classes), found.train_size) == ((3, 32, 32), 10, 50_000)
    assert not root.exists()


@pytest.mark.parametrize("load", [inspect, load_train, load_test, prepare])
def test_a_request_that_makes_no_sense_is_refused(load: Callable[..., object], root: Path) -> None:
    with pytest.raises(DataError, match=r"unknown data set 'minst'.*did you mean mnist"):
        load(Source("minst"), root)
    with pytest.raises(DataError, match=r"data.path is only for data.name=folder"):
        load(Source("mnist", path="pictures"), root)


def test_digits_are_those_of_scikit_learn(root: Path) -> None:
    from sklearn.datasets import load_digits

    expected, parts = load_digits(), (load_train(Source("digits"), root), load_test(Source("digits"), root))
    ours = [
        (int(label), image.flatten().tolist())
        for part in parts
        for label, image in zip(part.labels, part.images, strict=True)
    ]
    pixels = np.rint(expected.data * 255 / 16).astype(int)
    assert sorted(ours) == sorted(zip(expected.target.tolist(), pixels.tolist(), strict=True))


def test_digits_come_without_files(root: Path) -> None:
    train, test = load_train(Source("digits"), root), load_test(Source("digits"), root)
    assert (train.images.shape, test.images.shape) == ((1438, 1, 8, 8), (359, 1, 8, 8))
    assert int(train.images.max()) == 255
    assert train.labels[:5].tolist() == [0, 1, 2, 3, 4]
    assert set(map(bytes, train.images.flatten(1).numpy())).isdisjoint(map(bytes, test.images.flatten(1).numpy()))
    counts = test.labels.bincount()
    assert (int(counts.min()), int(counts.max())) == (35, 37)
    assert not root.exists()


def test_statistics_describe_both_parts(mnist: Published, root: Path) -> None:
    mnist.lay_out(root)
    found = prepare(MNIST, root)
    assert (found.input_shape, found.train_size, found.test_size) == ((1, 28, 28), 40, 20)
    assert found.train_counts == (4,) * 10
    assert found.test_counts == (2,) * 10
    assert found.mean == pytest.approx([mnist.images["train"].mean() / 255])
    assert found.std == pytest.approx([mnist.images["train"].std() / 255])
