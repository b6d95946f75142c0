"""Seconds per epoch on a GPU, ours against the loop of the official PyTorch + Ray Tune tutorial on the same GPU.

    python -m tests.benchmarks.gpu_speed [--data-dir ROOT] [--profile]

MNIST is read from ROOT if it is there; images of CIFAR-10's size are random. Ours is the real `Training.run_epoch`. The
tutorial's loop is that of `tutorial_epoch.py`, on the GPU, with two processes that load images, as the tutorial has. Both
train and validate; the two take turns. `--variants` times ours with other settings of torch, `--profile` prints what an
epoch spends its time on. `gpu_record.py` compares with a script made for speed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import data
import models
from tests.benchmarks.rows import circumstances, write_rows
from tests.benchmarks.tutorial_epoch import train_epoch, validate
from tune.runs.versions import hardware
from tune.spec.experiment import Experiment
from tune.training import Splits, Training, open_splits

GPU = torch.device("cuda")
loop: Any = import_module("tune.training.loop")  # with the settings that --variants changes
TRAIN, VALIDATION = 20_000, 2_000
BATCH_SIZE = 128
LOADERS = 2
MODELS: dict[str, dict[str, Any]] = {
    "mnist_cnn": {},
    "simple_cnn": {},
    "classifier": {"starting_channels": 46, "final_channels": 210, "cnn_layers": 6, "fcn_layers": 4},  # classifier_best
    "tiny_vgg": {},
}
VARIANTS = ("one by one", "channels_last", "channels first", "cudnn.benchmark")


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images as a user of torchvision has them: decoded and transformed one by one."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        channels = images.shape[1]
        self._images = [np.ascontiguousarray(image.permute(1, 2, 0).squeeze(-1).numpy()) for image in images]
        self._labels = labels.tolist()
        half = (0.5,) * channels
        self._transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(half, half)])

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[index])), self._labels[index]


def images_of(name: str, root: Path | None) -> Splits:
    """The images of a model, on the CPU: MNIST if it is there, else random ones of the model's size."""
    shape = models.get(name).native_input
    if shape[0] == 1 and root is not None:
        spec = experiment(name, "float32").data.model_copy(update={"train_limit": TRAIN})
        return open_splits(spec, root, torch.device("cpu"))
    chance = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (TRAIN + VALIDATION, *shape), dtype=torch.uint8, generator=chance)
    labels = torch.randint(0, 10, (TRAIN + VALIDATION,), generator=chance)
    normalization = data.Normalization((0.5,) * shape[0], (0.5,) * shape[0])
    parts = [
        data.Resident(images, labels, index, normalization=normalization, classes=10)
        for index in (torch.arange(TRAIN), torch.arange(TRAIN, TRAIN + VALIDATION))
    ]
    classes = tuple(map(str, range(10)))
    identity = data.DataIdentity("random", classes)
    return Splits(parts[0], parts[1], classes, shape, "random", normalization, identity)


def on_gpu(splits: Splits) -> Splits:
    """The same images on the GPU."""
    assert splits.validation is not None
    train, validation = (part.to(GPU) for part in (splits.train, splits.validation))
    return Splits(
        train, validation, splits.classes, splits.input_shape, "random", splits.normalization, splits.identity
    )


def experiment(name: str, number: str) -> Experiment:
    """The training that is timed; the data set's name is that of its images' size."""
    source = "mnist" if models.get(name).native_input[0] == 1 else "cifar10"
    tree = {
        "data": {"name": source, "validation_fraction": 1 / 30},
        "model": {"name": name, **MODELS[name]},
        "training": {"epochs": 1_000, "batch_size": BATCH_SIZE, "precision": number, "threads": 1},
    }
    return Experiment.model_validate(tree)


def ours(spec: Experiment, splits: Splits, *, graphs: bool = True) -> Training:
    """Our training on the GPU."""
    return Training(spec, on_gpu(splits), device=GPU, graphs=graphs)


def tutorial(splits: Splits, name: str) -> Callable[[], object]:
    """One epoch of the tutorial's loop, in float32 as there."""
    assert splits.validation is not None
    loaders = []
    for part in (splits.train, splits.validation):
        images, labels = (part._selected(values, slice(None)) for values in (part.images, part.labels))
        loaders.append(DataLoader(Pictures(images, labels), BATCH_SIZE, shuffle=True, num_workers=LOADERS))
    net = models.build(name, splits.input_shape, 10, **experiment(name, "float32").model.options()).to(GPU)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()

    def epoch() -> tuple[float, float, float]:
        return train_epoch(net, loaders[0], criterion, optimizer), *validate(net, loaders[1], criterion)

    return epoch


