"""Published datasets: read, downloaded, verified, and every fault named with what to do."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torchvision.datasets

from data import DamagedDataError, DataError, ImageSet, Source, inspect, load_test, load_train, prepare

if TYPE_CHECKING:
    from tests.data.conftest import Published, Web

MNIST, CIFAR10 = Source("mnist"), Source("cifar10")
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def same(found: ImageSet, expected: Published, part: str) -> bool:
    images, labels = expected.images[part], expected.labels[part].astype(np.int64)
    return bool((found.images.numpy() == images).all() and (found.labels.numpy() == labels).all())


def leftovers(root: Path) -> list[str]:
    """Files below the data folder that are neither published nor whole prepared copies."""
    return [path.name for path in root.rglob("*") if ".part" in path.name]


@pytest.mark.parametrize("form", ["packed", "unpacked", "both"])
def test_mnist_is_read_from_either_form(mnist: Published, root: Path, form: str, web: Web) -> None:
    mnist.lay_out(root, lambda name: form == "both" or name.endswith(".gz") == (form == "packed"))
    assert same(load_train(MNIST, root, download=False), mnist, "train")
    assert same(load_test(MNIST, root, download=False), mnist, "test")
    assert web.asked == []


def test_cifar_is_read(cifar10: Published, root: Path, web: Web) -> None:
    cifar10.lay_out(root)
    train = load_train(CIFAR10, root, download=False)
    assert same(train, cifar10, "train")
    assert same(load_test(CIFAR10, root, download=False), cifar10, "test")
    assert train.classes[:2] == ("airplane", "automobile")
    assert web.asked == []


def test_an_archive_put_there_by_hand_is_unpacked_without_network(cifar10: Published, root: Path, web: Web) -> None:
    root.mkdir()
    (archive,) = cifar10.files
    (root / archive).write_bytes(cifar10.files[archive])
    assert same(load_train(CIFAR10, root, download=False), cifar10, "train")
    assert (root / archive).is_file()
    assert web.asked == []


def test_a_dataset_is_downloaded_on_first_use_and_only_then(mnist: Published, root: Path, web: Web) -> None:
    mnist.serve(web)
    told: list[str] = []
    assert same(load_train(MNIST, root, say=told.append), mnist, "train")
    assert same(load_test(MNIST, root, say=told.append), mnist, "test")
    assert sorted(web.asked) == sorted(mnist.files)
    assert any(f"downloading {web.url}first/{IMAGES}.gz" in line for line in told)
    assert leftovers(root) == []
    # torchvision reads the folder as its own.
    assert len(torchvision.datasets.MNIST(str(root), train=False)) == 20


def test_a_downloaded_cifar_is_unpacked_and_the_archive_removed(cifar10: Published, root: Path, web: Web) -> None:
    cifar10.serve(web)
    assert same(load_train(CIFAR10, root), cifar10, "train")
    assert len(torchvision.datasets.CIFAR10(str(root), train=False)) == 10
    assert sorted(path.name for path in root.iterdir()) == ["cifar-10-batches-py", "prepared"]


def test_only_missing_files_are_downloaded(mnist: Published, root: Path, web: Web) -> None:
    mnist.serve(web)
    mnist.lay_out(root, lambda name: IMAGES not in name)
    assert same(load_train(MNIST, root), mnist, "train")
    assert web.asked == [f"{IMAGES}.gz"]


def test_the_second_address_is_tried(mnist: Published, root: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist.serve(web)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/", web.url])
    assert same(load_train(MNIST, root), mnist, "train")


def test_missing_files_are_named_with_how_to_get_them(mnist: Published, root: Path, web: Web) -> None:
    with pytest.raises(DataError, match=r"mnist is not there: expected in .*mes données") as caught:
        load_train(MNIST, root, download=False)
    text = str(caught.value)
    assert all(f"MNIST/raw/{name}" in text for name in mnist.files)
    assert "downloading is switched off" in text
    assert "Run `imagetune prepare mnist` with network access, or copy the files there" in text
    assert "\n" not in text
    assert not isinstance(caught.value, DamagedDataError)
    assert web.asked == []


# What the server says of a whole body (body, status, announced length), and the cause a user reads.
BAD_REPLIES: dict[str, tuple[Callable[[bytes], tuple[bytes, int, int | None]], str]] = {
    "not found": (lambda body: (b"gone", 404, None), "HTTP 404 Not Found"),
    "server error": (lambda body: (b"oops", 503, None), "HTTP 503"),
    "closed midway": (lambda body: (body[:40], 200, len(body)), r"the connection closed after 40 of [\d,]+ bytes"),
    "truncated": (lambda body: (body[:40], 200, None), "the content is not the published one"),
    "another content": (lambda body: (b"<html>log in</html>", 200, None), "the content is not the published one"),
    "empty": (lambda body: (b"", 200, None), "the content is not the published one"),
}


@pytest.mark.parametrize("kind", BAD_REPLIES)
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_failed_download_says_why_and_leaves_nothing_to_trip_over(
    name: str, kind: str, root: Path, web: Web, request: pytest.FixtureRequest
) -> None:
    published: Published = request.getfixturevalue(name)
    reply, cause = BAD_REPLIES[kind]
    for file, body in published.files.items():
        web.answer(file, *reply(body))
    with pytest.raises(DataError, match=rf"{name} is not there: .*Getting them failed \(http://.*{cause}") as caught:
        load_train(Source(name), root)
    assert "\n" not in str(caught.value)
    assert leftovers(root) == []
    published.serve(web)
    assert same(load_train(Source(name), root), published, "train")


def test_what_a_killed_download_left_is_not_taken_for_the_file(mnist: Published, root: Path, web: Web) -> None:
    mnist.serve(web)
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    left = raw / f".{IMAGES}.gz.0123abcd.part"
    left.write_bytes(mnist.files[f"{IMAGES}.gz"][:50])
    assert same(load_train(MNIST, root), mnist, "train")
    assert left.exists()  # It may belong to a download that is still running;
    os.utime(left, (0, 0))  # one that nobody has written to for an hour does not.
    (raw / f"{IMAGES}.gz").unlink()
    (raw / IMAGES).unlink()
    assert same(load_train(MNIST, root), mnist, "train")
    assert leftovers(root) == []


def test_no_server_at_all_is_one_line(mnist: Published, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/.*: Connection refused"):
        load_train(MNIST, root)


def test_an_archive_that_is_none_is_damaged(
    cifar10: Published, root: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"an archive that is none"
    (archive,) = cifar10.files
    web.answer(archive, body)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", hashlib.md5(body).hexdigest())
    with pytest.raises(DamagedDataError, match=rf"{archive} cannot be unpacked"):
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
    assert f"Delete it, or run `imagetune prepare {name}` to download it again" in str(caught.value)
    assert web.asked == []

    with pytest.raises(DamagedDataError, match=rf"{name} is damaged: expected in .*HTTP 404"):
        prepare(Source(name), root)
    published.serve(web)
    told: list[str] = []
    assert prepare(Source(name), root, say=told.append).train_size == 40
    assert any(f"{path} is damaged" in line and "it is replaced" in line for line in told)
    assert same(load_train(Source(name), root), published, "train")


@pytest.mark.parametrize(
    ("harm", "damage"),
    [
        (lambda body: body[:-1], r"it has 31,375 bytes of 31,376"),
        (lambda body: body + b"x", r"it has 31,377 bytes of 31,376"),
        (lambda body: b"\x00\x00\x0d" + body[3:], "it does not begin as an IDX file"),
        (lambda body: body[:6], "it does not begin as an IDX file"),
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
    assert same(load_train(CIFAR10, root), cifar10, "train")


def test_more_labels_than_images_is_damage(mnist: Published, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist.lay_out(root, lambda name: not name.endswith(".gz"))
    (root / "MNIST/raw" / LABELS).write_bytes(b"\x00\x00\x08\x01\x00\x00\x00\x02\x01\x01")
    with pytest.raises(DamagedDataError, match=r"holds 40 images, .* 2 labels"):
        load_train(MNIST, root)


def test_a_folder_that_cannot_be_written_to_is_an_error_of_one_line(mnist: Published, root: Path, web: Web) -> None:
    mnist.serve(web)
    root.write_text("a file in place of the folder")
    with pytest.raises(DataError, match=r"mnist: .*mes données.*(Not a directory|File exists)"):
        load_train(MNIST, root)


def test_inspect_needs_no_files(root: Path, web: Web) -> None:
    found = inspect(CIFAR10, root)
    assert (found.input_shape, len(found.classes), found.train_size) == ((3, 32, 32), 10, 50_000)
    assert not root.exists()


@pytest.mark.parametrize("load", [inspect, load_train, load_test, prepare])
def test_a_request_that_makes_no_sense_is_refused(load: Callable[..., object], root: Path) -> None:
    with pytest.raises(DataError, match=r"unknown dataset 'minst'.*did you mean 'mnist'"):
        load(Source("minst"), root)
    with pytest.raises(DataError, match=r"data.path is only for data.name=folder, and data.name is mnist"):
        load(Source("mnist", path="pictures"), root)


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
