"""Damaged and hostile ONNX files: each gives a graph or an error in words, in bounded time.

GNET_EXAMPLES=10000 python -m pytest tests/test_onnx_strangers.py damages more of them than the tests do.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")

import numpy as np  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

from gnet_inspect import summarize  # noqa: E402
from gnet_inspect.errors import GnetError, SpecError, UsageError  # noqa: E402
from gnet_inspect.graph import Graph  # noqa: E402
from gnet_inspect.sources.bounds import MAX_CHARACTERS, MAX_NAME, MAX_NODES  # noqa: E402
from gnet_inspect.sources.file import read_graph_file, write_graph  # noqa: E402
from gnet_inspect.sources.onnx import read_onnx, skimming  # noqa: E402
from tests.test_onnx import chain, constant, model, node, read, refused, weight  # noqa: E402
from tests.work import lines_run  # noqa: E402

EXAMPLES = int(os.environ.get("GNET_EXAMPLES", "300"))


def samples() -> list[Any]:
    """Small models of many operators, whose damage is drawn."""
    convolutions = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1], group=1),
        node("BatchNormalization", "a s s s s", "b"),
        node("MaxPool", "b", "c", kernel_shape=[2, 2], strides=[2, 2]),
        node("ConvTranspose", "c t", "d", strides=[2, 2]),
        node("Resize", "d _ scales", "e", mode="nearest"),
        node("Pad", "e pads", "f"),
        node("Clip", "f low high", "g"),
        node("Split", "g", "h i", axis=1),
        node("Concat", "h i", "j", axis=1),
        node("GlobalAveragePool", "j", "k"),
        node("Squeeze", "k", "l"),
        node("Softmax", "l", "y"),
    ]
    tables = [
        weight("w", 4, 3, 3, 3),
        weight("s", 4),
        weight("t", 4, 4, 2, 2),
        constant("scales", [1, 1, 2, 2], np.float32),
        constant("pads", [0, 0, 1, 1, 0, 0, 1, 1]),
        constant("low", 0, np.float32),
        constant("high", 6, np.float32),
    ]
    attention = [
        node("Gather", "table x", "a"),
        node("LayerNormalization", "a g g", "b", axis=-1),
        node("MatMul", "b q", "c"),
        node("Add", "c g", "d"),
        node("Reshape", "d heads", "e"),
        node("Transpose", "e", "f", perm=[0, 2, 1, 3]),
        node("Transpose", "e", "h", perm=[0, 2, 3, 1]),
        node("MatMul", "f h", "i"),
        node("Softmax", "i", "j"),
        node("Einsum", "j f", "k", equation="bhij,bhjd->bhid"),
        node("ReduceMean", "k", "l", axes=[1, 2]),
        node("Slice", "l zero two zero", "m"),
        node("Where", "flag m m", "y"),
    ]
    vectors = [
        weight("table", 20, 8),
        weight("g", 8),
        weight("q", 8, 8),
        constant("heads", [0, -1, 2, 4]),
        constant("zero", [0]),
        constant("two", [2]),
        constant("flag", True, np.bool_),
    ]
    integers = [
        node("QuantizeLinear", "x s z", "a"),
        node("QLinearConv", "a s z q s z s z", "b"),
        node("DequantizeLinear", "b s z", "c"),
        node("LSTM", "d r r2", "e f g", hidden_size=2),
    ]
    quantised = [constant("s", 0.1, np.float32), constant("z", 0, np.int8), weight("q", 4, 3, 1, 1, dtype=np.int8)]
    steps = [node("Reshape", "c shape", "d")]
    return [
        model(convolutions, tables),
        model(attention, vectors, inputs={"x": ("N", 6)}, kinds={"x": TensorProto.INT64}),
        model(
            [*integers[:3], *steps, integers[3]],
            [*quantised, constant("shape", [4, 16, 4]), weight("r", 1, 8, 4), weight("r2", 1, 8, 2)],
            outputs=("e",),
        ),
        chain(9),
        chain(17, inputs={"x": ("N", 3, 8, 8)}),
    ]


def check(text: bytes) -> Graph | None:
    """What a file gives: a graph whose numbers can be worked out, or an error of ours."""
    said = ""
    try:
        graph = read_onnx(text)
    except GnetError as error:
        said = str(error)
    if said:
        assert len(said) < 5_000
        return None
    summary = summarize(graph)
    assert summary.totals.macs >= 0
    assert all(size > 0 for item in graph.nodes for shape in item.output_shapes for size in shape)
    assert read_graph_file(write_graph(graph)).nodes == graph.nodes
    return graph


# --- what is damaged at random ---


def damaged(text: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, left out, said twice, or cut off."""
    found = bytearray(text)
    for _ in range(draw.randint(1, 4)):
        if not found:
            break
        place, size = draw.randrange(len(found)), draw.randint(1, 9)
        kind = draw.randrange(5)
        if kind == 0:
            found[place] = draw.randrange(256)
        elif kind == 1:
            del found[place : place + size]
        elif kind == 2:
            found[place:place] = found[place : place + size]
        elif kind == 3:
            found[place] ^= 1 << draw.randrange(8)
        else:
            del found[max(place, 1) :]
    return bytes(found)


