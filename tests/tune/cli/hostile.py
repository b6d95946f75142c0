"""Files that try to run code, or to fill the memory, in place of those that commands read."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet

HUGE = 2**60


class Trap:
    """Unpickled, it leaves a file in the working directory."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("trapped", "w"))


def pickled() -> bytes:
    return pickle.dumps(Trap())


def torch_pickle(*, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save({"history": Trap()}, file, pickle_module=pickle, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def repacked(content: bytes, grown: int = 0, to: int = 2**33) -> bytes:
    """The members of an archive, compressed, with the largest grown by zeros, in its table at least."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        largest = max(old.infolist(), key=lambda member: member.file_size).filename
        for member in old.namelist():
            new.writestr(member, old.read(member) + bytes(grown if member == largest else 0))
        if to:
            new.getinfo(largest).file_size = to
            new._didModify = True  # type: ignore[attr-defined]  # the table at the end is written on closing
    return out.getvalue()


def safetensors_header(header: Any, length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


def many_rows(value: Any, rows: int, columns: int) -> bytes:
    """A table of one value, repeated: a few thousand bytes."""
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([value]))
    file = io.BytesIO()
    table = pa.table({f"column{number}": same for number in range(columns)})
    parquet.write_table(table, file, compression="zstd", store_schema=False, row_group_size=rows)
    return file.getvalue()


def pickled_type() -> bytes:
    """A table with a column of the type that pyarrow unpickled before version 14."""
    kind = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickled()}
    file = io.BytesIO()
    parquet.write_table(pa.table([pa.array([1])], pa.schema([pa.field("epoch", pa.int64(), metadata=kind)])), file)
    return file.getvalue()


def npy(shape: tuple[int, ...], kind: str = "|u1", content: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def object_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Trap()], object), allow_pickle=True)
    return file.getvalue()


def npz(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(side: int) -> bytes:
    """A picture that is larger than it says how to paint."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def ico(side: int) -> bytes:
    inner = png(side)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner


def icns(side: int) -> bytes:
    inner = png(side)
    return b"icns" + struct.pack(">I", len(inner) + 16) + b"ic07" + struct.pack(">I", len(inner) + 8) + inner


def onnx_model(kind: str) -> bytes:
    """A program in place of a network of 2 classes for images of 1 x 8 x 8 pixels."""
    from onnx import TensorProto, helper

    def constant(name: str, kind: int, *values: Any) -> Any:
        return helper.make_tensor(name, kind, [] if kind == TensorProto.BOOL else [len(values)], values)

    value = partial(helper.make_tensor_value_info, shape=None)
    same = [helper.make_node("Identity", [name], [f"{name}2"]) for name in ("on", "x")]
    inputs = [value("i", TensorProto.INT64), value("on", TensorProto.BOOL), value("x", TensorProto.FLOAT)]
    results = [value("on2", TensorProto.BOOL), value("x2", TensorProto.FLOAT)]
    body = helper.make_graph(same, "body", inputs, results)
    ways = {
        "loop": [helper.make_node("Loop", ["often", "true", "pixels"], ["made"], body=body)],
        "filled": [helper.make_node("ConstantOfShape", ["square"], ["made"])],
        "tiled": [helper.make_node("Tile", ["pixels", "times"], ["made"])],
        "classes": [helper.make_node("Identity", ["pixels"], ["made"])],
    }
    first = helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT)
    numbers = {"often": (2**62,), "square": (2**17, 2**17), "times": (1, 1, 2**13, 2**13)}
    constants = [constant(name, TensorProto.INT64, *given) for name, given in numbers.items()]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 1, 8, 8])
    nodes = [first, *ways[kind], helper.make_node("Flatten", ["made"], ["logits"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [images],
        [value("logits", TensorProto.FLOAT)],
        [*constants, constant("true", TensorProto.BOOL, True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    facts = {"input_shape": "[1, 8, 8]", "classes": '["a", "b"]', "normalization": '{"mean": [0.5], "std": [0.5]}'}
    texts = dict.fromkeys(("model", "input", "resize", "imagetune"), "x")
    helper.set_model_props(model, {**texts, **facts, "epoch": "1", "max_pixels": "1000000"})
    content: bytes = model.SerializeToString()
    return content


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"

DEEP = b"[" * 1_000_000
ALIASES = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40))]
).encode()
TAG = b'experiment: !!python/object/apply:builtins.open ["trapped", "w"]\n'

YAMLS: dict[str, Callable[[], bytes]] = {
    "tag": lambda: TAG,
    "aliases": lambda: ALIASES,
    "deep": lambda: b"a: " + DEEP[:200_000],
    "deep block": lambda: b"".join(b" " * n + b"a:\n" for n in range(2_000)),
    "long": lambda: b"a: 1\n" * 2_000_000,
    "itself": lambda: b"a: &a [*a]\n",
}
JSONS: dict[str, Callable[[], bytes]] = {"pickle": pickled, "deep": lambda: DEEP, "deep end": lambda: b'{"a":' * 10**5}
JOURNALS: dict[str, Callable[[], bytes]] = {
    **JSONS,
    "deep lines": lambda: (DEEP + b"\n") * 3,
    "long": lambda: b'{"op_code": 0, "worker_id": "' + bytes(150_000_000) + b'"}\n',
}
TORCH: dict[str, Callable[[], bytes]] = {
    "pickle": pickled,
    "torch": torch_pickle,
    "torch, legacy": lambda: torch_pickle(legacy=True),
}
TABLES: dict[str, Callable[[], bytes]] = {
    "pickle": pickled,
    "extension": pickled_type,
    "rows": lambda: many_rows(1, 10_000_000, 16),
    "texts": lambda: many_rows("x" * 100_000, 100_000, 1),
}
SAFETENSORS: dict[str, Callable[[], bytes]] = {
    "pickle": pickled,
    "torch": torch_pickle,
    "long header": lambda: safetensors_header({}, HUGE),
    "huge tensor": lambda: safetensors_header({"w": {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 4 * HUGE]}}),
    "no room": lambda: safetensors_header({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 0]}}),
    "deep": lambda: struct.pack("<Q", len(DEEP)) + DEEP,
}


def planted(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
