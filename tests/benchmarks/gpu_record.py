"""Images per second on a GPU, ours against a plain script for the network of the CIFAR-10 speed record.

    python -m tests.benchmarks.gpu_record [--variants] [--profile]

The script is what a reader of Jordan 2024 (https://arxiv.org/abs/2404.00498) would write without torch.compile: float16
weights and images on the GPU in channels_last, an epoch's augmentation at once, batches of 1,024, SGD with Nesterov
momentum, a rate that changes with every step, lookahead. Ours is `Training.run_epoch` of the same network, recipe and
augmentation in bfloat16 and float32. Images are random; both train only. The two take turns.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.benchmarks.ablation import fast
from tests.benchmarks.gpu_speed import GPU, images_of, on_gpu, profile, seconds, variants
from tests.benchmarks.rows import circumstances, write_rows
from tune.runs.versions import hardware
from tune.spec.experiment import Experiment
from tune.training import Splits, Training

BATCH_SIZE = 1_024
EPOCHS = 1_000  # of the schedule; only a few are run
CHANNELS = (64, 256, 256)


def experiment(precision: str) -> Experiment:
    """The recipe of the record as fields; random images would let a larger rate diverge."""
    return fast(
        {
            "model.conv_channels": CHANNELS,
            "training.epochs": EPOCHS,
            "training.batch_size": BATCH_SIZE,
            "training.optimizer.lr": 1e-3,
            "training.precision": precision,
            "training.threads": 1,
        }
    )


def stage(inside: int, out: int) -> Iterator[nn.Module]:
    """Convolution, pooling, norm without scale, activation; then the same without pooling."""
    yield nn.Conv2d(inside, out, 3, padding=1, bias=False)
    yield nn.MaxPool2d(2)
    yield from (nn.BatchNorm2d(out), nn.SiLU(), nn.Conv2d(out, out, 3, padding=1, bias=False))
    yield from (nn.BatchNorm2d(out), nn.SiLU())


def network() -> nn.Module:
    """The record's network, in float16 but for the norms."""
    whitening = nn.Conv2d(3, 24, 2)
    whitening.weight.requires_grad_(False)
    stages = (layer for pair in zip((24, *CHANNELS), CHANNELS, strict=False) for layer in stage(*pair))
    net = nn.Sequential(whitening, nn.SiLU(), *stages, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(CHANNELS[-1], 10))
    net = net.to(GPU, torch.float16)
    for parameter in net.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.float()
            layer.weight.requires_grad_(False)
    return net


def plain_script(images: Tensor, labels: Tensor) -> Callable[[], None]:
    """One epoch of the script, on uint8 images (N, 3, 32, 32) and labels on the GPU."""
    net = network().train()
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.85, nesterov=True, weight_decay=0.0027)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / (EPOCHS * len(images) / BATCH_SIZE))
    slow = [parameter.detach().clone() for parameter in trained]
    padded = F.pad(images.half() / 127.5 - 1, (2,) * 4, mode="reflect").contiguous(memory_format=torch.channels_last)

    def epoch() -> None:
        augmented = cropped(padded)
        flip = (torch.rand(len(images), device=GPU) < 0.5).view(-1, 1, 1, 1)
        augmented = torch.where(flip, augmented.flip(-1), augmented)
        order = torch.randperm(len(images), device=GPU)
        for step in range(len(images) // BATCH_SIZE):
            places = order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]
            loss = F.cross_entropy(net(augmented[places]).float(), labels[places], label_smoothing=0.2)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            if step % 5 == 4:
                torch._foreach_lerp_(slow, [parameter.detach() for parameter in trained], 0.5)
                torch._foreach_copy_([parameter.detach() for parameter in trained], slow)

    return epoch


def cropped(padded: Tensor) -> Tensor:
    """A window of 32 x 32 pixels of every image (N, 3, 36, 36), at random."""
    images = torch.empty(len(padded), 3, 32, 32, dtype=padded.dtype, device=GPU).to(memory_format=torch.channels_last)
    shifts = torch.randint(0, 5, (len(padded), 2), device=GPU)
    for y in range(5):
        for x in range(5):
            here = (shifts[:, 0] == y) & (shifts[:, 1] == x)
            images[here] = padded[here, :, y : y + 32, x : x + 32]
    return images


def compare(splits: Splits, repeats: int) -> Iterator[dict[str, Any]]:
    """A row per precision of ours."""
    alone = replace(on_gpu(splits), validation=None)
    train = alone.train
    script = plain_script(train.images, train.labels)
    trainings = {number: Training(experiment(number), alone, device=GPU) for number in ("float32", "bfloat16")}
    epochs: dict[str, Callable[[], object]] = {
        "script": script,
        **{number: training.run_epoch for number, training in trainings.items()},
    }
    for epoch in epochs.values():
        epoch()
        epoch()
    taken: dict[str, list[float]] = {name: [] for name in epochs}
    for _ in range(repeats):
        for name, epoch in epochs.items():
            taken[name].append(seconds(epoch))
    median = {name: statistics.median(values) for name, values in taken.items()}
    for number in trainings:
        yield {
            "precision": number,
            "batch": BATCH_SIZE,
            "ours_images_per_second": round(len(train) / median[number]),
            "script_images_per_second": round(len(train) / median["script"]),
            "ratio": round(median["script"] / median[number], 2),
            "n": repeats,
            **circumstances(),
            "hardware": hardware(torch.cuda.get_device_name()),
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--profile", action="store_true")
    chosen = parser.parse_args(arguments)
    splits = images_of("classifier", None)
    rows = list(compare(splits, chosen.repeats))
    for row in rows:
        print(
            f"{row['precision']:8} {row['ours_images_per_second']:,} images/s, the script "
            f"{row['script_images_per_second']:,}: {row['ratio']}x",
            flush=True,
        )
    print(f"wrote {write_rows('gpu_record', rows)}", flush=True)
    if chosen.variants:
        variants(experiment("float32"), splits, 3)
    if chosen.profile:
        profile(experiment("bfloat16"), splits)


if __name__ == "__main__":
    main()
