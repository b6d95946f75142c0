"""Which folders are the training and test sets, by their names."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from data.errors import DataError
from data.folder.listing import entries, is_system
from data.words import shortened

_ROLES = {
    "train": ("train", "training", "trn"),
    "test": ("test", "tests", "testing", "tst"),
    "validation": (
        "val", "vals", "valid", "validation", "dev", "eval", "evaluation", "holdout", "hold out", "held out",
    ),
}  # fmt: skip
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words}
_FILLER = (
    r"(?:data|dataset|set|sets|split|part|folder|dir|images?|imgs?|pictures|photos|samples|files|(?:19|20)?\d\d|\d)"
)
MOST_NAMED = 5


def role_of(name: str) -> str | None:
    """Which part a folder's name stands for (``train``, ``test`` or ``validation``), in any usual spelling, or None."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", name).casefold())
    plain = [re.sub(f"{_FILLER}$", "", word) if word not in _ROLE_OF else word for word in words]
    return _ROLE_OF.get(" ".join(filter(None, plain)))


def part_folders(root: Path, folders: list[str], notes: list[str]) -> tuple[str, str] | None:
    """The folders of the training and test sets, or None where every folder is a class.

    Raises:
        DataError: A folder is named like a part, but cannot be one: it might be a class or a part.
    """
    roles = {name: role for name in folders if (role := role_of(name))}
    if not roles:
        return None
    classes = [name for name in folders if name not in roles]
    train, test = ([name for name, role in roles.items() if role == wanted] for wanted in ("train", "test"))
    flat = [name for name in train + test if not has_folders(root / name)]
    if len(train) == len(test) == 1 and not flat:
        if unused := [f"{name}/" for name in folders if name not in (*train, *test)]:
            notes.append(f"{root} has {train[0]}/ and {test[0]}/; not used: {shortened(unused, MOST_NAMED)}")
        return train[0], test[0]
    if list(roles) == train == flat and len(train) == 1 and len(classes) > 1:
        notes.append(f"{train[0]}/ in {root} is treated as a class: it has images, and no class folders")
        return None
    raise DataError(_unclear(root, train, test, [name for name in roles if name not in (*train, *test)], classes, flat))


def _unclear(
    root: Path, train: list[str], test: list[str], validation: list[str], classes: list[str], flat: list[str]
) -> str:
    """What is wrong with folders that are named like sets, and what to do."""
    for names, kind in ((train, "training"), (test, "test")):
        if len(names) > 1:
            text = f"{root} has {len(names)} folders for the {kind} set, {', '.join(names)}; keep one of them"
            break
    else:
        if train and test:
            text = f"{root} has {train[0]}/ and {test[0]}/, but {flat[0]}/ has no class folders; add one for each class"
        elif train:
            text = (
                f"{root} has {train[0]}/ but no test/; add test/ with the same class folders, or use "
                f"data.path={root / train[0]} to split a test set off it"
            )
            if validation:
                text += f", or rename {validation[0]}/ to test/"
        else:
            others = ", ".join(f"{name}/" for name in (*test, *validation))
            text = f"{root} has {others} but no train/; put the class folders of the training set into train/"
    if classes:
        odd = (*train, *test, *validation)[0]
        text += f"; if {odd}/ is a class, rename it, for example to class_{odd}"
    return text


def has_folders(folder: Path) -> bool:
    """Whether there are folders in a folder, apart from hidden and system ones."""
    return any(entry.is_dir() and not is_system(entry.name) for entry in entries(str(folder)))
