"""The model card: a README in the format of the model hubs, which says how to use a model and what it can do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from data.untrusted import read_json
from data.words import counted
from tune.export.facts import ModelFacts
from tune.runs.weights import TrainedRun
from tune.spec.files import dump_yaml

MOST_ROWS, WORST_ROWS = 100, 20  # classes up to which all are listed, and how many of more
_RUNTIMES = {".onnx": "ONNX Runtime", ".pt2": "torch"}
_HUB = {
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
}
"""Data sets as Hugging Face names them: https://huggingface.co/docs/hub/model-cards."""

_OPENING = """\
image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGBA")
image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
image = image.resize(({width}, {height}), Image.Resampling.BILINEAR)
"""
_COLOUR = "pixels = np.asarray(image).transpose(2, 0, 1)[None]  # (1, 3, {height}, {width}) uint8\n"
_GREY = 'pixels = np.asarray(image.convert("L"))[None, None]  # (1, 1, {height}, {width}) uint8\n'


def card(run: TrainedRun, facts: ModelFacts, models: Mapping[str, Mapping[str, Any]]) -> str:
    """The card of an exported run, in Markdown.

    Args:
        run: The run; its evaluation is read if there is one.
        facts: Of the model.
        models: The files in the folder, as in `export.json`.
    """
    channels, height, width = facts.input_shape
    scores, missing = _scores(run)
    reading = (_OPENING + (_GREY if channels == 1 else _COLOUR)).format(height=height, width=width)
    rows = list(scores.get("per_class", ()))
    worst = len(rows) > MOST_ROWS
    if worst:
        rows = sorted((row for row in rows if row["n"]), key=lambda row: row["f1"])[:WORST_ROWS]
    page = Environment(loader=PackageLoader("tune.export", ""), keep_trailing_newline=True).get_template("card.md.j2")
    return page.render(
        front=dump_yaml(_front(run, models, scores)),
        name=_cell(_name(run)),
        facts=facts,
        parameters=run.info.parameters,
        dataset=_dataset(run),
        width=width,
        height=height,
        grey=channels == 1,
        onnx=[name for name in models if name.endswith(".onnx")],
        torch=next((name for name in models if name.endswith(".pt2")), None),
        reading=reading,
        files=[_file_row(name, model) for name, model in models.items()],
        scores=scores,
        missing=missing,
        figures=_figures(scores),
        per_class=[_class_row(row) for row in rows],
        worst=worst,
        limits=_limits(run, facts, scores),
        trained=_trained(run),
        recipe=dump_yaml(_recipe(run)),
        counted=counted,
    )


def _name(run: TrainedRun) -> str:
    """The run's name, and before it that of its search if it is a winner."""
    place = run.folder.path.absolute()
    return f"{place.parent.parent.name}-{place.name}" if place.parent.name == "winners" else place.name


def _dataset(run: TrainedRun) -> str:
    name = run.experiment.data.name
    return "its owner's images, one folder per class" if name == "folder" else name


def _scores(run: TrainedRun) -> tuple[dict[str, Any], str]:
    """What `imagetune evaluate` found on the test images; or nothing, and why."""
    place = run.folder.path.absolute()
    name = "/".join(place.parts[-3:] if place.parent.name == "winners" else place.parts[-1:])  # below --out
    again = f"run `imagetune evaluate {shlex.quote(name)}`, then export again"
    try:
        found = read_json(run.folder.evaluation)
        if not {"n", "accuracy", "per_class"} <= set(found):
            raise ValueError
    except FileNotFoundError:
        return {}, f"Not evaluated on test images yet: {again}."
    except (OSError, ValueError, TypeError):
        return {}, f"The evaluation cannot be read: {again}."
    if found.get("epoch", run.epoch) != run.epoch:
        return {}, f"The evaluation is of epoch {found['epoch']}, these weights are of epoch {run.epoch}: {again}."
    return found, ""


def _front(run: TrainedRun, models: Mapping[str, Any], scores: Mapping[str, Any]) -> dict[str, Any]:
    """The YAML that model hubs read."""
    name = run.experiment.data.name
    libraries = [("onnx", ".onnx"), ("pytorch", ".pt2")]
    own = [library for library, ending in libraries if any(file.endswith(ending) for file in models)]
    front: dict[str, Any] = {"pipeline_tag": "image-classification", "library_name": own[0]}
    front["tags"] = ["image-classification", "imagetune", *own]
    if name in _HUB:
        front["datasets"] = [_HUB[name]]
    if scores:
        metrics = [("accuracy", "Accuracy", "accuracy"), ("f1", "Macro F1", "macro_f1")]
        result = {
            "task": {"type": "image-classification", "name": "Image Classification"},
            "dataset": {"name": name, "type": _HUB.get(name, name), "split": "test"},
            "metrics": [
                {"type": kind, "name": label, "value": scores[key]} for kind, label, key in metrics if key in scores
            ],
        }
        front |= {"metrics": ["accuracy", "f1"], "model-index": [{"name": _name(run), "results": [result]}]}
    return front


