"""Small archives in torchvision's layouts, and a local web server."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets

from data import ImageSet


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass
class Reply:
    """What the server answers; ``length`` overrides the Content-Length it announces."""

    body: bytes
    status: int = 200
    length: int | None = None


@dataclass
class Web:
    """A server on 127.0.0.1, the replies it gives by file name, and the names it was asked for."""

    url: str
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, name: str, body: bytes, status: int = 200, length: int | None = None) -> None:
        self.replies[name] = Reply(body, status, length)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("no_proxy", "*")
    served = Web("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            served.asked.append(name)
            reply = served.replies.get(name, Reply(b"no such file", 404))
            self.send_response(reply.status)
            self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, so that no test writes to the real one."""
    folder = tmp_path_factory.mktemp("user cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data folder with a space and an accent in its path, not made yet."""
    return tmp_path / "mes données"


@dataclass
class Published:
    """A stand-in for a published dataset.

    ``files`` are what the web serves, ``laid_out`` what lies below the data folder when all is well.
    """

    files: dict[str, bytes]
    laid_out: dict[str, bytes]
    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]

    def is_in(self, found: ImageSet, part: str) -> bool:
        """Whether a part that was read is the published one."""
        labels = self.labels[part].astype(np.int64)
        return bool((found.images.numpy() == self.images[part]).all() and (found.labels.numpy() == labels).all())

    def serve(self, web: Web) -> None:
        for name, body in self.files.items():
            web.answer(name, body)

    def lay_out(self, root: Path, keep: Callable[[str], bool] = lambda name: True) -> None:
        for name, body in self.laid_out.items():
            if keep(name):
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(body)


def _pictures(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch, web: Web) -> Published:
    """MNIST with 40 and 20 images, published on the local server only."""
    images = {"train": _pictures(0, 40, 28, 28), "test": _pictures(1, 20, 28, 28)}
    labels = {part: np.arange(len(images[part]), dtype=np.uint8) % 10 for part in images}
    plain = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        plain[f"{prefix}-images-idx3-ubyte"] = _idx(images[part])
        plain[f"{prefix}-labels-idx1-ubyte"] = _idx(labels[part])
    packed = {f"{name}.gz": gzip.compress(body, mtime=0) for name, body in plain.items()}
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"{web.url}first/", f"{web.url}second/"])
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", [(n, md5(b)) for n, b in packed.items()])
    laid_out = {f"MNIST/raw/{name}": body for name, body in (plain | packed).items()}
    return Published(packed, laid_out, {part: array[:, None] for part, array in images.items()}, labels)


@pytest.fixture
def cifar10(monkeypatch: pytest.MonkeyPatch, web: Web) -> Published:
    """CIFAR-10 with two batches of 20 and a test batch of 10, published on the local server only."""
    kind = torchvision.datasets.CIFAR10
    batches = {name: _pictures(seed, n, 3, 32, 32) for seed, (name, n) in enumerate(_CIFAR_BATCHES.items())}
    labels = {name: np.arange(len(batch)) % 10 for name, batch in batches.items()}
    files = {
        name: pickle.dumps({"data": batch.reshape(len(batch), -1), "labels": labels[name].tolist()})
        for name, batch in batches.items()
    }
    files["batches.meta"] = pickle.dumps({"label_names": ["a class"] * 10})
    archive = _tar_gz({f"{kind.base_folder}/{name}": body for name, body in files.items()})
    listed = [[name, md5(files[name])] for name in batches]
    monkeypatch.setattr(kind, "url", f"{web.url}{kind.filename}")
    monkeypatch.setattr(kind, "tgz_md5", md5(archive))
    monkeypatch.setattr(kind, "train_list", listed[:2])
    monkeypatch.setattr(kind, "test_list", listed[2:])
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": md5(files["batches.meta"])})
    one, two, test = batches
    return Published(
        {kind.filename: archive},
        {f"{kind.base_folder}/{name}": body for name, body in files.items()},
        {"train": np.concatenate([batches[one], batches[two]]), "test": batches[test]},
        {"train": np.concatenate([labels[one], labels[two]]), "test": labels[test]},
    )


_CIFAR_BATCHES = {"data_batch_1": 20, "data_batch_2": 20, "test_batch": 10}


def _tar_gz(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


@pytest.fixture
def real_root(tmp_path: Path) -> Callable[[str], Path]:
    """A fresh data folder with links to one real dataset's files, or a skip that says what is missing."""

    def link(entry: str) -> Path:
        given = os.environ.get("IMAGETUNE_DATA")
        if not given:
            pytest.skip("IMAGETUNE_DATA is not set: it names a folder with real data in torchvision's layout")
        there = Path(given, entry)
        if not there.is_dir():
            pytest.skip(f"IMAGETUNE_DATA has no {entry}")
        folder = tmp_path / "real"
        folder.mkdir()
        (folder / entry).symlink_to(there.resolve())
        return folder

    return link