def messages(message: Any) -> list[Any]:
    """All messages of protobuf's inside of one."""
    found = [message]
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in value if hasattr(value, "__len__") else [value]:
                found += messages(item)
    return found


NUMBERS = (0, 1, -1, 2, 3, 7, 127, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**63))
TEXTS = ("", "x", "y", "w", "a", "Conv", "Reshape", "Gather", "If", "Constant", "a" * 2_000, "a:b@c", "é\u202e\n")


def changed(message: Any, draw: random.Random) -> None:
    """A field of a message anywhere in a model with another value, or none, or its items in another order."""
    place = draw.choice(messages(message))
    fields = [field for field, _ in place.ListFields()] or list(place.DESCRIPTOR.fields)
    field = draw.choice(fields if draw.random() < 0.8 else list(place.DESCRIPTOR.fields))
    value = getattr(place, field.name)
    if hasattr(value, "__len__") and not isinstance(value, str | bytes):
        items = list(value)
        if field.message_type is None and (not items or draw.random() < 0.5):
            items.insert(draw.randint(0, len(items)), drawn(field, draw))
        elif draw.random() < 0.5 and items:
            items.append(draw.choice(items))
        elif items:
            items.pop(draw.randrange(len(items)))
        draw.shuffle(items) if draw.random() < 0.2 else None
        copies = [type(item).FromString(item.SerializeToString()) for item in items] if field.message_type else items
        place.ClearField(field.name)
        getattr(place, field.name).extend(copies)
    elif field.message_type is not None or draw.random() < 0.2:
        place.ClearField(field.name)
    else:
        setattr(place, field.name, drawn(field, draw))


def drawn(field: Any, draw: random.Random) -> Any:
    """A value of a field's type."""
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        text = draw.choice(TEXTS)
        return text.encode() if field.type == field.TYPE_BYTES else text
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return draw.choice((0.0, -1.0, 1e30, float("inf"), float("nan")))
    if field.type == field.TYPE_ENUM:
        return draw.choice([item.number for item in field.enum_type.values])
    number = draw.choice(NUMBERS)
    if field.type == field.TYPE_INT32:
        return draw.choice((0, 1, 2, 6, 7, 9, 10, 16, 22, 99, -1, 2**31 - 1))
    return abs(number) if field.type == field.TYPE_UINT64 else number


