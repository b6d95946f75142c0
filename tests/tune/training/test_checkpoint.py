"""A checkpoint is complete or not there, and a damaged one is refused."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tune.errors import WorkError
from tune.files import PARTIAL
from tune.training import CheckpointError, load, load_weights, save, save_weights

STATE: dict[str, Any] = {
    "format": 1,
    "model": {"weight": torch.arange(300.0).view(10, 30), "bf16": torch.ones(3, dtype=torch.bfloat16)},
    "history": [{"epoch": 1, "val_loss": float("nan"), "lr": 0.1}],
    "best_weights": None,
}
WEIGHTS = {"weight": torch.arange(12.0).view(3, 4), "steps": torch.tensor(7)}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path / "last.pt", STATE)
    state = load(tmp_path / "last.pt")
    assert repr(state) == repr(STATE)
    assert state["model"]["bf16"].dtype == torch.bfloat16


def test_channels_last_tensors_keep_their_layout(tmp_path: Path) -> None:
    # The optimizers' fused kernels read the moments in the parameters' layout.
    moments = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    save(tmp_path / "x.pt", {"moments": moments})
    assert load(tmp_path / "x.pt")["moments"].stride() == moments.stride()


def test_weights_and_their_texts_come_back(tmp_path: Path) -> None:
    weights = {
        **WEIGHTS,
        "last": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "same": WEIGHTS["weight"],
        "transposed": WEIGHTS["weight"].T,
    }
    save_weights(tmp_path / "model.safetensors", weights, {"experiment": "{}", "name": "ü"})
    again, metadata = load_weights(tmp_path / "model.safetensors")
    assert metadata == {"experiment": "{}", "name": "ü"}
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)


@pytest.mark.parametrize("read", [load, load_weights])
def test_a_missing_file_is_named(tmp_path: Path, read: Any) -> None:
    with pytest.raises(CheckpointError, match=r"nothing\.pt: there is no such checkpoint"):
        read(tmp_path / "nothing.pt")
    assert issubclass(CheckpointError, WorkError)


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "last.pt", STATE)
    save_weights(tmp_path / "model.safetensors", WEIGHTS, {})
    cut = tmp_path / "cut"
    for name, read in (("last.pt", load), ("model.safetensors", load_weights)):
        whole = (tmp_path / name).read_bytes()
        lengths = {*range(0, len(whole), max(1, len(whole) // 60)), 1, 8, len(whole) - 1}
        for length in lengths:
            cut.write_bytes(whole[:length])
            with pytest.raises(CheckpointError, match=r"cut: the checkpoint is damaged"):
                read(cut)


def test_a_byte_changed_anywhere_is_noticed(tmp_path: Path) -> None:
    save(tmp_path / "last.pt", STATE)
    whole = (tmp_path / "last.pt").read_bytes()
    start = whole.index(STATE["model"]["weight"].numpy().tobytes())
    for at in range(start, start + 1200, 7):
        (tmp_path / "changed").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(CheckpointError, match="changed: the checkpoint is damaged"):
            load(tmp_path / "changed")


@given(st.binary(max_size=200))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "garbage").write_bytes(content)
    for read in (load, load_weights):
        with pytest.raises(CheckpointError, match="garbage: the checkpoint is damaged"):
            read(tmp_path / "garbage")


class Trap:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    torch.save({"format": 1, "trap": Trap(tmp_path / "sprung")}, tmp_path / "torch.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=2))
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("torch.pt", "pickle.pt", "list.pt"):
        with pytest.raises(CheckpointError, match=name):
            load(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def _killed_before_the_rename(path: Path) -> None:
    Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign, assignment, return-value]
    save(path, {"format": 2})


def test_a_kill_before_the_rename_leaves_the_old_file_and_a_recognisable_rest(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save(path, STATE)
    process = multiprocessing.get_context("spawn").Process(target=_killed_before_the_rename, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert load(path)["format"] == 1
    assert len(list(tmp_path.glob(PARTIAL))) == 1
    assert sorted(set(tmp_path.iterdir()) - set(tmp_path.glob(PARTIAL))) == [path]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    save(path, STATE)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, {"format": 2})
    assert list(tmp_path.iterdir()) == [path]
    assert load(path)["format"] == 1