def _file_row(name: str, model: Mapping[str, Any]) -> dict[str, str]:
    check, size = model["check"], model["bytes"]
    text = "not compared: the run's images were missing"
    if check is not None:
        text = (
            f"{counted(check['images'], check['split'] + ' image')}: same class for {check['same_class']:,}, accuracy "
            f"{_percent(check['accuracy'])} (run: {_percent(check['run_accuracy'])}), "
            f"largest difference of a logit {check['largest_difference']:.2g}"
        )
    shown = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
    return {"file": name, "runtime": _RUNTIMES[Path(name).suffix], "size": shown, "check": text}


def _figures(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not scores:
        return []
    accuracy = _percent(scores["accuracy"])
    if interval := scores.get("accuracy_interval"):
        accuracy += f" (95 % interval: {_percent(interval[0])} to {_percent(interval[1])})"
    rest = {
        "macro F1": _percent(scores.get("macro_f1")),
        "top-5 accuracy": _percent(scores.get("top5_accuracy")),
        "cross entropy": "-" if scores.get("loss") is None else f"{scores['loss']:.4f}",
        "expected calibration error": _percent(scores.get("expected_calibration_error")),
    }
    return [("accuracy", accuracy), *((label, value) for label, value in rest.items() if value != "-")]


def _class_row(row: Mapping[str, Any]) -> dict[str, str]:
    cells = {key: _percent(row.get(key) if row["n"] else None) for key in ("accuracy", "precision", "f1")}
    return {"name": _cell(row["name"]), "n": f"{row['n']:,}", **cells}


def _limits(run: TrainedRun, facts: ModelFacts, scores: Mapping[str, Any]) -> list[str]:
    _, height, width = facts.input_shape
    every = [
        "It assigns every image to one of its classes, even an image of something else; a low probability "
        "may be a sign of that.",
        f"It sees {width} x {height} pixels. On images that differ from the training images in other ways (camera, "
        "light, drawings) it is likely to do worse than the figures above say.",
        "The lines above read ordinary photos as in training. `imagetune predict` also converts colour profiles, CMYK "
        "and 16-bit images.",
        "The model comes without a licence; that of the images may restrict its use.",
    ]
    if run.experiment.training.precision != "float32":
        every.append(
            f"It was trained and evaluated in {run.experiment.training.precision}; the files here compute in float32."
        )
    rows = sorted((row for row in scores.get("per_class", ()) if row["n"]), key=lambda row: row["accuracy"])
    if len(rows) > 1 and rows[0]["accuracy"] < 1:
        weak = ", ".join(f"{_cell(row['name'])} ({_percent(row['accuracy'])})" for row in rows[:3])
        every.insert(0, f"The classes it recognizes least often: {weak}.")
    if temperature := (scores.get("calibration") or {}).get("temperature"):
        every.append(f"For calibrated probabilities, divide the logits by {temperature:.3g} before the softmax.")
    return every


def _trained(run: TrainedRun) -> str:
    info = run.info
    part = "training and validation images" if info.full else "training images"
    versions = ", ".join(f"{name} {version}" for name, version in info.versions.items())
    return (
        f"The weights are those of epoch {run.epoch}, the best by {info.metric}, trained on the {part} of "
        f"{_dataset(run)} ({info.date}, {info.hardware}; {versions}). `experiment.yaml` of the run, for "
        "`imagetune train`:"
    )


def _recipe(run: TrainedRun) -> dict[str, Any]:
    """The experiment without fields that do not apply, and without the place of the images on the trainer's disk."""
    tree, training = run.experiment.to_tree(), run.experiment.training
    if tree["data"].get("path"):
        tree["data"]["path"] = "/path/to/images"
    for name in ("optimizer", "schedule", "averaging"):
        part = getattr(training, name)
        own = {key for key in tree["training"][name] if part.name in part.only.get(key, (part.name,))}
        tree["training"][name] = {key: value for key, value in tree["training"][name].items() if key in own}
    del tree["training"]["beta"]  # for reconstruction only
    return _without_none(tree)


def _without_none(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in tree.items()
        if value is not None
    }


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _cell(text: str) -> str:
    """Text that Markdown shows as it is, also in a table."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))