def seconds(epoch: Callable[[], object]) -> float:
    """Of one epoch, to the end of its work on the GPU."""
    torch.cuda.synchronize()
    started = time.perf_counter()
    epoch()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(name: str, splits: Splits, repeats: int) -> Iterator[dict[str, Any]]:
    """A row per precision of ours."""
    theirs = tutorial(splits, name)
    trainings = {number: ours(experiment(name, number), splits) for number in ("float32", "bfloat16")}
    theirs_once = [seconds(theirs) for _ in range(2)]  # seconds long, and steady: one to warm up, one to count
    for training in trainings.values():
        training.run_epoch()
    own: dict[str, list[float]] = {number: [] for number in trainings}
    for _ in range(repeats):
        for number, training in trainings.items():
            own[number].append(seconds(training.run_epoch))
    for number, taken in own.items():
        median = statistics.median(taken)
        yield {
            "model": name,
            "precision": number,
            "batch": BATCH_SIZE,
            "ours_seconds": round(median, 4),
            "ours_images_per_second": round(len(splits.train) / median),
            "ours_ms_per_step": round(1000 * median / (len(splits.train) / BATCH_SIZE), 3),
            "tutorial_seconds": round(theirs_once[-1], 3),
            "ratio": round(theirs_once[-1] / median, 1),
            "n": repeats,
            "peak_mib": round(torch.cuda.max_memory_allocated() / 2**20),
            **circumstances(),
            "hardware": hardware(torch.cuda.get_device_name()),
        }


@contextmanager
def varied(variant: str) -> Iterator[None]:
    """Our training with one setting of torch changed, or without CUDA graphs."""

    @contextmanager
    def flags(device: torch.device) -> Iterator[None]:
        with own[1](device):
            torch.backends.cudnn.benchmark = True
            yield

    def layout(model: nn.Module) -> torch.memory_format:
        convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
        return torch.channels_last if convolutional and variant == "channels_last" else torch.contiguous_format

    own = loop.memory_format, loop.float32_on_gpu
    if "channels" in variant:
        loop.memory_format = layout
    if variant == "cudnn.benchmark":
        loop.float32_on_gpu = flags
    try:
        yield
    finally:
        loop.memory_format, loop.float32_on_gpu = own


def variants(spec: Experiment, splits: Splits, repeats: int) -> None:
    """Print milliseconds per step of ours under other settings, as it is first and last."""
    for number in ("float32", "bfloat16"):
        this = spec.model_copy(update={"training": spec.training.model_copy(update={"precision": number})})
        row = []
        for variant in ("as it is", *VARIANTS, "as it is"):
            with varied(variant):
                training = ours(this, splits, graphs=variant != "one by one")
                training.run_epoch()
                taken = statistics.median(seconds(training.run_epoch) for _ in range(repeats))
            row.append(f"{variant} {1000 * taken / (len(splits.train) / spec.training.batch_size):.3f}")
        print(f"{spec.model.name} {number}, ms per step: " + ", ".join(row), flush=True)


def profile(spec: Experiment, splits: Splits) -> None:
    """Print the most expensive kernels of an epoch, and the share of it in which the GPU works."""
    training = ours(spec, splits)
    training.run_epoch()
    plain = seconds(training.run_epoch)
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as recorded:
        watched = seconds(training.run_epoch)
    averages = recorded.key_averages()
    kernels = sorted(
        (row for row in averages if row.device_type == DeviceType.CUDA), key=lambda row: -row.self_device_time_total
    )
    busy = sum(row.self_device_time_total for row in kernels) / 1e6
    steps = -(-len(splits.train) // spec.training.batch_size)
    print(
        f"\n== {spec.model.name} {spec.training.precision}: an epoch of {steps} steps takes {plain:.3f} s ({watched:.3f} "
        f"s watched), in which the GPU works {busy:.3f} s ({busy / plain:.0%}); "
        f"{sum(row.count for row in kernels) / steps:.0f} kernels and copies a step"
    )
    for row in kernels[:14]:
        print(f"{row.self_device_time_total / 1000 / steps:8.4f} ms a step, {row.count / steps:5.1f} x {row.key[:110]}")
    print(averages.table(sort_by="self_cpu_time_total", row_limit=10, max_name_column_width=50), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=None, help="holds MNIST/raw; without it, random images")
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=tuple(MODELS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--profile", action="store_true")
    chosen = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for name in chosen.models:
        splits = images_of(name, chosen.data_dir)
        for row in compare(name, splits, chosen.repeats):
            print(
                f"{row['model']:10} {row['precision']:8} {row['ours_seconds']:7.3f} s "
                f"({row['ours_images_per_second']:,} images/s, {row['ours_ms_per_step']} ms a step)  "
                f"tutorial {row['tutorial_seconds']:7.3f} s  {row['ratio']:5.1f}x",
                flush=True,
            )
            rows.append(row)
        print(f"wrote {write_rows('gpu_speed', rows)}", flush=True)
        if chosen.variants:
            variants(experiment(name, "float32"), splits, 3)
        if chosen.profile:
            for number in ("float32", "bfloat16"):
                profile(experiment(name, number), splits)


if __name__ == "__main__":
    main()