@pytest.mark.parametrize("how", ["bytes", "fields"])
def test_damaged_files_are_read_or_refused(how: str) -> None:
    """Nothing else comes of any of them."""
    models = samples()
    texts = [found.SerializeToString() for found in models]
    assert all(check(text) is not None for text in texts)
    read_again = 0
    for seed in range(EXAMPLES // 2):
        draw = random.Random(seed)
        if how == "bytes":
            text = damaged(draw.choice(texts), draw)
        else:
            copy = onnx.ModelProto.FromString(draw.choice(texts))
            for _ in range(draw.randint(1, 3)):
                changed(copy, draw)
            text = copy.SerializeToString()
        read_again += check(text) is not None
    assert read_again


# --- what is made to be large, or wrong ---


def edited(edit: Callable[[Any], object]) -> Any:
    """A model with one thing changed."""
    found = chain(17)
    edit(found)
    return found


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda m: m.ClearField("graph"), "`graph`: expected one, got none"),
        (lambda m: m.graph.ClearField("output"), "`graph.output`: expected at least one"),
        (lambda m: m.graph.ClearField("input"), "`graph.input`: expected at least one"),
        (
            lambda m: m.graph.node[0].input.__setitem__(0, "y"),
            "`graph.node.0`: Conv 'conv': expected values that are there",
        ),
        (lambda m: m.graph.node[1].output.__setitem__(0, "c"), "`graph.node.1`: Relu: expected a name of its own"),
        (lambda m: m.graph.node[0].output.pop(), "Conv 'conv': expected an output"),
        (
            lambda m: m.graph.initializer.append(m.graph.initializer[0]),
            "`graph.initializer.4.name`: expected a name of its own",
        ),
        (lambda m: m.graph.initializer[0].dims.__setitem__(0, -1), "expected sizes of 0 to"),
        (lambda m: m.graph.initializer[0].dims.extend([2**31 - 1] * 9), "counted exactly"),
        (lambda m: m.graph.initializer[0].dims.extend([1] * 99), "at most 64 axes"),
        (lambda m: m.graph.initializer[3].dims.append(3), "expected 3 values of its type, got others"),
        (lambda m: setattr(m.graph.initializer[0], "data_type", 99), "expected a type of ONNX's, got 99"),
        (
            lambda m: m.graph.input[0].type.sequence_type.elem_type.tensor_type.SetInParent(),
            "of another type, sequence_type",
        ),
        (lambda m: setattr(m.graph.node[0], "name", "a" * 2_000), f"at most {MAX_NAME:,} characters"),
        (lambda m: m.graph.input[0].type.tensor_type.shape.dim.pop(), "Conv 'conv': expected inputs and attributes"),
        (lambda m: m.graph.sparse_initializer.add(), "expected dense weights"),
        (lambda m: m.graph.output[0].ClearField("name"), "`graph.output`: expected a name of its own"),
        (lambda m: setattr(m.graph.output[0], "name", "x"), "expected outputs that a node makes, got `x`"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(edit: Callable[[Any], object], said: str) -> None:
    """One sentence each."""
    assert refused(edited(edit), said).startswith(("<onnx>: ", "'<onnx>': "))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Garbage, half a file, an empty one, none, and a folder."""
    for text in (
        b"",
        b"not a model",
        b"\x0a\xff\xff\xff\xff\x7f",
        chain(17).SerializeToString()[:-3],
        b"\xff" * 20,
        b"\x0b",
    ):
        with pytest.raises(SpecError):
            read_onnx(text)
    for path in (tmp_path / "none.onnx", tmp_path, Path("/dev/zero")):
        with pytest.raises(UsageError):
            read_onnx(path)
    (tmp_path / "one.onnx").write_bytes(chain(17).SerializeToString())
    assert read_onnx(tmp_path / "one.onnx").model == "one"


def test_bounds_are_met_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many nodes, fields, bytes and levels."""
    with pytest.raises(SpecError, match=f"at most {MAX_NODES:,} nodes"):
        read_onnx(_field(7, b"\x0a\x00" * (MAX_NODES + 1)))
    with pytest.raises(SpecError, match="nested at most"):
        read_onnx(_nested(40))
    monkeypatch.setattr(skimming, "MAX_FIELDS", 10_000)
    with pytest.raises(SpecError, match="at most 10,000 fields"):
        read_onnx(_field(7, _field(1, b"\x08\x00" * 20_000)))
    monkeypatch.setattr(skimming, "MAX_BYTES", 10_000)
    with pytest.raises(SpecError, match="at most 10,000 bytes"):
        read_onnx(_field(7, _field(2, bytes(20_000))))
    # What is passed over is no byte that is kept.
    weights = [weight("w", 100, 200)]
    assert read(model([node("MatMul", "x w", "y")], weights, inputs={"x": (1, 100)})).nodes[0].params == 20_000


def _field(number: int, value: bytes) -> bytes:
    """A field of protobuf's that holds bytes."""
    size, head = len(value), bytearray([number << 3 | 2])
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size]) + value


def _nested(levels: int) -> bytes:
    """Graphs in attributes of nodes of graphs."""
    found = b""
    for _ in range(levels):
        found = _field(1, _field(5, _field(6, found)))
    return _field(7, found)


def test_names_of_many_steps_take_no_more_than_their_bound() -> None:
    """Each of their steps is a path of its own."""
    nodes = [
        helper.make_node("Relu", [f"v{index}" if index else "x"], [f"v{index + 1}"], name=f"{index}" + "/abcdefgh" * 58)
        for index in range(2_000)
    ]
    graph = read(model(nodes, outputs=("v2000",)))
    assert len(graph.nodes) == 2_000
    assert sum(len(item.name) for item in graph.nodes) < MAX_CHARACTERS


def test_many_nodes_are_read_by_work_that_grows_as_they_do() -> None:
    """Equal ones are one question."""

    def work(count: int) -> int:
        nodes = [node("Relu", "x" if not index else f"v{index}", f"v{index + 1}") for index in range(count)]
        text = model(nodes, outputs=(f"v{count}",)).SerializeToString()
        return lines_run(lambda: read_onnx(text))

    work(1)
    few, twice, four_times = work(250), work(500), work(1_000)
    assert four_times - twice < 2.2 * (twice - few)
