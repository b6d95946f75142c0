"""Programs of torch.export: nothing in a file is executed when it is read."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tune.runs.folders import trained
from tune.errors import UserError
from tune.evaluation.inference import PixelInput
from tune.export.torch_program import TorchProgram, to_torch_program
from tune.runs.weights import TrainedRun, open_run

Change = Callable[[Any], None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """With fractional pooling."""
    model = "model={name: classifier, cnn_layers: 2, starting_channels: 4, final_channels: 8}"
    return open_run(trained(tmp_path_factory.mktemp("program"), model).folder, torch.device("cpu"))


@pytest.fixture(scope="module")
def content(run: TrainedRun) -> bytes:
    return to_torch_program(run)


def rewritten(content: bytes, name: str, change: Callable[[bytes], bytes], more: tuple[str, ...] = ()) -> bytes:
    """The archive with one member changed, and with more of them."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            own = old.read(member)
            new.writestr(member, change(own) if member.endswith(name) else own)
        for member in more:
            new.writestr(member, b"{}")
    return out.getvalue()


def in_json(change: Change) -> Callable[[bytes], bytes]:
    def changed(text: bytes) -> bytes:
        document = json.loads(text)
        change(document)
        return json.dumps(document).encode()

    return changed


class Trap:
    """Unpickled, it leaves a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("trapped", "w"))


def pickled(_: bytes) -> bytes:
    file = io.BytesIO()
    torch.save((Trap(),), file, pickle_module=pickle)
    return file.getvalue()


def first_node(document: Any, **values: Any) -> None:
    document["graph_module"]["graph"]["nodes"][0].update(values)


def first_size(document: Any) -> None:
    (size,) = document["graph_module"]["graph"]["sym_int_values"].values() or [None]
    size["as_expr"]["expr_str"] = "open('trapped', 'w')"


def pickled_weight(document: Any) -> None:
    next(iter(document["config"].values()))["use_pickle"] = True


def guard(document: Any) -> None:
    document["guards_code"] = ["open('trapped', 'w')"]


def trapped_name(document: Any) -> None:
    document["graph_module"]["graph"]["inputs"][0]["as_tensor"]["name"] = "x=open('trapped', 'w')"


TRAPS: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "pickled input": ("sample_inputs/model.pt", pickled, "damaged or not an exported program"),
    "pickled weight": ("model_weights_config.json", in_json(pickled_weight), "use_pickle: True"),
    "operator": ("model.json", in_json(lambda d: first_node(d, target="torch.hub.load")), "'torch.hub.load'"),
    "python operator": ("model.json", in_json(lambda d: first_node(d, target="_operator.call")), "'_operator.call'"),
    "extension": ("model.json", in_json(lambda d: first_node(d, target="#x:y")), "'#x:y'"),
    "size": ("model.json", in_json(first_size), "open("),
    "guard": ("model.json", in_json(guard), "open("),
    "name": ("model.json", in_json(trapped_name), "x=open("),
}


@pytest.mark.parametrize("kind", TRAPS)
def test_what_torch_might_execute_is_refused(
    content: bytes, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, change, reason = TRAPS[kind]
    changed = rewritten(content, name, change)
    with pytest.raises(UserError, match=r"^x\.pt2 ") as caught:
        TorchProgram(changed, path=Path("x.pt2"))
    assert reason in str(caught.value)
    assert not Path("trapped").exists()


@pytest.mark.parametrize(
    "member",
    ["archive/data/aotinductor/model/model.so", "archive/data/weights/model.pt", "archive/data/constants/custom_obj_0", "version", "archive/models/other.json"],
)  # fmt: skip
def test_parts_that_imagetune_does_not_write_are_refused(content: bytes, member: str) -> None:
    with pytest.raises(UserError, match=f"x.pt2 contains what imagetune does not export.*{member}"):
        TorchProgram(rewritten(content, "-", bytes, (member,)), path=Path("x.pt2"))


def test_a_changed_weight_is_noticed(content: bytes) -> None:
    middle = content.index(b"weight_0") + 200
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    with pytest.raises(UserError, match=r"^x\.pt2 is damaged"):
        TorchProgram(changed, path=Path("x.pt2"))


def test_the_program_computes_what_the_network_computes(run: TrainedRun, content: bytes) -> None:
    program, network = TorchProgram(content, threads=1), PixelInput(run.model, run.info.normalization).eval()
    assert json.loads(program.texts["classes"]) == list(run.info.classes)
    for images in (1, 2, 33):
        pixels = torch.randint(0, 256, (images, 1, 8, 8), dtype=torch.uint8)
        with torch.inference_mode():
            torch.testing.assert_close(program(pixels), network(pixels), rtol=0, atol=1e-5)


def test_the_file_tells_nothing_of_this_machine(content: bytes) -> None:
    assert b"site-packages" not in content
    assert str(Path(__file__).parents[3]).encode() not in content
