"""A training step's gradients as one CUDA graph: recorded once, started with one call.

A small network's step is some hundred short kernels, each started from Python: the GPU waits for the CPU. A graph
starts them all at once (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). The kernels are the same, so
that the results are too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tune.errors import named_line
from tune.training.failures import process_broken

BEFORE = 3
"""Steps taken one by one before the recording: torch chooses kernels and reserves memory in the first ones."""

Gradients = Callable[[Tensor, Tensor], tuple[Tensor, Sequence[Tensor]]]
"""Sets the parameters' gradients for a batch of images and labels; returns its loss and the sums of other metrics."""


class Graphed:
    """The computation of gradients, recorded for batches of one shape; smaller batches take it one by one.

    Where the size of the images changes, it is recorded again.

    Attributes:
        reason: Why nothing is recorded, if it could not be.

    Args:
        parameters: Those whose gradients are set.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = parameters
        self._begin(torch.Size())

    def _begin(self, size: torch.Size) -> None:
        """Forget what is recorded; the next batches have images of this size, (C, H, W)."""
        self.reason = ""
        self._size, self._seen = size, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Tensor, Tensor] | None = None
        self._results: tuple[Tensor, Sequence[Tensor]] | None = None
        self._recorded: list[Tensor | None] = []

    def __call__(self, gradients: Gradients, images: Tensor, labels: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Set the gradients for a batch. The next call overwrites what is returned.

        Args:
            gradients: The same function in every call. It must compute the same, apart from chance. It is not kept:
                a training's method would hold the training, which holds this, and its memory on the GPU.
            images: (B, C, H, W), on the GPU.
            labels: Of the images.
        """
        if images.shape[1:] != self._size:
            self._begin(images.shape[1:])
        self._seen += 1
        if self._seen == BEFORE:
            return self._watched(gradients, images, labels)
        if self._seen == BEFORE + 1 and not self.reason:
            self._record(gradients, images, labels)
        if self._graph is None or not self._fits(images, labels):
            return gradients(images, labels)
        assert self._inputs is not None
        assert self._results is not None
        for place, values in zip(self._inputs, (images, labels), strict=True):
            place.copy_(values, non_blocking=True)
        self._graph.replay()
        for parameter, gradient in zip(self._parameters, self._recorded, strict=True):
            parameter.grad = gradient  # a step taken one by one, or the optimizer, may have taken it away
        return self._results

    def _fits(self, images: Tensor, labels: Tensor) -> bool:
        return self._inputs is not None and all(
            (place.shape, place.dtype) == (values.shape, values.dtype)
            for place, values in zip(self._inputs, (images, labels), strict=True)
        )

    def _watched(self, gradients: Gradients, images: Tensor, labels: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Set the gradients, and see whether an operation waits for the GPU: it could not be recorded."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            try:
                torch.cuda.set_sync_debug_mode("warn")  # warns that it is a prototype
                results = gradients(images, labels)
            finally:
                torch.cuda.set_sync_debug_mode(before)
        if any("called a synchronizing" in str(wait.message) for wait in waits):
            self.reason = "an operation waits for the GPU"
        return results

    def _record(self, gradients: Gradients, images: Tensor, labels: Tensor) -> None:
        """Record for batches like this one. Nothing is computed, and no random number drawn."""
        graph, inputs = torch.cuda.CUDAGraph(), (images.clone(), labels.clone())
        for parameter in self._parameters:
            parameter.grad = None
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads go on
                results = gradients(*inputs)
        except RuntimeError as error:
            self.reason = named_line(error)
            if process_broken(error) and not isinstance(error, torch.OutOfMemoryError):
                raise
            return
        self._graph, self._inputs, self._results = graph, inputs, results
        self._recorded = [parameter.grad for parameter in self._parameters]
