"""What an exception out of a training means."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import torch

# What torch says when memory runs out and it raises a plain RuntimeError: its CPU allocator
# (c10/core/impl/alloc_cpu.cpp), the handles of cuBLAS and cuDNN, the driver itself.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)

# Errors after which every further CUDA call of the process fails (NVIDIA, "CUDA Runtime API", cudaError_t: "the process
# must be terminated and relaunched"), in torch's words: those of the runtime, and those of libraries that meet one.
_CUDA_FAILED = (
    "cuda error",
    "cuda driver error",
    "device-side assert",
    "cublas_status_execution_failed",
    "cublas_status_internal_error",
    "cudnn_status_execution_failed",
    "cudnn_status_internal_error",
    "cufft_exec_failed",
    "nccl error",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the device or on the machine; also as the error's cause."""
    return any(
        isinstance(link, MemoryError | torch.OutOfMemoryError) or _says(link, _OUT_OF_MEMORY) for link in _chain(error)
    )


def process_broken(error: BaseException) -> bool:
    """Whether the process that met this error should train nothing else.

    After most CUDA errors (an illegal memory access, a failed launch, an assertion on the device) every later CUDA call
    fails too; after an out-of-memory error the process's heap stays large.
    """
    broken = (isinstance(link, torch.AcceleratorError) or _says(link, _CUDA_FAILED) for link in _chain(error))
    return out_of_memory(error) or any(broken)


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, what caused that, and so on."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def last_lines(error: BaseException, n: int = 20) -> str:
    """The last n lines of the error's traceback, as Python prints it."""
    text = "".join(traceback.format_exception(error)).rstrip("\n")
    return "\n".join(text.splitlines()[-n:])
