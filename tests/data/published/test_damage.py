"""Damaged files are named, with what to do, and `prepare` replaces them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torchvision.datasets

from data import DamagedDataError, Source, load_train, prepare

if TYPE_CHECKING:
    from tests.data.conftest import Published, Web

MNIST, CIFAR10 = Source("mnist"), Source("cifar10")
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def test_an_archive_that_is_none_is_damaged(
    cifar10: Published, root: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"an archive that is none"
    (archive,) = cifar10.files
    web.answer(archive, body)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", hashlib.md5(body).hexdigest())
    with pytest.raises(DamagedDataError, match=rf"cannot unpack .*{archive}"):
        load_train(CIFAR10, root)
    assert not (root / archive).exists()


def halved(body: bytes) -> bytes:
    return body[: len(body) // 2]


def one_bit_off(body: bytes) -> bytes:
    return body[:-9] + bytes((body[-9] ^ 1,)) + body[-8:]


@pytest.mark.parametrize("harm", [halved, one_bit_off, lambda body: b""], ids=["halved", "one bit off", "empty"])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mnist", f"MNIST/raw/{IMAGES}.gz"),
        ("mnist", "MNIST/raw/t10k-labels-idx1-ubyte.gz"),
        ("cifar10", "cifar-10-batches-py/data_batch_2"),
        ("cifar10", "cifar-10-batches-py/batches.meta"),
    ],
)
def test_a_damaged_file_is_named_and_prepare_replaces_it(
    name: str, file: str, harm: Callable[[bytes], bytes], root: Path, web: Web, request: pytest.FixtureRequest
) -> None:
    published: Published = request.getfixturevalue(name)
    published.lay_out(root)
    path = root / file
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DamagedDataError, match=rf"{file} is damaged: its md5 is") as caught:
        load_train(Source(name), root)
    assert f"delete it, or run `imagetune prepare {name}` to download it again" in str(caught.value)
    assert web.asked == []

    with pytest.raises(DamagedDataError, match=rf"{name} is damaged: could not download .*HTTP 404"):
        prepare(Source(name), root)
    published.serve(web)
    told: list[str] = []
    assert prepare(Source(name), root, say=told.append).train_size == 40
    assert any(f"{path} is damaged" in line and "replacing it" in line for line in told)
    assert published.is_in(load_train(Source(name), root), "train")


@pytest.mark.parametrize(
    ("harm", "damage"),
    [
        (lambda body: body[:-1], r"it has 31,375 bytes instead of 31,376"),
        (lambda body: body + b"x", r"it has 31,377 bytes instead of 31,376"),
        (lambda body: b"\x00\x00\x0d" + body[3:], "it is not an IDX file"),
        (lambda body: body[:6], "it is not an IDX file"),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_damaged_unpacked_file_is_named(
    mnist: Published, root: Path, harm: Callable[[bytes], bytes], damage: str, alone: bool, web: Web
) -> None:
    mnist.lay_out(root, lambda name: not (alone and name.endswith(".gz")))
    path = root / "MNIST/raw" / IMAGES
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DamagedDataError, match=rf"{IMAGES} is damaged: {damage}"):
        load_train(MNIST, root)
    if not alone:
        prepare(MNIST, root)  # From the packed file beside it, without network.
        assert web.asked == []
        assert path.read_bytes() == gzip.decompress(mnist.files[f"{IMAGES}.gz"])


def test_damage_after_preparation_is_noticed(mnist: Published, root: Path) -> None:
    mnist.lay_out(root)
    load_train(MNIST, root)
    path = root / "MNIST/raw" / f"{LABELS}.gz"
    path.write_bytes(halved(path.read_bytes()))
    with pytest.raises(DamagedDataError, match=f"{LABELS}.gz is damaged"):
        load_train(MNIST, root)


def test_half_an_archive_in_place_of_the_batches_is_the_damage(cifar10: Published, root: Path, web: Web) -> None:
    (archive,) = cifar10.files
    root.mkdir()
    (root / archive).write_bytes(halved(cifar10.files[archive]))
    with pytest.raises(DamagedDataError, match=rf"{archive} is damaged: its md5"):
        load_train(CIFAR10, root)
    cifar10.lay_out(root)
    assert cifar10.is_in(load_train(CIFAR10, root), "train")


def test_more_labels_than_images_is_damage(mnist: Published, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist.lay_out(root, lambda name: not name.endswith(".gz"))
    (root / "MNIST/raw" / LABELS).write_bytes(b"\x00\x00\x08\x01\x00\x00\x00\x02\x01\x01")
    with pytest.raises(DamagedDataError, match=r"has 40 images, .* 2 labels"):
        load_train(MNIST, root)
