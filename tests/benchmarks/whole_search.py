"""A whole search from the shell, against the program of the official PyTorch + Ray Tune tutorial.

    python -m tests.benchmarks.whole_search --data-dir ROOT [--models mnist_cnn simple_cnn] [--runs 1]

Both train the same 8 configurations (4 learning rates, batch sizes 64 and 128) for 3 epochs, two at once, on 16,000
images of MNIST, and validate on 4,000 (`tutorial_search.py`). Seconds are those from the command to the prompt; the
floor is that of `start_and_end.py`, plus what the arithmetic of the layers takes on two cores (`arithmetic.py`).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.arithmetic import precisions_here, seconds_of_arithmetic
from tests.benchmarks.rows import circumstances, write_rows
from tests.benchmarks.start_and_end import FLOOR, timed
from tests.benchmarks.tutorial_search import BATCHES, RATES, TRAIN_IMAGES, VALIDATION_IMAGES

EPOCHS, AT_ONCE = 3, 2
AIMS = {"mnist_cnn": (7.0, 7.0), "simple_cnn": (2.2, 4.0)}  # times faster, in float32 and in bfloat16
SPACE = f"""
experiment:
  data: {{name: mnist, train_limit: {TRAIN_IMAGES}, validation_fraction: {VALIDATION_IMAGES / 60_000:.6f}}}
  model: {{name: MODEL}}
  training: {{epochs: {EPOCHS}, precision: PRECISION}}
space:
  training.optimizer.lr: {{choice: {list(RATES)}}}
  training.batch_size: {{choice: {list(BATCHES)}}}
search:
  trials: {len(RATES) * len(BATCHES)}
  concurrent: {AT_ONCE}
  sampler: {{name: grid}}
  scheduler: {{name: none}}
"""


def ours(model: str, precision: str, root: Path) -> tuple[float, float]:
    """Seconds of our search, and the highest validation accuracy at the end of a trial."""
    from tune import load_search

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "whole.yaml")
        path.write_text(SPACE.replace("MODEL", model).replace("PRECISION", precision))
        seconds, _ = timed("-m", "tune", "search", path, "--out", folder, "--data-dir", root)
        epochs = load_search(Path(folder, "whole")).epochs
        return seconds, float(epochs[epochs.epoch == EPOCHS].val_accuracy.max())


def tutorial(model: str, root: Path) -> tuple[float, float]:
    """The same of the tutorial's program."""
    seconds, said = timed("-m", "tests.benchmarks.tutorial_search", model, str(EPOCHS), root)
    return seconds, float(said.split()[-1])


def compared(model: str, precisions: Sequence[str], runs: int, root: Path) -> Iterator[dict[str, Any]]:
    """A row per precision of ours; the tutorial's program computes in float32."""
    floors = [timed("-c", FLOOR)[0] for _ in range(runs)]
    theirs: list[tuple[float, float]] = []
    own: dict[str, list[tuple[float, float]]] = {precision: [] for precision in precisions}
    for _ in range(runs):
        theirs.append(tutorial(model, root))
        for precision in precisions:
            own[precision].append(ours(model, precision, root))
    for precision, found in own.items():
        seconds, tutorials = (statistics.median(one for one, _ in both) for both in (found, theirs))
        work = seconds_of_arithmetic(model, (1, 28, 28), TRAIN_IMAGES, VALIDATION_IMAGES, precision)
        trials = len(RATES) * len(BATCHES)
        yield {
            "model": model,
            "precision": precision,
            "ours_seconds": round(seconds, 1),
            "tutorial_seconds": round(tutorials, 1),
            "ratio": round(tutorials / seconds, 2),
            "aim": AIMS[model][precision == "bfloat16"],
            "floor_seconds": round(statistics.median(floors) + trials * EPOCHS * work / AT_ONCE, 1),
            "ours_accuracy": max(one for _, one in found),
            "tutorial_accuracy": max(one for _, one in theirs),
            "n": runs,
            **circumstances(),
        }


def main() -> None:
    """Write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds MNIST/raw")
    parser.add_argument("--models", nargs="+", choices=AIMS, default=list(AIMS))
    parser.add_argument("--runs", type=int, default=1)
    args = parser.parse_args()
    for model in args.models:
        rows = list(compared(model, precisions_here(), args.runs, args.data_dir))
        for row in rows:
            print({key: row[key] for key in list(row)[:10]}, flush=True)
        write_rows("whole_search", rows, key="model")


if __name__ == "__main__":
    main()
