"""Prepared arrays: one physical copy per node, whole or not there, and never in the way."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from data import ImageSet, arrays, store
from data.files import appearing, one_at_a_time, sweep
from data.store import Origin
from data.values import silent

ORIGIN = Origin("set", "train", "where it came from", (1, "fact"))
SHARED_BYTES = 50 << 20


def some_images(seed: int = 0, n: int = 7) -> ImageSet:
    images = torch.randint(0, 256, (n, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return ImageSet(images, torch.arange(n), ("cat", "chien à poil"))


def same(one: ImageSet | None, other: ImageSet) -> bool:
    return (
        one is not None
        and one.images.equal(other.images)
        and one.labels.equal(other.labels)
        and (one.classes, one.unreadable) == (other.classes, other.unreadable)
    )


def home(root: Path) -> Path:
    return root / "prepared" / ORIGIN.folder_name


def test_what_is_kept_is_found_again(root: Path) -> None:
    assert store.fetch(ORIGIN, root, silent) is None
    assert same(store.keep(ORIGIN, some_images(), root, silent), some_images())
    assert same(store.fetch(ORIGIN, root, silent), some_images())
    assert [path.name for path in (root / "prepared").iterdir()] == [ORIGIN.folder_name]


def test_torch_takes_the_map_without_complaint_and_writing_stays_private(root: Path) -> None:
    kept = store.keep(ORIGIN, some_images(), root, silent)
    kept.images.zero_()
    assert same(store.fetch(ORIGIN, root, silent), some_images())


def test_another_origin_is_another_copy_and_an_older_state_gives_way(root: Path) -> None:
    store.keep(ORIGIN, some_images(), root, silent)
    changed = Origin("set", "train", ORIGIN.identity, (1, "another fact"))
    elsewhere = Origin("set", "train", "another place", (1, "fact of the other place"))
    test = Origin("set", "test", ORIGIN.identity, ORIGIN.facts)
    assert all(store.fetch(other, root, silent) is None for other in (changed, elsewhere, test))
    for other in (changed, elsewhere, test):
        store.keep(other, some_images(1), root, silent)
    assert store.fetch(ORIGIN, root, silent) is None
    assert all(same(store.fetch(other, root, silent), some_images(1)) for other in (changed, elsewhere, test))


def test_the_same_content_elsewhere_is_the_same_copy_and_goes_with_its_last_place(root: Path) -> None:
    store.keep(ORIGIN, some_images(), root, silent)
    moved = Origin("set", "train", "another place", ORIGIN.facts)
    assert same(store.fetch(moved, root, silent), some_images())
    store.keep(Origin("set", "train", "another place", (2,)), some_images(1), root, silent)
    assert store.fetch(ORIGIN, root, silent) is None


def test_a_file_of_equal_size_and_time_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "images.bin"
    seen = set()
    for content in (b"one", b"two", b"six"):
        (tmp_path / "new").write_bytes(content)
        (tmp_path / "new").replace(path)
        os.utime(path, (1, 1))
        seen.add(store.file_facts(path))
    assert len(seen) == 3


def test_parts_read_in_batches_leave_out_what_is_unreadable_on_disk_and_in_memory(root: Path) -> None:
    whole = some_images()

    def read(start: int) -> Iterator[arrays.Batch]:
        assert start == 0
        yield arrays.Batch(whole.images[:2].numpy(), 2)
        yield arrays.Batch(whole.images[3:6].numpy(), 6, ((2, "torn"),))
        yield arrays.Batch(whole.images[:0].numpy(), 7, ((6, "gone"),))

    recipe = arrays.Recipe((3, 4, 5), whole.labels.numpy(), whole.classes, read)
    kept = [0, 1, 3, 4, 5]
    expected = ImageSet(whole.images[kept], whole.labels[kept], whole.classes, ((2, "torn"), (6, "gone")))
    assert same(store.build(ORIGIN, recipe, root, silent), expected)
    assert same(store.fetch(ORIGIN, root, silent), expected)
    assert same(arrays.in_memory(recipe), expected)


def cut_images(folder: Path) -> None:
    path = folder / "images.npy"
    path.write_bytes(path.read_bytes()[:-1])


def lose_labels(folder: Path) -> None:
    (folder / "labels.npy").unlink()


def lose_meta(folder: Path) -> None:
    (folder / "meta.json").unlink()


def garble_meta(folder: Path) -> None:
    (folder / "meta.json").write_text('{"shape": [7')


def other_shape(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"shape": [8, 3, 4, 5]}))


def other_type(folder: Path) -> None:
    path = folder / "images.npy"
    np.save(path, np.load(path).view(np.int8))


def garble_array(folder: Path) -> None:
    path = folder / "images.npy"
    path.write_bytes(b"x" * path.stat().st_size)


@pytest.mark.parametrize(
    "harm", [cut_images, lose_labels, lose_meta, garble_meta, other_shape, other_type, garble_array]
)
def test_a_damaged_copy_is_noticed_said_and_made_again(root: Path, harm: Callable[[Path], None]) -> None:
    store.keep(ORIGIN, some_images(), root, silent)
    harm(home(root))
    told: list[str] = []
    assert store.fetch(ORIGIN, root, told.append) is None
    assert "is damaged" in told[0]
    assert "preparing it again" in told[0]
    assert same(store.keep(ORIGIN, some_images(), root, silent), some_images())
    assert same(store.fetch(ORIGIN, root, silent), some_images())


def test_a_read_only_root_falls_back_to_the_users_cache_and_says_so(root: Path, user_cache: Path) -> None:
    root.mkdir()
    (root / "prepared").write_text("a file in place of the folder: root may write anywhere else")
    told: list[str] = []
    assert same(store.keep(ORIGIN, some_images(), root, told.append), some_images())
    assert (user_cache / "imagetune" / "prepared" / ORIGIN.folder_name).is_dir()
    assert told == [f"cannot store prepared images in {root / 'prepared'} (File exists)"]
    assert same(store.fetch(ORIGIN, root, silent), some_images())


def test_with_nowhere_to_write_the_images_stay_in_memory(root: Path, user_cache: Path) -> None:
    root.write_text("a file")
    (user_cache / "imagetune").write_text("a file")
    told: list[str] = []
    kept = store.keep(ORIGIN, images := some_images(), root, told.append)
    assert same(kept, images)
    assert "set is kept in memory" in told[-1]


def test_a_full_disk_leaves_nothing_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    told: list[str] = []
    store.keep(ORIGIN, some_images(), root, told.append)
    assert "No space left on device" in told[0]
    assert list((root / "prepared").iterdir()) == []


def test_what_a_killed_process_left_is_swept_after_a_day(root: Path) -> None:
    old, new = root / "prepared" / ".partial-old", root / "prepared" / ".partial-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "images.npy").write_text("half")
    long_ago = time.time() - 90_000
    os.utime(old, (long_ago, long_ago))
    store.keep(ORIGIN, some_images(), root, silent)
    assert (old.exists(), new.exists()) == (False, True)


def keep_and_sum(root: Path) -> int:
    return int(store.keep(ORIGIN, some_images(), root, silent).images.sum())


def test_several_processes_at_once_end_with_one_whole_copy(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        sums = list(pool.map(keep_and_sum, [root] * 12))
    assert set(sums) == {int(some_images().images.sum())}
    assert [path.name for path in (root / "prepared").iterdir()] == [ORIGIN.folder_name]


def test_one_process_waits_for_another_and_a_dead_one_holds_nothing(root: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from data.files import one_at_a_time\n"
        "with one_at_a_time([Path(sys.argv[1])], 'set', print):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    told: list[str] = []

    def say(line: str) -> None:
        told.append(line)
        holder.kill()

    with one_at_a_time([root], "set", say):
        assert told == ["waiting for another process that is preparing set"]
    holder.wait()
    holder.stdout.close()


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def write(text: str, fail: bool) -> None:
        with appearing(tmp_path / "file") as partial:
            partial.write_text(text)
            if fail:
                raise RuntimeError("killed")

    write("old", fail=False)
    with pytest.raises(RuntimeError, match="killed"):
        write("half", fail=True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]
    assert sweep(tmp_path, "*") == []


def test_two_processes_share_one_physical_copy(root: Path) -> None:
    """The proportional set size counts a page once over all processes that map it.

    Taken of the map alone, with each process's own memory beside it: the share of the whole process also moves when
    any other process on the machine stops using torch's libraries.
    """
    side = 1 << 10
    images = torch.randint(0, 256, (SHARED_BYTES // side**2, 1, side, side), dtype=torch.uint8)
    store.keep(ORIGIN, ImageSet(images, torch.zeros(len(images), dtype=torch.int64), ("a", "b")), root, silent)
    del images
    script = Path(__file__).with_name("map_and_report.py")
    command = [sys.executable, str(script), str(root), json.dumps([ORIGIN.identity, list(ORIGIN.facts)])]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    repository = Path(__file__).resolve().parents[2]
    workers = [subprocess.Popen(command, text=True, cwd=repository, **pipes) for _ in range(2)]  # type: ignore[call-overload]

    def ask(word: str) -> list[dict[str, int]]:
        """Tell both to go on, one after the other, and hear what they say when both have."""
        answers = []
        for worker in workers:
            worker.stdin.write(word + "\n")
            worker.stdin.flush()
            answers.append(json.loads(worker.stdout.readline()))
        return answers

    try:
        ask("ready")
        before = ask("measure")
        ask("map")
        after = ask("measure")
    finally:
        for worker in workers:
            worker.communicate()
    shared = sum(one["map_share"] for one in after)
    own = sum(one["own"] for one in after) - sum(one["own"] for one in before)
    assert shared > 0.99 * SHARED_BYTES
    assert shared + own < 1.2 * SHARED_BYTES
    assert [one["map_copied"] for one in after] == [0, 0]
