"""The data-type experiment: the types of images in memory, of training, and of inference."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from tune.evaluation.classification import Classifier, pixel_classifier_of, predict_by
from tune.evaluation.evaluate import images_of
from tune.evaluation.inference import pixels_of
from tune.evaluation.scores import score
from tune.evaluation.timing import measure_latency
from tune.export.onnx_model import OnnxClassifier, require_onnx, to_onnx
from tune.export.quantize import quantize
from tune.files import write_whole
from tune.record.folder import RunFolder
from tune.record.observer import Observer
from tune.reproduce.dtypes_table import SCORES, DtypeRow, Measured, cells_of, facts_of
from tune.reproduce.merged_table import Line
from tune.reproduce.subprocess_training import train_in_subprocess
from tune.runs.info import read_run
from tune.runs.plan import RunPlan, resolved
from tune.runs.versions import circumstances
from tune.runs.weights import TrainedRun, open_run
from tune.spec import Experiment, load_experiment
from tune.training import cpu_threads


def check_rows(rows: Iterable[DtypeRow], root: Path) -> dict[str, Experiment]:
    """The experiment of each row, by the row's name.

    Raises:
        UserError: One of them is impossible, or packages that a row needs are missing.
    """
    rows = list(rows)
    if any(row.model for row in rows):
        require_onnx()
    return {row.name: load_experiment(row.experiment, root=root) for row in rows}


def measure(row: DtypeRow, experiment: Experiment, seeds: int, place: Path, root: Path, observer: Observer) -> Line:
    """Train, evaluate and time a row on its experiment's seed, seed + 1, ...; its line of the table.

    Finished measurements are reused, interrupted trainings are resumed.

    Args:
        row: The types.
        experiment: Its experiment.
        seeds: How many runs.
        place: The parent of the run folders `ROW-seedN`.
        root: The data directory, as torchvision's `root`.
        observer: Notified of everything.

    Raises:
        UserError, WorkError, data.DataError: As `run` and `quantize` do.
    """
    runs = []
    for seed in range(experiment.seed, experiment.seed + seeds):
        folder = RunFolder(place / f"{row.trained_as}-seed{seed}")
        plan = RunPlan(_with_threads(experiment, folder).model_copy(update={"seed": seed}), folder)
        runs.append((plan, _found(row, plan, observer) or _measured(row, plan, root, observer)))
    return {**facts_of(row), **cells_of([one for _, one in runs], runs[0][0].experiment.training.threads_or(1))}


def _with_threads(experiment: Experiment, folder: RunFolder) -> Experiment:
    """The experiment with all of torch's threads, or those of the run, unless it has its own: all types are compared
    with the same number of them.
    """
    threads = torch.get_num_threads()
    if folder.exists:
        threads = read_run(folder)[0].training.threads_or(threads)
    training = experiment.training
    threads = training.threads_or(threads)
    return experiment.model_copy(update={"training": training.model_copy(update={"threads": threads})})


def _file(row: DtypeRow, folder: RunFolder) -> Path:
    return folder.path / f"measured-{row.name}.json"


def _found(row: DtypeRow, plan: RunPlan, observer: Observer) -> Measured | None:
    """What an earlier call measured of the same experiment."""
    path = _file(row, plan.folder)
    if not path.is_file():
        return None
    before, _ = read_run(plan.folder)
    same = before == resolved(plan.experiment, before)
    try:
        found = Measured.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError:
        same = False
    if same:
        observer.say(f"{plan.folder.name}: {path.stem} already exists; reusing it")
    return found if same else None


def _measured(row: DtypeRow, plan: RunPlan, root: Path, observer: Observer) -> Measured:
    apart = train_in_subprocess(plan, row.images, root, observer)
    trained_on = read_run(plan.folder)[1].hardware  # with the GPU, if one was used; everything else runs on the CPU
    where = circumstances() | {"hardware": f"{trained_on}, {instructions()}"}
    where |= {"onnxruntime": metadata.version("onnxruntime") if row.model else ""}
    known: dict[str, Any] = {"diverged": apart.diverged, "where": where}
    if row.trained_as == row.name:
        known |= {name: getattr(apart, name) for name in ("epoch_seconds", "peak_bytes", "image_bytes")}
    if not apart.diverged:
        observer.say(f"{row.name}: evaluating and timing")
        threads = plan.experiment.training.threads_or(1)
        with cpu_threads(threads):
            known |= _applied(row, open_run(plan.folder, torch.device("cpu")), root, observer, threads)
    found = Measured(**known)
    write_whole(_file(row, plan.folder), found.model_dump_json().encode())
    return found


def _applied(row: DtypeRow, run: TrainedRun, root: Path, observer: Observer, threads: int) -> dict[str, Any]:
    """Scores, latencies and size of a row's model; only the scores use test images."""
    classify, size = _classifier(row, run, root, observer, threads)
    test = pixels_of(images_of(run, "test", root, observer.say))
    scores = score(predict_by(classify, test, run.info.classes))
    batch = run.experiment.training.batch_size
    images, _ = next(pixels_of(images_of(run, "train", root, observer.say)).batches(batch))
    return {
        **{name: scores[name] for name in SCORES},
        "test_images": scores["n"],
        "batch_ms": measure_latency(classify, images).quartiles,
        "image_ms": measure_latency(classify, images[:1]).quartiles,
        "model_bytes": size,
    }


def _classifier(row: DtypeRow, run: TrainedRun, root: Path, observer: Observer, threads: int) -> tuple[Classifier, int]:
    """A row's classifier, and the size of its file in bytes, which is written here unless it is the weights."""
    if row.model is None:
        return pixel_classifier_of(run), run.folder.weights.stat().st_size
    content = quantize(run, root, observer.say) if row.int8 else to_onnx(run)
    write_whole(run.folder.path / row.model, content)
    return OnnxClassifier(content, threads), len(content)


_INSTRUCTIONS = {
    "bfloat16": {"avx512_bf16", "amx_bf16"},
    "float16": {"avx512_fp16", "amx_fp16"},
    "int8": {"avx512_vnni", "avx_vnni", "amx_int8"},
}
"""Flags of x86 processors with instructions for a type; others widen its numbers first."""


def instructions() -> str:
    """The types that the CPU has instructions for, as `AVX2 without bfloat16, float16, int8`; times depend on them."""
    capability = torch.backends.cpu.get_cpu_capability()
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), None)
    if flags is None:
        return capability
    has = [name for name, own in _INSTRUCTIONS.items() if own & flags]
    lacks = [name for name in _INSTRUCTIONS if name not in has]
    parts = [f"{word} {', '.join(names)}" for word, names in (("with", has), ("without", lacks)) if names]
    return " ".join([capability, *parts])
