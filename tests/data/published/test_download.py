"""Downloads: on first use, complete or not at all, and one line if they fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torchvision.datasets

from data import DataError, Source, load_test, load_train

if TYPE_CHECKING:
    from tests.data.conftest import Published, Web

MNIST, CIFAR10 = Source("mnist"), Source("cifar10")
IMAGES = "train-images-idx3-ubyte"


def leftovers(root: Path) -> list[str]:
    """Files below the data folder that are neither published nor whole prepared copies."""
    return [path.name for path in root.rglob("*") if ".part" in path.name]


def test_a_dataset_is_downloaded_on_first_use_and_only_then(mnist: Published, root: Path, web: Web) -> None:
    mnist.serve(web)
    told: list[str] = []
    assert mnist.is_in(load_train(MNIST, root, say=told.append), "train")
    assert mnist.is_in(load_test(MNIST, root, say=told.append), "test")
    assert sorted(web.asked) == sorted(mnist.files)
    assert any(f"downloading {web.url}first/{IMAGES}.gz" in line for line in told)
    assert leftovers(root) == []
    # torchvision reads the folder as its own.
    assert len(torchvision.datasets.MNIST(str(root), train=False)) == 20


def test_a_downloaded_cifar_is_unpacked_and_the_archive_removed(cifar10: Published, root: Path, web: Web) -> None:
    cifar10.serve(web)
    assert cifar10.is_in(load_train(CIFAR10, root), "train")
    assert len(torchvision.datasets.CIFAR10(str(root), train=False)) == 10
    assert sorted(path.name for path in root.iterdir()) == ["cifar-10-batches-py", "prepared"]


def test_only_missing_files_are_downloaded(mnist: Published, root: Path, web: Web) -> None:
    mnist.serve(web)
    mnist.lay_out(root, lambda name: IMAGES not in name)
    assert mnist.is_in(load_train(MNIST, root), "train")
    assert web.asked == [f"{IMAGES}.gz"]


def test_the_second_address_is_tried(mnist: Published, root: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist.serve(web)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/", web.url])
    assert mnist.is_in(load_train(MNIST, root), "train")


# What the server says of a whole body (body, status, announced length), and the cause a user reads.
BAD_REPLIES: dict[str, tuple[Callable[[bytes], tuple[bytes, int, int | None]], str]] = {
    "not found": (lambda body: (b"gone", 404, None), "HTTP 404 Not Found"),
    "server error": (lambda body: (b"oops", 503, None), "HTTP 503"),
    "closed midway": (lambda body: (body[:40], 200, len(body)), r"the connection closed after 40 of [\d,]+ bytes"),
    "truncated": (lambda body: (body[:40], 200, None), "the content differs from the published file"),
    "another content": (
        lambda body: (b"<html>log in</html>", 200, None),
        "the content differs from the published file",
    ),
    "empty": (lambda body: (b"", 200, None), "the content differs from the published file"),
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
    with pytest.raises(DataError, match=rf"{name} is missing: could not download .*\(http://.*{cause}") as caught:
        load_train(Source(name), root)
    assert "\n" not in str(caught.value)
    assert leftovers(root) == []
    published.serve(web)
    assert published.is_in(load_train(Source(name), root), "train")


def test_what_a_killed_download_left_is_not_taken_for_the_file(mnist: Published, root: Path, web: Web) -> None:
    mnist.serve(web)
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    left = raw / ".0123456789ab.partial"
    left.write_bytes(mnist.files[f"{IMAGES}.gz"][:50])
    assert mnist.is_in(load_train(MNIST, root), "train")
    assert left.exists()  # It may belong to a download that is still running;
    os.utime(left, (0, 0))  # one that nobody has written to for an hour does not.
    (raw / f"{IMAGES}.gz").unlink()
    (raw / IMAGES).unlink()
    assert mnist.is_in(load_train(MNIST, root), "train")
    assert leftovers(root) == []


def test_no_server_at_all_is_one_line(mnist: Published, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/.*: Connection refused"):
        load_train(MNIST, root)


def test_a_folder_that_cannot_be_written_to_is_an_error_of_one_line(mnist: Published, root: Path, web: Web) -> None:
    mnist.serve(web)
    root.write_text("a file in place of the folder")
    with pytest.raises(DataError, match=r"mnist: .*mes données.*(Not a directory|File exists)"):
        load_train(MNIST, root)
