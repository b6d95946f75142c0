"""Splits: exact, stratified, repeatable, and refused when impossible."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from data import DataError, limit, split

LABELS = torch.arange(6000) % 10
labels_lists = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(torch.tensor)
fractions = st.floats(0, 0.99)


@given(labels_lists, fractions, st.integers(0, 2**32 - 1))
def test_a_split_is_exact_disjoint_sorted_and_keeps_every_class_in_train(
    labels: torch.Tensor, fraction: float, seed: int
) -> None:
    wanted = round(fraction * len(labels))
    possible = wanted <= len(labels) - len(set(labels.tolist())) and (wanted > 0 or fraction == 0)
    if not possible:
        with pytest.raises(DataError, match="fraction"):
            split(labels, fraction, seed)
        return
    made = split(labels, fraction, seed)
    assert len(made.validation) == wanted
    assert sorted(made.train.tolist() + made.validation.tolist()) == list(range(len(labels)))
    for part in (made.train, made.validation):
        assert part.dtype == torch.int64
        assert part.tolist() == sorted(part.tolist())
    assert set(labels[made.train].tolist()) == set(labels.tolist())


@given(st.lists(st.integers(4, 30), min_size=1, max_size=6), st.floats(0.2, 0.6), st.integers(0, 1000))
def test_every_class_gives_its_share_to_within_one_image(counts: list[int], fraction: float, seed: int) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    taken = labels[split(labels, fraction, seed).validation].bincount(minlength=len(counts))
    share = round(fraction * len(labels)) / len(labels)
    assert ((taken - torch.tensor(counts) * share).abs() < 1).all()


def test_class_counts_agree_with_scikit_learn_to_within_one() -> None:
    labels = torch.from_numpy(np.random.RandomState(0).choice(7, 1000, p=np.arange(1, 8) / 28))
    _, theirs = next(
        StratifiedShuffleSplit(1, test_size=137, random_state=0).split(np.zeros((1000, 1)), labels.numpy())
    )
    ours = split(labels, 0.137, 0).validation
    assert (labels[ours].bincount() - labels[torch.from_numpy(theirs)].bincount()).abs().max() <= 1


def test_the_recipes_sizes() -> None:
    assert len(split(torch.arange(60_000) % 10, 0.1, 42).validation) == 6_000
    assert len(split(torch.arange(50_000) % 100, 0.1, 42).validation) == 5_000
    assert len(split(torch.arange(50_000) % 10, 0.2, 42).train) == 40_000


def test_a_recorded_split_stays_what_it_was() -> None:
    made = split(LABELS, 0.1, 42)
    assert made.hash == "bf5e0d4377723bd4"
    assert made.validation[:5].tolist() == [8, 14, 15, 17, 23]


def test_the_seed_alone_decides_and_global_generators_do_not_move() -> None:
    def state() -> tuple[list[int], list[int]]:
        return np.random.get_state(legacy=True)[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]

    before = state()
    first = split(LABELS, 0.1, 42)
    assert state() == before
    np.random.seed(2)
    assert split(LABELS, 0.1, 42).hash == first.hash
    assert split(LABELS, 0.1, 43).hash != first.hash


def test_the_hash_covers_the_labels() -> None:
    other = LABELS.clone()
    other[[0, 10]] = other[[0, 10]].flip(0)
    assert split(other, 0.1, 42).hash == split(LABELS, 0.1, 42).hash  # Equal labels at both places: nothing moved.
    assert split(9 - LABELS, 0, 42).hash != split(LABELS, 0, 42).hash


def test_a_class_with_one_image_stays_in_train() -> None:
    labels = torch.tensor([0] * 50 + [1] * 49 + [2])
    made = split(labels, 0.2, 0)
    assert len(made.validation) == 20
    assert 2 not in labels[made.validation]


def test_no_validation_is_allowed() -> None:
    made = split(LABELS, 0, 42)
    assert len(made.validation) == 0
    assert made.train.tolist() == list(range(6000))


@pytest.mark.parametrize(
    ("fraction", "message"),
    [
        (1.0, r"at least 0 and below 1 \(got 1.0\)"),
        (-0.1, r"at least 0 .*\(got -0.1\)"),
        (float("nan"), "got nan"),
        (0.001, "less than one image"),
        (0.9, "each of 10 classes needs an image to train on, which leaves 10"),
    ],
)
def test_impossible_fractions_are_refused(fraction: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split(torch.arange(20) % 10, fraction, 42)


@given(labels_lists, st.data())
def test_a_limit_keeps_a_stratified_part_of_train(labels: torch.Tensor, choose: st.DataObject) -> None:
    whole = split(labels, 0, 3)
    n = choose.draw(st.integers(1, len(labels)))
    cut = limit(whole, n, labels)
    assert len(cut.train) == n
    assert set(cut.train.tolist()) <= set(whole.train.tolist())
    counts = labels.bincount(minlength=6)
    assert ((labels[cut.train].bincount(minlength=6) - counts * n / len(labels)).abs() < 1).all()


def test_a_limit_comes_after_the_split_and_is_part_of_the_hash() -> None:
    whole = split(LABELS, 0.1, 42)
    cut = limit(whole, 100, LABELS)
    assert cut.validation.equal(whole.validation)
    assert LABELS[cut.train].bincount().tolist() == [10] * 10
    assert cut.hash != whole.hash
    assert cut.hash == limit(split(LABELS, 0.1, 42), 100, LABELS).hash
    assert limit(whole, len(whole.train), LABELS).hash == whole.hash


@pytest.mark.parametrize("n", [0, -5, 5401])
def test_an_impossible_limit_names_the_field_and_the_size(n: int) -> None:
    with pytest.raises(DataError, match=rf"data.train_limit must be between 1 and .* 5,400 \(got {n:,}\)"):
        limit(split(LABELS, 0.1, 42), n, LABELS)
