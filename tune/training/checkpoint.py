"""Checkpoints: files of tensors and plain values, written atomically and verified when read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from data.untrusted import check_archive
from tune.errors import WorkError, named_line
from tune.files import atomic_file, needed


class CheckpointError(WorkError):
    """A checkpoint cannot be used: it is missing, damaged, or belongs to another training. The text says which."""


class OtherVersionError(CheckpointError):
    """A checkpoint was written by a version of imagetune whose state this one cannot read."""


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a training's state atomically.

    Raises:
        OSError: The disk is full or not writable; the old file, if any, is unchanged.
    """
    with atomic_file(path) as file:
        torch.save(dict(state), file)


def load(path: Path) -> dict[str, Any]:
    """Read a state, with its tensors on the CPU. Only tensors and plain values are accepted; no code is executed.

    Raises:
        CheckpointError: The file is missing, damaged, or not a checkpoint.
    """
    needed(path)
    with _explained(path):
        check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError(f"it contains a {type(state).__name__}, not a state")
        with zipfile.ZipFile(path) as archive:  # torch does not compare checksums
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"wrong checksum of {damaged}")
    return state


def save_weights(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a model's weights and some text atomically, in the safetensors format.

    Raises:
        OSError: The disk is full or not writable; the old file, if any, is unchanged.
    """
    # Copies: the format has neither strides nor tensors that share memory.
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()
    }
    with atomic_file(path) as file:
        file.write(safetensors.torch.save(copies, dict(metadata)))


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read weights (on the CPU) and metadata.

    Raises:
        CheckpointError: The file is missing, damaged, or not a safetensors file.
    """
    needed(path)
    with _explained(path), safetensors.safe_open(path, framework="pt", device="cpu") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the many kinds of errors that damaged files raise into one that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such checkpoint") from None
    except (MemoryError, PermissionError):
        raise  # says nothing about the content
    except Exception as error:
        reason = named_line(error)
        if isinstance(error, UnpicklingError):  # which explains how to run what it contains
            reason = "it contains more than tensors and plain values"
        raise CheckpointError(f"{path}: the checkpoint is damaged or not a checkpoint ({reason})") from error
