"""Checkpoints on disk: they hold tensors and plain values only, and appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from tune.errors import WorkError

PARTIAL = "*.partial"
"""What an interrupted save may leave in the folder of its file, as a glob pattern: safe to delete when nobody saves."""


class CheckpointError(WorkError):
    """A checkpoint is missing, damaged, or of another experiment. The text names the file or the difference."""


class OtherVersionError(CheckpointError):
    """A checkpoint was written by a version of imagetune whose state this one cannot read."""


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a training's state; a reader sees the old file or the new one, also after a power cut.

    Raises:
        OSError: The disk is full or not writable; the old file, if any, is untouched.
    """
    with _whole(path) as file:
        torch.save(dict(state), file)


def load(path: Path) -> dict[str, Any]:
    """Read a state back, tensors on the CPU. Nothing is executed: only tensors and plain values are accepted.

    Raises:
        CheckpointError: The file is missing, cut off, or no checkpoint.
    """
    with _explained(path):
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError(f"holds a {type(state).__name__}, not a state")
    return state


def save_weights(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a model's weights as safetensors, with texts beside them; as whole as `save`.

    Raises:
        OSError: The disk is full or not writable; the old file, if any, is untouched.
    """
    # Copies: the format knows neither strides nor two names for one storage.
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()
    }
    with _whole(path) as file:
        file.write(safetensors.torch.save(copies, dict(metadata)))


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read weights (on the CPU) and metadata back.

    Raises:
        CheckpointError: The file is missing, cut off, or no safetensors file.
    """
    with _explained(path), safetensors.safe_open(path, framework="pt", device="cpu") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name only once all of it is on the disk."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}{PARTIAL[1:]}")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Put the new name itself on the disk; where folders cannot be opened for that (Windows), the system does it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn whatever reading a damaged file raises (the formats raise many kinds) into one error that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such checkpoint") from None
    except (MemoryError, PermissionError):
        raise  # says nothing about the file's content
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        reason = f"{type(error).__name__}: {first[:200]}"
        raise CheckpointError(f"{path}: the checkpoint is damaged or none at all ({reason})") from error
