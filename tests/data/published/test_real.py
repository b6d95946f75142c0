"""The real published data sets, if IMAGETUNE_DATA names a folder with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torchvision.datasets

from data import DamagedDataError, Source, load_train, prepare, registry, split

FOLDERS = {
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
}
# Mean and standard deviation of the training sets, as their users know them.
MOMENTS = {
    "mnist": ([0.1307], [0.3081]),
    "fashion_mnist": ([0.2860], [0.3530]),
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    "cifar100": ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_published_dataset_is_what_the_table_says(name: str, real_root: Callable[[str], Path]) -> None:
    root = real_root(FOLDERS[name])
    entry, found = registry.get(name), prepare(Source(name), root)
    assert (found.input_shape, found.classes) == (entry.input_shape, entry.classes)
    assert (found.train_size, found.test_size) == (entry.train_size, entry.test_size)
    assert sum(found.train_counts) == entry.train_size
    mean, std = MOMENTS[name]
    assert found.mean == pytest.approx(mean, abs=6e-5)
    assert found.std == pytest.approx(std, abs=6e-5)
    train = load_train(Source(name), root, download=False)
    kind = getattr(torchvision.datasets, entry.torchvision_class or "")
    theirs = kind(str(root), train=True)
    if "cifar" in name:
        assert tuple(theirs.classes) == entry.classes
        assert (train.images.permute(0, 2, 3, 1).numpy()[::97] == theirs.data[::97]).all()
        assert train.labels.tolist() == theirs.targets
    else:
        assert train.images[:, 0].equal(theirs.data)
        assert train.labels.equal(theirs.targets)
    assert len(split(train.labels, 0.1, 42).validation) == found.train_size // 10


def test_one_flipped_bit_in_the_unpacked_real_file_is_found(real_root: Callable[[str], Path], tmp_path: Path) -> None:
    """Header and length are right, and no packed file is beside it: only the checksum of the content tells."""
    there = real_root("MNIST") / "MNIST" / "raw"
    raw = tmp_path / "copy" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        if not (there / f"{name}-ubyte").is_file():
            pytest.skip("MNIST is there packed only")
        (raw / f"{name}-ubyte").symlink_to(there / f"{name}-ubyte")
    labels = raw / "t10k-labels-idx1-ubyte"
    content = bytearray(labels.read_bytes())
    content[5000] ^= 1
    labels.unlink()
    labels.write_bytes(content)
    with pytest.raises(DamagedDataError, match="t10k-labels-idx1-ubyte is damaged: its md5 is"):
        load_train(Source("mnist"), tmp_path / "copy")
