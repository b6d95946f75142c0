"""What an exception out of a training means."""

from __future__ import annotations

import traceback

import torch

# What torch's allocators say when the memory is spent and they raise a plain RuntimeError
# (c10/core/impl/alloc_cpu.cpp; cuBLAS and cuDNN handles; the driver itself).
_MEMORY_SPENT = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether the training failed because the device's or the machine's memory was spent, also as the error's cause."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(link, RuntimeError) and any(words in str(link).lower() for words in _MEMORY_SPENT):
            return True
        link = link.__cause__ or link.__context__
    return False


def last_lines(error: BaseException, n: int = 20) -> str:
    """The last n lines of the error's traceback, as Python prints it."""
    text = "".join(traceback.format_exception(error)).rstrip("\n")
    return "\n".join(text.splitlines()[-n:])
