"""Which folders are classes and which are parts, and what is told of everything that is left out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import DataError, inspect, load_test, load_train, prepare
from data.folder.roles import role_of
from tests.data.folder.pictures import folder_of, picture, source_of

SPELLINGS = {
    "train": [
        "train",
        "training",
        "train set",
        "train-data",
        "trainset",
        "train_images",
        "training 2012",
        "data_train",
    ],
    "test": ["test", "tests", "testing", "test_set", "TestSet", "test images", "images.test", "02_test"],
    "validation": ["val", "valid", "validation", "valid_set", "dev", "evaluation", "eval-set", "hold_out", "held out"],
}


@given(st.sampled_from([(role, name) for role, names in SPELLINGS.items() for name in names]), st.data())
def test_parts_are_known_in_any_spelling(spelling: tuple[str, str], data: st.DataObject) -> None:
    role, name = spelling
    upper = data.draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    assert role_of("".join(c.upper() if up else c for c, up in zip(name, upper, strict=True))) == role


@pytest.mark.parametrize("name", ["trains", "trainer", "contest", "test tube", "valley", "devil", "set", "images", "7"])
def test_other_names_are_no_parts(name: str) -> None:
    assert role_of(name) is None


@pytest.mark.parametrize(
    ("train", "test"),
    [("Train", "Test"), ("training", "testing"), ("TRAIN", "TEST"), ("train", "Test"), ("train", "tests"),
     ("train_set", "test_set")],
)  # fmt: skip
def test_parts_are_used_as_their_names_say(train: str, test: str, tmp_path: Path, root: Path) -> None:
    folder_of(tmp_path / "own" / train, count=4)
    folder_of(tmp_path / "own" / test, count=2, first=100)
    found = prepare(source_of(tmp_path / "own"), root)
    assert (found.classes, found.train_counts, found.test_counts) == (("blue", "green", "red"), (4, 4, 4), (2, 2, 2))


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (
            ["train/a", "train/b", "valid_set/a", "valid_set/b"],
            ["no test/", "data.path=", "rename valid_set/ to test/"],
        ),
        (["train/a", "train/b", "evaluation/a"], ["no test/", "rename evaluation/ to test/"]),
        (["Train/a", "Train/b", "training/a", "test/a"], ["2 folders for the training set", "Train, training"]),
        (["test/a", "test/b"], ["test/ but no train/"]),
        (["val/a", "val/b"], ["val/ but no train/"]),
        (["train", "test"], ["train/ has no class folders"]),
        (["train/a", "train/b", "test"], ["test/ has no class folders"]),
        (["cats", "dogs", "test"], ["test/ but no train/", "rename it, for example to class_test"]),
        (["cats", "dogs", "Validation"], ["rename it, for example to class_Validation"]),
        (["bus", "car", "train/a", "train/b"], ["no test/", "rename it, for example to class_train"]),
        (["cats/train", "cats/test", "dogs/train", "dogs/test"], ["train/cats/ and test/cats/"]),
        (["photos/cats", "photos/dogs"], ["a single class, 'photos'", "data.path="]),
    ],
)
def test_what_might_be_a_part_or_a_class_is_refused(
    folders: list[str], words: list[str], tmp_path: Path, root: Path
) -> None:
    for name in folders:
        for number in range(3):
            picture(tmp_path / "own" / name / f"{number}.png")
    for load in (inspect, load_train):
        with pytest.raises(DataError) as caught:
            load(source_of(tmp_path / "own"), root)
        assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("empty", [False, True])
def test_a_test_part_may_lack_classes(empty: bool, tmp_path: Path, root: Path) -> None:
    own = tmp_path / "own"
    folder_of(own / "train")
    folder_of(own / "test", ("green", "red"), count=2, first=100)
    if empty:
        (own / "test" / "blue").mkdir()
    (line,) = told_of(own, root)
    assert "without test images" in line
    assert "'blue'" in line
    found = prepare(source_of(own), root)
    assert (found.classes, found.train_counts, found.test_counts) == (("blue", "green", "red"), (5, 5, 5), (0, 2, 2))
    assert load_test(source_of(own), root).labels.tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("tested", "words"),
    [
        (("green", "pink"), ["'pink'", "add them to train/"]),
        (("green", "Red"), ["'red' and 'Red'", "differ only in upper and lower case"]),
        ((), ["has no class folders"]),
    ],
)
def test_a_test_part_with_other_classes_is_refused(
    tested: tuple[str, ...], words: list[str], tmp_path: Path, root: Path
) -> None:
    own = tmp_path / "own"
    folder_of(own / "train")
    (own / "test").mkdir()
    folder_of(own / "test", tested)
    with pytest.raises(DataError) as caught:
        inspect(source_of(own), root)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_test_part_without_any_image_is_refused(tmp_path: Path, root: Path) -> None:
    own = tmp_path / "own"
    folder_of(own / "train")
    (own / "test" / "red").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no image in .*test"):
        inspect(source_of(own), root)


def test_one_image_per_class_is_all_for_training(tmp_path: Path, root: Path) -> None:
    source = source_of(folder_of(tmp_path / "own", count=1))
    (line,) = told_of(tmp_path / "own", root)
    assert "no test images" in line
    assert inspect(source, root).train_size == 3
    found = prepare(source, root)
    assert (found.train_counts, found.test_counts) == ((1, 1, 1), (0, 0, 0))
    assert load_test(source, root).images.shape == (0, *found.input_shape)


def test_a_test_part_is_as_large_as_small_classes_allow(tmp_path: Path, root: Path) -> None:
    own = folder_of(tmp_path / "own", [f"class {i}" for i in range(19)], count=1)
    picture(own / "class 0" / "1.png", grey=200)
    lines = told_of(own, root)
    assert any("1 test image" in line and "instead of 4" in line for line in lines)
    assert prepare(source_of(own), root).test_counts == (1, *[0] * 18)


@pytest.mark.parametrize("name", ["train", "class_test"])
def test_a_class_that_is_called_like_a_part_is_possible(name: str, tmp_path: Path, root: Path) -> None:
    folder = folder_of(tmp_path / "own", ("bus", "car", name))
    told: list[str] = []
    assert len(load_train(source_of(folder), root, say=told.append).classes) == 3
    assert any("treated as a class" in line for line in told) == (name == "train")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "images")


def told_of(folder: Path, root: Path, **changes: object) -> list[str]:
    """What is said of a folder at a first use, at a second one, and of its test set: each time the same."""
    lines: list[list[str]] = []
    for load in (load_train, load_train, load_test):
        lines.append([])
        load(source_of(folder, **changes), root, say=lines[-1].append)
    assert lines[0] == lines[1] == lines[2]
    return lines[0]


@pytest.mark.parametrize("skip", [False, True])
def test_all_that_is_left_out_is_told_every_time(images: Path, root: Path, skip: bool) -> None:
    red = images / "red"
    for number in range(3):
        (red / f"{number}.heic").write_bytes(b"x")
        (red / f"without {number}").write_bytes(b"x")
        picture(images / f"loose {number}.png")
    (images / "yellow").symlink_to("nowhere")
    (red / "up").symlink_to("..")
    (red / "itself").symlink_to("../red")
    picture(red / "album.png" / "inside.png")
    picture(red / "@eaDir" / "0.png" / "SYNOPHOTO_THUMB_M.jpg")
    picture(images / "__MACOSX" / "0.png")
    (red / "Thumbs.db").write_bytes(b"x")
    (red / "._0.png").write_bytes(b"x")
    os.mkfifo(red / "pipe.png")
    (line,) = told_of(images, root, skip_unreadable=skip)
    for word in (
        "6 files of unsupported types (3 without extension, 3 .heic)", "3 images outside the class folders (loose 0.png",
        "1 broken link (yellow)", "2 links to parent folders", "red/up", "1 folder named like an image (red/album.png)",
        "4 hidden or system files or folders", "1 device, pipe or socket (red/pipe.png)",
    ):  # fmt: skip
        assert word in line
    assert inspect(source_of(images), root).classes == ("blue", "green", "red")


def test_a_clean_folder_is_read_without_a_word(images: Path, root: Path) -> None:
    assert told_of(images, root) == []


def test_a_test_part_with_training_images_is_told(tmp_path: Path, root: Path) -> None:
    own = tmp_path / "own"
    folder_of(own / "train")
    shutil.copytree(own / "train", own / "test")
    picture(own / "test" / "red" / "new.png", grey=250)
    (line,) = told_of(own, root)
    assert "15 of 16 test images" in line
    assert "test/blue/0.png is the same as train/blue/0.png" in line


def test_copies_in_a_test_part_that_was_carved_and_in_other_classes_are_told(images: Path, root: Path) -> None:
    for name in ("blue", "green", "red"):
        for number in range(5):
            shutil.copy(images / name / f"{number}.png", images / name / f"copy of {number}.png")
    shutil.copy(images / "red" / "0.png", images / "blue" / "red.png")
    lines = told_of(images, root, test_fraction=0.5)
    assert any("test images" in line and "in the training set too" in line for line in lines)
    assert any("1 image is in more than one class" in line for line in lines)


def test_damaged_files_of_one_content_are_no_images_of_one_content(images: Path, root: Path) -> None:
    for name in ("blue", "green", "red"):
        for number in range(5):
            (images / name / f"bad {number}.png").write_text("not an image")
    lines = told_of(images, root, test_fraction=0.5, skip_unreadable=True)
    assert lines[0].startswith("skipped 15 of")
    assert [line.partition(": ")[0].strip() for line in lines[1:]] == [
        f"{name}/bad {number}.png" for name in ("blue", "green", "red") for number in range(5)
    ]


def test_classes_with_the_same_folders_inside_are_told(tmp_path: Path, root: Path) -> None:
    """Parts whose names are not known, such as those of another language."""
    own = tmp_path / "own"
    for part in ("Entrenamiento", "Prueba"):
        folder_of(own / part)
    (line,) = [line for line in told_of(own, root) if "same folders inside" in line]
    assert "'Entrenamiento', 'Prueba'" in line
    assert "'blue', 'green', 'red'" in line
    picture(own / "Prueba" / "loose.png", grey=99)
    assert not [line for line in told_of(own, root) if "same folders inside" in line]


def test_class_names_that_look_the_same_are_told(tmp_path: Path, root: Path) -> None:
    (line,) = told_of(folder_of(tmp_path / "own", ("Cat", "cat", "é", "e\u0301", "dog")), root)
    assert "'Cat' and 'cat'" in line
    assert "'e\\u0301' and '\\xe9'" in line
    assert "dog" not in line


@pytest.mark.parametrize("name", [b"caf\xe9", b"red/caf\xe9.png", b"red/caf\xe9/0.png"])
def test_names_that_are_not_utf8_are_refused_before_anything_is_written(name: bytes, images: Path, root: Path) -> None:
    target = os.path.join(os.fsencode(images), name)
    if not name.endswith(b".png"):
        shutil.copytree(images / "blue", os.fsdecode(target))
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(images / "blue" / "0.png", os.fsdecode(target))
    for load in (inspect, load_train):
        with pytest.raises(DataError, match=r"caf\\xe9") as caught:
            load(source_of(images), root)
        str(caught.value).encode("ascii")
    assert not root.exists()


def test_a_path_that_is_not_utf8_is_refused(tmp_path: Path, root: Path) -> None:
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9"))
    with pytest.raises(DataError, match=r"caf\\xe9"):
        inspect(source_of(Path(path)), root)
