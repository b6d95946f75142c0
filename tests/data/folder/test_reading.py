"""The user's own images: what is read, what is left out, and what is refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import DataError, Source, inspect, load_test, load_train, prepare
from data.folder import decode
from data.values import Progress
from tests.data.folder.pictures import SIDE, folder_of, picture, source_of


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ten red images of each of two classes, under names with spaces and accents."""
    folder = tmp_path / "mes images"
    for number in range(10):
        picture(folder / "chien à poil" / f"un chien {number}.png", grey=number)
        picture(folder / "猫" / f"{number}.jpg", grey=200)
    return folder


def test_a_folder_per_class_becomes_train_and_test(pictures: Path, root: Path) -> None:
    source = source_of(pictures)
    info = inspect(source, root)
    assert (info.input_shape, info.classes, info.train_size) == ((3, SIDE, SIDE), ("chien à poil", "猫"), 16)
    assert not root.exists()
    train, test = load_train(source, root), load_test(source, root)
    assert (train.images.shape, test.images.shape) == ((16, 3, SIDE, SIDE), (4, 3, SIDE, SIDE))
    assert train.labels.bincount().tolist() == [8, 8]
    assert test.labels.bincount().tolist() == [2, 2]
    reds = {int(image[0, 0, 0]) for part in (train, test) for image in part.images[part.labels == 0]}
    assert reds == set(range(10))


def test_the_test_part_depends_on_its_seed_and_fraction_alone(pictures: Path, root: Path) -> None:
    def first_reds(**changes: object) -> list[int]:
        return load_train(source_of(pictures, **changes), root).images[:, 0, 0, 0].tolist()

    assert first_reds() == first_reds()
    assert first_reds(split_seed=1) != first_reds()
    assert len(first_reds(test_fraction=0.5)) == 10
    assert len(load_test(source_of(pictures, test_fraction=0), root).labels) == 0


def test_train_and_test_inside_are_used(tmp_path: Path, root: Path) -> None:
    for part, count in (("train", 3), ("test", 2), ("val", 1)):
        for name in ("a", "b"):
            for number in range(count):
                picture(tmp_path / "own" / part / name / f"{number}.png")
    told: list[str] = []
    found = prepare(source_of(tmp_path / "own"), root, say=told.append)
    assert (found.train_counts, found.test_counts) == ((3, 3), (2, 2))
    assert any("not used: val/" in line for line in told)


def test_what_is_no_image_is_ignored_and_what_is_nested_or_linked_is_found(pictures: Path, root: Path) -> None:
    dogs = pictures / "chien à poil"
    (dogs / "notes.txt").write_text("not an image")
    (dogs / ".DS_Store").write_bytes(b"\0")
    (dogs / "Thumbs.db").write_bytes(b"\0")
    picture(dogs / ".hidden.png")
    picture(dogs / ".hidden" / "inside.png")
    picture(pictures / ".git" / "x.png")
    (pictures / "README.md").write_text("not a class")
    picture(dogs / "deep" / "er" / "UPPER.PNG")
    elsewhere = picture(pictures.parent / "elsewhere" / "linked.webp")
    (dogs / "link.webp").symlink_to(elsewhere)
    (dogs / "linked folder").symlink_to(elsewhere.parent, target_is_directory=True)
    (dogs / "loop").symlink_to(pictures, target_is_directory=True)
    found = prepare(source_of(pictures), root)
    # Ten dogs, one nested, two linked; the cats; and nothing through the loop, which would make cats dogs.
    assert found.classes == ("chien à poil", "猫")
    assert found.train_size + found.test_size == 10 + 3 + 10


def test_a_changed_folder_is_read_again(pictures: Path, root: Path) -> None:
    source = source_of(pictures)
    assert len(load_train(source, root).labels) == 16
    picture(pictures / "猫" / "one more.png")
    picture(pictures / "猫" / "and another.png")
    assert load_train(source, root).labels.bincount().tolist() == [8, 10]
    assert len(list((root / "prepared").glob("folder-train-*"))) == 1


