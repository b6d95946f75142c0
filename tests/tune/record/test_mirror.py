"""The mirror of a folder in S3: what is written, fetched, deleted; two machines; kills; buckets that fail."""

from __future__ import annotations

import io
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.tune.record.s3_server import NOWHERE, SECRET, S3Server
from tests.tune.search.worker.attempts import attempt
from tune.buckets import client, mirror
from tune.buckets.address import root, shown, url_of
from tune.buckets.client import StorageError
from tune.buckets.parsing import folder_of
from tune.errors import UserError
from tune.files import PARTIAL, fetch, files, is_file, needed, remove, remove_folder, rename, write_whole
from tune.record.disk import FullDiskError, retry_until_writable
from tune.record.folder import check_writable, locate_search


@pytest.fixture
def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Go on on another machine, which has mirrored nothing; called again, on the first one."""
    machines = ["elsewhere", "cache"]

    def go() -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machines[0]))
        monkeypatch.setattr(mirror, "_later", {})  # it is another process there
        machines.reverse()

    return go


def test_what_one_machine_writes_another_reads(bucket: str, other_machine: Callable[[], None]) -> None:
    url = f"{bucket}/my searches/größe"
    fetch(folder_of(url))
    write_whole(folder_of(url) / "search.yaml", b"one")
    write_whole(folder_of(url) / "trial_00001" / "best.safetensors", b"weights")
    other_machine()
    folder = folder_of(url)
    fetch(folder)
    weights = folder / "trial_00001" / "best.safetensors"
    assert (folder / "search.yaml").read_bytes() == b"one"
    assert not weights.exists()
    assert is_file(weights)
    assert files(weights.parent, "*.safetensors") == [weights]
    needed(weights)
    assert weights.read_bytes() == b"weights"
    write_whole(folder / "search.yaml", b"two")
    other_machine()
    fetch(folder_of(url))
    assert (folder_of(url) / "search.yaml").read_bytes() == b"two"
    assert stat.S_IMODE(root().stat().st_mode) == 0o700


def test_what_the_bucket_lacks_goes_and_what_is_ours_stays(bucket: str, other_machine: Callable[[], None]) -> None:
    url = f"{bucket}/s"
    for name in ("a.json", "last-x.pt", "trial_00002/last-y.pt"):
        write_whole(folder_of(url) / name, b"content")
    (folder_of(url) / ".driver.lock").touch()
    (folder_of(url) / "train.log").touch()
    other_machine()
    fetch(folder_of(url))
    remove(folder_of(url) / "a.json")
    remove(folder_of(url) / "a.json")
    remove(folder_of(url) / "last-x.pt")
    remove_folder(folder_of(url) / "trial_00002")
    remove_folder(folder_of(url) / "trial_00002")
    assert not is_file(folder_of(url) / "last-x.pt")
    other_machine()
    fetch(folder_of(url))
    assert sorted(path.name for path in folder_of(url).rglob("*") if path.is_file()) == [".driver.lock", "train.log"]


def test_a_file_that_did_not_change_is_not_downloaded_again(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(folder_of(bucket) / "s" / "a.json", b"1")
    write_whole(folder_of(bucket) / "s" / "best.safetensors", b"1")
    time.sleep(2.1)
    fetch(folder_of(bucket) / "s")  # S3's times are whole seconds: only now it is certain
    monkeypatch.setattr(client, "download", lambda url, path: pytest.fail(url))
    fetch(folder_of(bucket) / "s")
    needed(folder_of(bucket) / "s" / "best.safetensors")


def test_a_renamed_file_has_one_name_everywhere(bucket: str, other_machine: Callable[[], None]) -> None:
    write_whole(folder_of(bucket) / "t" / "last-one.pt", b"state")
    rename(folder_of(bucket) / "t" / "last-one.pt", folder_of(bucket) / "t" / "last-two.pt")
    assert set(client.listing(f"{bucket}/t")) == {"last-two.pt"}
    fetch(folder_of(bucket) / "t")
    assert (folder_of(bucket) / "t" / "last-two.pt").read_bytes() == b"state"
    other_machine()
    fetch(folder_of(bucket) / "t")
    assert [path.name for path in files(folder_of(bucket) / "t", "*.pt")] == ["last-two.pt"]


class KilledError(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("uploaded", [False, True], ids=["before the upload", "after the upload"])
def test_a_write_that_is_killed_leaves_the_old_file_or_the_new(
    bucket: str, uploaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder_of(bucket) / "t" / "last.pt"
    write_whole(path, b"old")
    real = client.upload

    def killed(partial: Path, url: str) -> client.Entry:
        if uploaded:
            real(partial, url)
        os.link(partial, path.with_name(f".left{PARTIAL[1:]}"))  # a process that is killed does not tidy up
        raise KilledError

    monkeypatch.setattr(client, "upload", killed)
    with pytest.raises(KilledError):
        write_whole(path, b"newer")
    assert path.read_bytes() == b"old"
    fetch(path.parent)
    needed(path)
    assert path.read_bytes() == (b"newer" if uploaded else b"old")
    assert set(client.listing(f"{bucket}/t")) == {"last.pt"}


def test_an_interruption_does_not_cut_an_upload_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow completes an upload whose block raises: half a file would be there."""
    stream, threads = io.BytesIO(), list[threading.Thread]()

    @contextmanager
    def open_output_stream(key: str) -> Iterator[io.BytesIO]:
        threads.append(threading.current_thread())
        yield stream

    monkeypatch.setattr(client, "_files", lambda url: SimpleNamespace(open_output_stream=open_output_stream))
    monkeypatch.setattr(client, "entry", lambda url: client.Entry(3000, 1))
    (tmp_path / "state").write_bytes(b"new" * 1000)
    client.upload(tmp_path / "state", "s3://bucket/state")
    assert threads != [threading.main_thread()]  # signals raise in the main thread only
    assert stream.getvalue() == b"new" * 1000
    with pytest.raises(FileNotFoundError):
        client.upload(tmp_path / "missing", "s3://bucket/state")
    assert len(threads) == 1  # what cannot be read is not begun