def test_a_second_use_decodes_nothing(pictures: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(pictures)
    first = load_train(source, root)
    monkeypatch.setattr("data.folder.decode.decode", None)
    assert load_train(source, root).images.equal(first.images)


def test_all_unreadable_images_of_both_parts_are_named(pictures: Path, root: Path) -> None:
    broken = [pictures / "猫" / f"{number}.jpg" for number in range(5)] + [pictures / "猫" / "link.jpg"]
    broken[0].write_bytes(broken[0].read_bytes()[:200])
    for path in broken[1:5]:
        path.write_text("not an image")
    broken[5].symlink_to("nowhere")
    for load in (load_train, load_test, load_train):
        with pytest.raises(DataError, match=r"cannot read 6 of 21 images") as caught:
            load(source_of(pictures), root)
        assert all(f"猫/{path.name}: " in str(caught.value) for path in broken)
        assert "data.skip_unreadable=true" in str(caught.value)


def test_of_many_unreadable_images_the_first_are_named(pictures: Path, root: Path) -> None:
    for number in range(50):
        (pictures / "猫" / f"bad {number}.png").write_text("not an image")
    with pytest.raises(DataError, match="and 30 more") as caught:
        load_train(source_of(pictures), root)
    assert str(caught.value).count("bad ") == 20


def test_unreadable_images_can_be_skipped_and_are_counted(pictures: Path, root: Path) -> None:
    for name in ("3.jpg", "4.jpg"):
        (pictures / "猫" / name).write_text("not an image")
    source = source_of(pictures, test_fraction=0, skip_unreadable=True)
    for attempt in range(2):
        told: list[str] = []
        found = load_train(source, root, say=told.append)
        assert (len(found.labels), len(found.images), found.skipped) == (18, 18, 2), attempt
        start = next(i for i, line in enumerate(told) if line.startswith("skipped 2 of 20 images"))
        assert [line.partition(": ")[0] for line in told[start + 1 :]] == ["  猫/3.jpg", "  猫/4.jpg"]
    with pytest.raises(DataError, match="cannot read 2 of 20 images"):
        load_train(source_of(pictures, test_fraction=0), root)


def test_images_larger_than_the_limit_are_refused_and_the_limit_can_be_raised(pictures: Path, root: Path) -> None:
    picture(pictures / "猫" / "large.png", size=(40, 50))
    with pytest.raises(DataError, match=r"large\.png: .* 1,999 \(data\.max_pixels\)"):
        load_train(source_of(pictures, max_pixels=1999), root)
    assert len(load_train(source_of(pictures, max_pixels=2000), root).labels) == 17


def test_an_image_of_200_megapixels_is_read_where_it_may_be(pictures: Path, root: Path) -> None:
    Image.new("1", (20_000, 10_000)).save(pictures / "猫" / "huge.png")
    with pytest.raises(DataError, match=r"178,956,970 \(data\.max_pixels\)"):
        load_train(source_of(pictures), root)
    assert len(load_train(source_of(pictures, max_pixels=200_000_000), root).labels) == 17


def test_images_of_one_pixel_are_enlarged(tmp_path: Path, root: Path) -> None:
    for name in ("a", "b"):
        for number in range(3):
            picture(tmp_path / "tiny" / name / f"{number}.png", grey=7, size=(1, 1))
    found = load_train(source_of(tmp_path / "tiny"), root)
    assert found.images[:, 0].numpy().min() == found.images[:, 0].numpy().max() == 7


def test_a_class_of_unreadable_images_is_an_error_all_the_same(pictures: Path, root: Path) -> None:
    for path in (pictures / "猫").iterdir():
        path.write_text("not an image")
    with pytest.raises(DataError, match=r"no train image of class '猫'"):
        load_train(source_of(pictures, skip_unreadable=True), root)


def test_a_class_with_one_image_is_trained_on_and_named(pictures: Path, root: Path) -> None:
    picture(pictures / "zèbre" / "1.png")
    source = source_of(pictures)
    for _ in range(2):
        told: list[str] = []
        assert load_train(source, root, say=told.append).labels.bincount().tolist() == [8, 1, 8]
        assert any("without test images" in line and "'zèbre'" in line for line in told)
    assert 1 not in load_test(source, root).labels


def test_a_file_that_changes_while_it_is_read_is_noticed(
    pictures: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = decode.decode

    def writing(path: Path, side: int, **options: int) -> np.ndarray:
        if path.name == "3.jpg":
            picture(path, grey=7)
        return plain(path, side, **options)

    monkeypatch.setattr("data.folder.decode.decode", writing)
    with pytest.raises(DataError, match=r"3\.jpg changed while the images were read"):
        load_train(source_of(pictures), root)
    assert not list(root.glob("prepared/*/meta.json"))
    assert len(load_train(source_of(pictures), root).labels) == 16


KILLED = """
import sys, time
from pathlib import Path
from data import Source, arrays, load_train
from data.folder import decode
plain = decode.decode
def slow(path, side, **options):
    time.sleep(0.02)
    return plain(path, side, **options)
decode.decode, arrays._SAVE_EVERY_SECONDS = slow, 0.0
load_train(Source("folder", path=sys.argv[1], image_size=8, test_fraction=0.0, skip_unreadable=True), Path(sys.argv[2]))
"""


def test_a_killed_preparation_is_continued(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "images", ("a", "b"), 100)
    (folder / "a" / "0.png").write_text("not an image")
    source = source_of(folder, test_fraction=0.0, skip_unreadable=True)
    monkeypatch.setattr("data.folder.reading._MOST_PER_BATCH", 4)
    whole = load_train(source, root / "undisturbed")

    code = KILLED.replace("\nload_train", "\nfrom data.folder import reading\nreading._MOST_PER_BATCH = 4\nload_train")
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), str(root)], cwd=Path(__file__).parents[3])
    deadline = time.monotonic() + 60
    while not (notes := list(root.glob("prepared/.partial-*/progress.json"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = json.loads(notes[0].read_text())[0]
    assert 0 < done < 200

    decoded: list[Path] = []

    plain = decode.decode

    def counted(path: Path, side: int, **options: int) -> np.ndarray:
        decoded.append(path)
        return plain(path, side, **options)

    monkeypatch.setattr("data.folder.decode.decode", counted)
    told: list[str] = []
    again = load_train(source, root, say=told.append)
    assert len(decoded) == 200 - done
    assert any("continuing" in line for line in told)
    assert again.images.equal(whole.images)
    assert again.labels.equal(whole.labels)
    assert again.unreadable == whole.unreadable
    assert not list(root.glob("prepared/.partial-*"))


def empty(folder: Path) -> Source:
    (folder / "new").mkdir()
    return source_of(folder / "new")


def one_class(folder: Path) -> Source:
    picture(folder / "only" / "cats" / "1.png")
    return source_of(folder / "only")


def class_without_images(folder: Path) -> Source:
    (folder / "empty class").mkdir()
    (folder / "empty class" / "notes.txt").write_text("no image")
    return source_of(folder)


def classes_that_differ(folder: Path) -> Source:
    for name in ("train/a", "train/b", "train/only here", "test/a", "test/b", "test/only there"):
        picture(folder / "own" / name / "1.png")
    return source_of(folder / "own")


def train_without_test(folder: Path) -> Source:
    for name in ("train/a", "train/b", "val/a", "val/b"):
        picture(folder / "own" / name / "1.png")
    return source_of(folder / "own")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: Source("folder", image_size=SIDE), "data.path is required"),
        (
            lambda folder: Source("folder", path=str(folder)),
            "data.image_size is required",
        ),
        (lambda folder: source_of(folder, image_size=0), "data.image_size is required"),
        (lambda folder: source_of(folder / "nowhere"), r"data.path .*nowhere does not exist"),
        (lambda folder: source_of(folder / "猫" / "0.jpg"), r"data.path .*\.jpg is not a folder"),
        (empty, "new has no class folders"),
        (lambda folder: source_of(folder / "猫"), "has no class folders .*10 images outside"),
        (one_class, "has a single class, 'cats'"),
        (class_without_images, r"no image in .* for class 'empty class' .*1 \.txt"),
        (classes_that_differ, r"has classes that train/ does not have: 'only there'"),
        (train_without_test, "has train/ but no test/.* data.path=.*train.* rename val/ to test/"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_before_anything_starts(
    make: Callable[[Path], Source], message: str, pictures: Path, root: Path
) -> None:
    source = make(pictures)
    for load in (inspect, load_train):
        with pytest.raises(DataError, match=message) as caught:
            load(source, root)
        assert "\n" not in str(caught.value)


def test_decoding_says_how_far_it_is(pictures: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Progress, "every_seconds", 0.0)
    told: list[str] = []
    load_train(source_of(pictures), root, say=told.append)
    assert "decoded 16 of 16 images, about 0 s left" in told


def test_images_that_are_many_keep_their_labels(tmp_path: Path, root: Path) -> None:
    for number in range(60):
        picture(tmp_path / "many" / f"{number % 3}" / f"{number:03}.png", grey=number, size=(2, 2))
    found = load_train(source_of(tmp_path / "many", test_fraction=0), root)
    assert (found.images[:, 0, 0, 0].numpy() % 3 == found.labels.numpy()).all()
    assert np.unique(found.images[:, 0, 0, 0]).tolist() == list(range(60))