def test_keys_that_are_no_names_of_files_are_left_alone(bucket: str, s3: S3Server, tmp_path: Path) -> None:
    name = bucket.removeprefix("s3://")
    for key in (
        "s/..%2F..%2Foutside",
        "s/%2E%2E/%2E%2E/%2E%2E/outside",
        "s/.hidden",
        "s//double",
        "s/%01",
        "s/good.txt",
    ):
        s3.ask("PUT", f"{name}/{key}", b"content")
    fetch(folder_of(bucket) / "s")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["good.txt"]


GOOD = {"s3://bucket/a": "bucket/a", "s3://bucket": "bucket", "s3://my.bucket-1/ä b/c/": "my.bucket-1/ä b/c"}


@pytest.mark.parametrize("url", GOOD)
def test_a_url_and_its_mirror_follow_from_each_other(url: str) -> None:
    path = folder_of(url)
    assert path == root() / GOOD[url]
    assert url_of(path) == url.rstrip("/")
    assert shown(f"{path / 'x'}: {path}") == f"{url.rstrip('/')}/x: {url.rstrip('/')}"


BAD = {
    "gs://bucket/a": "'gs' is not supported",
    "hdfs://host/a": "'hdfs' is not supported",
    "S3://bucket/a": "'S3' is not supported",
    "file:///tmp/a": "'file' is not supported",
    "s3:/bucket/a": "one slash is missing",
    "s3://": "no bucket",
    "s3:///a": "no bucket",
    f"s3://AKIA:{SECRET.replace('/', '')}@bucket/a": "credentials do not belong into a URL",
    "s3://bucket/a?secret_key=swordfish": "contains [?] or #",
    "s3://bucket/a/../b": "begins with a dot",
    "s3://bucket//a": "is empty",
    "s3://bucket/a\nb": "control characters",
}


@pytest.mark.parametrize("url", BAD)
def test_another_url_is_refused_and_no_secret_is_shown(url: str) -> None:
    with pytest.raises(UserError, match=BAD[url]) as found:
        folder_of(url)
    assert "swordfish" not in str(found.value)


def test_local_paths_are_no_urls() -> None:
    for text in ("checkpoints", "/a/b", "./s3", "a:/b", "C:/x"):
        assert folder_of(text) == Path(text)
        assert url_of(Path(text)) is None


def _fails(work: Callable[[], object], *parts: str) -> None:
    """It raises one line with these parts, soon, and without the secret."""
    began = time.monotonic()
    with pytest.raises(StorageError) as found:
        work()
    assert time.monotonic() - began < 10
    (line,) = found.value.args
    assert all(part in line for part in (*parts, "; ")), line
    assert "\n" not in line
    assert SECRET not in line


def test_a_bucket_that_cannot_be_used_is_a_line(bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    missing, ours = folder_of("s3://no-such-bucket/s"), folder_of(bucket) / "s"
    _fails(lambda: locate_search("s3://no-such-bucket/s", Path()), "s3://no-such-bucket: there is no such bucket")
    _fails(lambda: write_whole(missing / "a", b""), "there is no such bucket")
    _fails(lambda: check_writable(missing), "there is no such bucket")
    s3.require_credentials(required=True)
    try:
        _fails(lambda: fetch(ours), f"{bucket}/s: access denied", "AWS_ACCESS_KEY_ID")
        _fails(lambda: write_whole(ours / "a", b"x"), "access denied")
        _fails(lambda: remove(ours / "a"), "access denied")
    finally:
        s3.require_credentials(required=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    _fails(lambda: fetch(ours), f"{bucket} cannot be reached", "AWS_ENDPOINT_URL")
    _fails(lambda: write_whole(ours / "a", b"x"), "cannot be reached")
    assert not (ours / "a").exists()


def test_a_name_that_is_none_is_told_what_there_is(bucket: str, other_machine: Callable[[], None]) -> None:
    for name in ("first", "second"):
        write_whole(folder_of(f"{bucket}/x/{name}") / "search.yaml", b"")
    other_machine()
    for words in (("third", folder_of(f"{bucket}/x")), (f"{bucket}/x/third", Path("checkpoints"))):
        with pytest.raises(UserError, match=f"below {bucket}/x there are: first, second"):
            locate_search(*words)


def test_a_check_for_writing_leaves_nothing(bucket: str) -> None:
    check_writable(folder_of(bucket) / "new" / "s")
    assert client.listing(bucket) == {}


def test_a_bucket_that_fails_for_a_while_is_waited_for(
    bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = folder_of(bucket) / "s" / "a", list[str]()
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    pauses = iter([None, None])

    def pause(seconds: float) -> None:
        if next(pauses, "over") == "over":
            monkeypatch.setenv("AWS_ENDPOINT_URL", s3.address)

    monkeypatch.setattr(time, "sleep", pause)
    retry_until_writable(lambda: write_whole(path, b"content"), path.parent, said.append)
    assert client.listing(f"{bucket}/s").keys() == {"a"}
    assert [line.partition(":")[0] for line in said] == ["s3", "files can be written again; continuing"]
    assert f"{bucket} cannot be reached" in said[0]
    assert "paused for up to 600 s; see that it can be reached to continue" in said[0]
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    with pytest.raises(FullDiskError, match=r"cannot be reached.*and stayed so for 0 s"):
        retry_until_writable(lambda: write_whole(path, b"content"), path.parent, patience=0)


def test_a_worker_that_was_cut_off_sees_in_the_bucket_that_it_was_replaced(
    bucket: str, other_machine: Callable[[], None], tmp_path: Path
) -> None:
    """It trains on with a mirror of its own, in which its checkpoint still has its name."""
    stale = attempt(tmp_path, "stale", place=bucket)
    stale.step()
    stale_cache, later = os.environ["XDG_CACHE_HOME"], dict(mirror._later)
    other_machine()
    live = attempt(tmp_path, "live", place=bucket)
    assert [epoch.epoch for epoch in live.step().epochs] == [1]
    with pytest.MonkeyPatch.context() as back:
        back.setenv("XDG_CACHE_HOME", stale_cache)
        back.setattr(mirror, "_later", later)
        report = stale.step()
    assert report.end == "failed"
    assert "taken over" in report.reason
    assert [epoch.epoch for epoch in live.step().epochs] == [2]
    assert list(client.listing(bucket)) == ["trial_00000/last-live.pt"]
