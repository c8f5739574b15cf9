"""Programs of torch.export: what tracing the module gives comes out of its file, and no file does harm.

GNET_EXAMPLES=10000 python -m pytest tests/test_pt2.py draws more files that are broken.
"""

import io
import json
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gnet_inspect import count_flops, summarize
from gnet_inspect.errors import GnetError, SpecError, UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.ops import TOOLS
from gnet_inspect.sources.bounds import MAX_BYTES, MAX_NODES
from gnet_inspect.sources.file import read_graph_file, write_graph
from gnet_inspect.sources.pt2 import read_pt2
from gnet_inspect.sources.pt2.form import MAX_DIRECTORY
from tests.conftest import Run
from tests.programs import (
    MEMBER,
    TABLE,
    document_in,
    edited,
    exported,
    member_in,
    mutated,
    nodes_of,
    packed,
    program_of,
)

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.export import Dim  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from gnet_inspect.runtime.references import import_library  # noqa: E402
from gnet_inspect.runtime.tracing import trace  # noqa: E402
from tests.test_static_path import imported  # noqa: E402

EXAMPLES = int(os.environ.get("GNET_EXAMPLES", "300"))


class Many(nn.Module):
    """Several inputs, outputs by name, indices, tied and frozen weights, what is never read, writes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.read = nn.Embedding(10, 8, padding_idx=0), nn.Linear(4, 8)
        self.lstm = nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True)
        self.attend, self.drop = nn.MultiheadAttention(12, 3, batch_first=True), nn.Dropout()
        self.one, self.two, self.unused = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(3, 3)
        self.two.weight = self.one.weight
        self.two.bias.requires_grad_(False)
        self.scale = nn.Parameter(torch.ones(12))
        self.register_buffer("table", torch.arange(5))
        self.register_buffer("mean", torch.zeros(12), persistent=False)

    def forward(self, x: Tensor, pair: list[Tensor]) -> dict[str, Any]:
        y, (hidden, _) = self.lstm(self.embed(pair[0]) + self.read(x))
        y = self.drop(y)
        y = self.attend(y, y, y, need_weights=False)[0] * self.scale - self.mean
        z = torch.relu_(y) + 1
        z = torch.cat([z, self.two(self.one(y))], -1)[..., 12:]
        z[:, 0] = pair[1]
        return {"out": z.mean(1), "more": [hidden, z[:, self.table].topk(2, -1)[0]]}


class Layers(nn.Module):
    """Layers of torch.nn that are several operators, or unusual ones, and functions of every sort."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(3, 4, 3, padding="same"), nn.BatchNorm2d(4), nn.ReLU6(), nn.Upsample(scale_factor=2)),
            *(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), nn.ConvTranspose2d(4, 4, 2, 2), nn.PReLU(4)),
            *(nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True), nn.LocalResponseNorm(2), nn.Hardtanh()),
            *(nn.MaxPool2d(2), nn.AvgPool2d(2, count_include_pad=False), nn.Dropout(inplace=True)),
        )
        self.norm, self.gru, self.cell = nn.RMSNorm(4), nn.GRU(4, 5), nn.LSTMCell(5, 6)
        self.twice, self.bilinear = nn.Conv2d(4, 4, 1), nn.Bilinear(6, 6, 3)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(5, 2))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = self.twice(self.twice(self.body(x))).flatten(2).transpose(1, 2)
        steps = self.gru(self.norm(maps).transpose(0, 1))[0]
        state, _ = self.cell(steps[-1])
        product = torch.einsum("lbf,mbf->blm", steps, steps)
        kept = torch.zeros(1, 4)
        kept[:, :2] = self.normed(steps.sum(0))
        return (
            self.bilinear(state, state),
            torch.where(product > 0, product, 0),
            kept,
            maps.permute(2, 0, 1).unbind(0)[2],
        )


TOKENS = (torch.zeros(2, 7, 4), [torch.zeros(2, 7, dtype=torch.long), torch.ones(12)])
IMAGE = (torch.zeros(1, 3, 8, 8),)


def small() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(True), nn.Dropout(0.1)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
    )


def resnet() -> nn.Module:
    if import_library("torchvision") is None:
        pytest.skip("torchvision is not installed")
    module: nn.Module = import_library("torchvision").models.resnet18(weights=None)
    return module


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...]]] = {
    "many": (Many, TOKENS),
    "layers": (Layers, IMAGE),
    "small": (small, IMAGE),
    "encoder": (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (torch.zeros(2, 5, 16),)),
    "resnet18": (resnet, (torch.zeros(1, 3, 64, 64),)),
}


@pytest.fixture(scope="session")
def programs() -> dict[str, tuple[nn.Module, bytes]]:
    """Modules with their programs; those that are asked for, made once."""

    class Made(dict[str, tuple[nn.Module, bytes]]):
        def __missing__(self, name: str) -> tuple[nn.Module, bytes]:
            make, args = MODULES[name]
            module = make().eval()
            found = self[name] = module, program_of(module, args)
            return found

    return Made()


Programs = dict[str, tuple[nn.Module, bytes]]


# --- what comes out ---


def weighing(graph: Graph) -> list[tuple[tuple[int, ...], int | None]]:
    return [(node.output_shape, node.macs) for node in graph.nodes if node.params or node.macs]


def facts(graph: Graph) -> dict[str, Any]:
    """What a network's file and its trace must agree on."""
    shapes = graph.shapes()
    return {
        "mode": graph.mode,
        "inputs": graph.inputs,
        "outputs": [(output.name, shapes[output.value]) for output in graph.outputs],
        "params": sum(node.params for node in graph.nodes),
        "frozen": sum(node.frozen for node in graph.nodes),
        "buffers": sum(node.buffers for node in graph.nodes),
        "unreached": graph.unreached,
        "weighing": weighing(graph),
        "layers": {node.name: node.op.kind for node in graph.nodes if node.module and node.weights()},
    }


@pytest.mark.parametrize("name", MODULES)
def test_a_program_is_what_its_module_is_traced_as(programs: Programs, name: str) -> None:
    """Parameters, MACs, inputs, outputs, and the names of layers, in order."""
    module, archive = programs[name]
    graph = read_pt2(archive)
    assert graph.origin == "pt2"
    assert facts(graph) == facts(trace(module, *MODULES[name][1]))
    assert sum(node.params for node in graph.nodes) + sum(layer.params for layer in graph.unreached) == sum(
        parameter.numel() for parameter in module.parameters()
    )
    layers = {path for path, inner in module.named_modules() if list(inner.parameters()) and not list(inner.children())}
    named = {node.name for node in graph.nodes}
    assert {path for path in layers if path not in named} <= {
        "unused",
        "normed",
        "self_attn.out_proj",
        "attend.out_proj",
    }


def test_a_program_in_training(programs: Programs) -> None:
    """Its mode is told by what its norms do; the buffers it writes to are no outputs."""
    module = small().train()
    graph = read_pt2(program_of(module, (torch.zeros(2, 3, 8, 8),)))
    assert graph.mode == "train"
    assert facts(graph) == facts(trace(module, (2, 3, 8, 8)))
    assert len(graph.outputs) == 1


@pytest.mark.parametrize("name", ["small", "many", "encoder"])
def test_a_program_that_was_decomposed(programs: Programs, name: str) -> None:
    """Operators of a smaller set are read as the same layers."""
    make, args = MODULES[name]
    module = make().eval()
    assert weighing(read_pt2(program_of(module, args, decompose=True))) == weighing(trace(module, *args))


class Last(nn.Module):
    """Of several outputs some are left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.pool = nn.LSTM(8, 6, batch_first=True), nn.AdaptiveMaxPool1d(2)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        cell = self.lstm(x)[1][1]
        dropped = nn.functional.dropout(cell, training=False)
        return x.topk(2)[1], cell, self.pool(x), torch.chunk(x, 3, 1)[1], x.max(1)[0], dropped.to(torch.float64)


@pytest.mark.parametrize("decompose", [False, True])
def test_outputs_that_nothing_reads(decompose: bool) -> None:
    """Leave the others their places."""
    found, traced = (
        read_pt2(program_of(Last().eval(), (torch.zeros(2, 7, 8),), decompose=decompose)),
        trace(Last().eval(), (2, 7, 8)),
    )
    assert facts(found)["outputs"] == facts(traced)["outputs"]
    assert weighing(found)[:1] == weighing(traced)[:1] or decompose


def test_symbolic_sizes_are_what_they_were(programs: Programs) -> None:
    """Where the program was exported; one without that number is refused with its place."""
    batch = Dim("batch", min=1, max=64)
    module = small().eval()
    archive = program_of(module, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=({0: batch},))
    assert facts(read_pt2(archive)) == facts(trace(module, (2, 3, 8, 8)))

    def forget(document: Any) -> None:
        for tensor in document["graph_module"]["graph"]["tensor_values"].values():
            for size in tensor["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["hint"] = None

    with pytest.raises(
        SpecError, match=r"`graph_module\.graph\.tensor_values\.\w+\.sizes`: expected a size, got a symbolic"
    ):
        read_pt2(edited(archive, forget))


def test_torch_counts_as_the_column_says(programs: Programs) -> None:
    """Of the program as torch runs it; no other tool takes it."""
    for name in ("resnet18", "small"):
        module, archive = programs[name]
        graph = read_pt2(archive)
        runnable = exported(module, MODULES[name][1]).module()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            runnable(*MODULES[name][1])
        totals = count_flops(graph).totals
        assert totals.torch == counter.get_total_flops()
        assert {getattr(totals, tool) for tool in TOOLS if tool != "torch"} == {None}


def test_the_graph_may_be_kept_as_a_file(programs: Programs) -> None:
    """Which says of it what its own did."""
    for name in ("many", "layers"):
        graph = read_pt2(programs[name][1])
        back = read_graph_file(write_graph(graph))
        assert (back.nodes, back.parts, back.run) == (graph.nodes, graph.parts, graph.run)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["conv", "norm", "act", "pool", "write", "twice", "block"]), min_size=1, max_size=5))
def test_drawn_modules_are_what_they_are_traced_as(steps: list[str]) -> None:
    """Chains of layers, blocks and writes in place."""
    module = Drawn(steps).eval()
    assert facts(read_pt2(program_of(module, (torch.zeros(1, 4, 16, 16),)))) == facts(trace(module, (1, 4, 16, 16)))


class Drawn(nn.Module):
    def __init__(self, steps: list[str]) -> None:
        super().__init__()
        self.steps = steps
        self.conv, self.norm, self.act = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(True)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 1, groups=2), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        for step in self.steps:
            if step == "pool":
                x = nn.functional.avg_pool2d(x, 3, 1, 1)
            elif step == "write":
                x[:, :2] = self.conv(x)[:, 2:]
            elif step == "twice":
                x = x + self.act(self.norm(x))
            else:
                x = getattr(self, step)(x)
        return x


# --- the command line ---


@pytest.fixture
def file(programs: Programs, tmp_path: Path) -> str:
    path = tmp_path / "net.pt2"
    path.write_bytes(programs["small"][1])
    return str(path)


def test_static_commands_read_it_without_torch(file: str) -> None:
    """In a process of their own, as a user runs them."""
    commands = [
        *(["summary", file], ["flops", file], ["taps", file], ["diagram", file], ["compare", file, "lenet5"]),
        *(["roofline", file, "--on", "h200"], ["report", file, "-o", os.devnull]),
    ]
    code = f"""
import sys
from gnet_inspect.cli import main
for command in {commands!r}:
    sys.argv = ["gnet-inspect", *command]
    try:
        main()
    except SystemExit as end:
        assert not end.code, command
"""
    assert imported(code) == set()


def test_the_summary_has_its_numbers(run: Run, file: str) -> None:
    result = run("summary", file, "--format", "json")
    totals = json.loads(result.out)["totals"]
    assert (result.code, totals["params"], totals["macs"]) == (0, 130, 6_920)
    assert run("summary", file, "--input", "1x3x8x8", "--batch", "1").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("summary", "--set", "a=1"), "--set: expected a built-in name or a spec"),
        (("summary", "--resize"), "--resize: expected a built-in name or a spec"),
        (("summary", "--mode", "train"), "--mode train: expected a graph of that mode"),
        (("summary", "--batch", "2"), "--batch: expected 1x3x8x8, its own input"),
        (("summary", "--input", "1x3x9x9"), "--input: expected 1x3x8x8, its own input"),
        (("summary", "--arg", "a=1"), "--arg: expected a MODEL in Python"),
        (("latency",), "latency: expected a built-in name or a spec"),
        (("verify",), "verify: expected a built-in name or a spec"),
        (("validate",), "validate: expected a built-in name or a spec"),
        (("show",), "show: expected a built-in name or a spec"),
    ],
)
def test_what_a_program_cannot_do_is_refused(run: Run, file: str, arguments: tuple[str, ...], words: str) -> None:
    """In words that name it."""
    result = run(arguments[0], file, *arguments[1:])
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert "a program of torch.export" in result.err or "a MODEL in Python" in result.err


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    assert "expected a program of torch.export, got" in run("summary", str(tmp_path / "no.pt2")).err
    assert "cannot read" in run("summary", str(_folder(tmp_path))).err


def _folder(path: Path) -> Path:
    (path / "folder.pt2").mkdir()
    return path / "folder.pt2"


# --- files that mean harm ---


def test_nothing_in_it_is_unpickled_or_evaluated(programs: Programs, tmp_path: Path) -> None:
    """torch's loader would run both: a pickle among the weights, and the text of a size."""
    marker = tmp_path / "marker"
    run = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    pickle = f"c__builtin__\neval\n(V{run}\ntR.".encode()
    archive = programs["small"][1]
    document, table = document_in(archive), json.loads(member_in(archive, TABLE))
    for payload in table["config"].values():
        payload["use_pickle"] = True
    sizes = document["graph_module"]["graph"]["tensor_values"]
    for tensor in sizes.values():
        tensor["sizes"] = [{"as_expr": {"expr_str": run, "hint": size}} for size in tensor["sizes"]]
    for node in nodes_of(document):
        node["metadata"]["stack_trace"] = run
    hostile = packed(document, **{f"net/{TABLE}": table, "net/data/weights/weight_0": pickle})
    assert facts(read_pt2(hostile)) == facts(read_pt2(archive))
    assert not marker.exists()
    # It is code: what would run it does.
    subprocess.run([sys.executable, "-c", f"import pickle; pickle.loads({pickle!r})"], check=True)
    assert marker.exists()


def zip_of(*members: tuple[str, bytes], **options: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def zip_bomb() -> bytes:
    return zip_of((f"net/{MEMBER}", b" " * (MAX_BYTES + 1)), compression=zipfile.ZIP_DEFLATED)


def lying_bomb() -> bytes:
    """Whose directory says that it is small."""
    size = MAX_BYTES + 1
    return zip_bomb().replace(size.to_bytes(4, "little"), (1_000).to_bytes(4, "little"))


def encrypted() -> bytes:
    archive = bytearray(zip_of((MEMBER, b"{}")))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    return bytes(archive)


def wide() -> bytes:
    """A directory as large as its bound, and more."""
    archive = zip_of((MEMBER, b"{}"))
    end = archive.index(b"PK\x05\x06")
    size = (MAX_DIRECTORY + 1).to_bytes(4, "little")
    return archive[:end] + bytes(MAX_DIRECTORY) + archive[end : end + 12] + size + archive[end + 16 :]


BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "which is a zip archive, got something else"),
    "text": (lambda: b"name: x", "which is a zip archive, got something else"),
    "head": (lambda: b"PK\x03\x04", "got a damaged archive"),
    "truncated": (lambda: zip_of((MEMBER, b"{}"))[:-30], "got a damaged archive"),
    "damaged": (lambda: zip_of((MEMBER, b"{ 1234 }")).replace(b"{ 1234 }", b"{ 1235 }"), "Bad CRC-32"),
    "bomb": (zip_bomb, "expected at most 64,000,000 bytes of JSON, got 64,000,001"),
    "lying bomb": (lying_bomb, "net.pt2: "),
    "encrypted": (encrypted, "expected a file that is not encrypted"),
    "lzma": (lambda: zip_of((MEMBER, b"{}"), compression=zipfile.ZIP_LZMA), "stored or deflated, got method 14"),
    "wide": (wide, "net.pt2: "),
    "two": (
        lambda: zip_of((f"a/{MEMBER}", b"{}"), (f"../{MEMBER}", b"{}")),
        "got 2: `a/models/model.json`, `../models",
    ),
    "none": (lambda: zip_of(("net/data.pkl", b"")), "got an archive without one"),
    "others": (lambda: zip_of(("net/models/a.json", b"")), "got `net/models/a.json`"),
    "old": (lambda: zip_of(("serialized_exported_program.json", b"{}")), "got one of an earlier form"),
    "no JSON": (lambda: packed("nothing"), "expected a program's JSON, got something else"),
    "deep": (lambda: packed('{"schema_version":{"major":8},"x":' + "[" * 100_000), "lists in lists without end"),
    "values": (lambda: packed("[" + "{}," * 4_000_001 + "{}]"), "at most 4,000,000 values, got more"),
    "array": (lambda: packed([]), "expected object, got array"),
    "version": (
        lambda: packed({"schema_version": {"major": 7}}),
        "`schema_version`: expected a program of torch.export of",
    ),
    "no graph": (lambda: packed({"schema_version": {"major": 8}}), "missing required field graph_module"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_program_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    """With its file, in little time and memory."""
    make, words = BROKEN[name]
    path = tmp_path / "net.pt2"
    path.write_bytes(make())
    result = run("summary", str(path))
    assert (result.code, result.out) == (2, "")
    assert words in result.err


def node(target: str, inputs: list[Any], output: str, stack: str = "") -> dict[str, Any]:
    arguments = [{"name": f"a{index}", "arg": value} for index, value in enumerate(inputs)]
    return {
        "target": f"torch.ops.aten.{target}",
        "inputs": [{**item, "name": "self"} if index == 0 else item for index, item in enumerate(arguments)],
        "outputs": [{"as_tensor": {"name": output}}],
        "metadata": {"nn_module_stack": stack} if stack else {},
    }


def tensor(*sizes: int) -> dict[str, Any]:
    return {"dtype": 7, "sizes": [{"as_int": size} for size in sizes]}


def program(nodes: list[Any], sizes: tuple[int, ...] = (1, 3, 8, 8)) -> dict[str, Any]:
    """A program by hand: nodes behind `x`, with a weight `w` of the same shape, of which the last is returned."""
    names = [output["as_tensor"]["name"] for item in nodes for output in item["outputs"]]
    return {
        "schema_version": {"major": 8, "minor": 20},
        "graph_module": {
            "graph": {"nodes": nodes, "tensor_values": {name: tensor(*sizes) for name in ("x", "w", *names)}},
            "signature": {
                "input_specs": [
                    {"parameter": {"arg": {"name": "w"}, "parameter_name": "w"}},
                    {"user_input": {"arg": {"as_tensor": {"name": "x"}}}},
                ],
                "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": names[-1]}}}}],
            },
        },
    }


X, W = {"as_tensor": {"name": "x"}}, {"as_tensor": {"name": "w"}}


def test_a_program_by_hand_is_read() -> None:
    """Without the names of modules, arguments and results."""
    graph = read_pt2(
        packed(program([node("relu.default", [X], "y"), node("mul.Tensor", [{"as_tensor": {"name": "y"}}, W], "z")]))
    )
    assert [node.op.kind for node in graph.nodes] == ["ReLU", "Parameter", "mul"]
    assert sum(node.params for node in graph.nodes) == 192


@pytest.mark.parametrize(
    ("edit", "place", "words"),
    [
        (lambda d: nodes_of(d)[0].update(target="torch.ops.higher_order.cond"), "nodes.0.target", "got control flow"),
        (lambda d: nodes_of(d)[0].update(target="os.system"), "nodes.0.target", "expected an operator"),
        (lambda d: nodes_of(d)[0].pop("target"), "nodes", "missing required field target"),
        (lambda d: nodes_of(d)[0]["inputs"][0].update(arg={"as_graph": {}}), "nodes.0.inputs.0", "got control flow"),
        (
            lambda d: nodes_of(d)[0]["inputs"][0].update(arg={"as_custom_obj": {}}),
            "nodes.0.inputs.0",
            "an object that runs",
        ),
        (
            lambda d: nodes_of(d)[0]["inputs"][0].update(arg={"as_tensor": {"name": "y"}}),
            "nodes.0.inputs.0",
            "before it is read",
        ),
        (
            lambda d: nodes_of(d)[0]["inputs"][0].update(arg={"as_float": "much"}),
            "nodes.0.inputs.0",
            "expected float, got",
        ),
        (lambda d: nodes_of(d)[0]["inputs"][0].update(arg={}), "nodes.0.inputs.0", "with one key"),
        (lambda d: nodes_of(d).append(nodes_of(d)[0]), "nodes.1", "tensors of different names, got `y` twice"),
        (
            lambda d: nodes_of(d)[0].update(metadata={"nn_module_stack": "a"}),
            "nodes.0.metadata.nn_module_stack",
            "NAME,PATH,CLASS",
        ),
        (
            lambda d: nodes_of(d)[0].update(metadata={"nn_module_stack": "a,b,c;" * 99}),
            "nn_module_stack",
            "at most 64 deep",
        ),
        (
            lambda d: nodes_of(d)[0].update(metadata={"nn_module_stack": f"a,{'b' * 2000},c"}),
            "nn_module_stack",
            "1,000 characters",
        ),
        (
            lambda d: d["graph_module"]["graph"]["tensor_values"].update(x=tensor(2**31)),
            "tensor_values.x",
            "sizes of 0 to",
        ),
        (
            lambda d: d["graph_module"]["graph"]["tensor_values"].update(x=tensor(-1)),
            "tensor_values.x",
            "sizes of 0 to",
        ),
        (
            lambda d: d["graph_module"]["graph"]["tensor_values"].update(x=tensor()),
            "input_specs",
            "a tensor with a batch",
        ),
        (lambda d: d["graph_module"]["graph"]["tensor_values"].update(x=tensor(0, 3)), "input_specs.1", "not empty"),
        (
            lambda d: d["graph_module"]["graph"]["tensor_values"].update(x=tensor(*[1] * 99)),
            "tensor_values.x",
            "at most 64 axes",
        ),
        (lambda d: d["graph_module"]["graph"]["tensor_values"].pop("y"), "nodes.0", "that `tensor_values` describes"),
        (lambda d: d["graph_module"]["graph"].update(nodes=[]), "output_specs.0", "before it is read"),
        (lambda d: d["graph_module"]["signature"].update(output_specs=[]), "output_specs", "expected an output"),
        (
            lambda d: d["graph_module"]["signature"].update(input_specs=[]),
            "input_specs",
            "expected a tensor with a batch",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(edit: Callable[[Any], object], place: str, words: str) -> None:
    document = program([node("relu.default", [X], "y")])
    edit(document)
    with pytest.raises(SpecError) as caught:
        read_pt2(packed(document), "net.pt2")
    assert caught.value.file == "net.pt2"
    assert place in caught.value.path
    assert words in caught.value.fact


def by_name(name: str) -> dict[str, Any]:
    return {"as_tensor": {"name": name}}


def many_nodes() -> list[Any]:
    return [*([{"target": "", "inputs": [], "outputs": []}] * MAX_NODES), node("relu.default", [X], "y")]


def side_chain() -> list[Any]:
    """Values of weights alone, each made of the last, all of them read again and again."""
    made = [node("neg.default", [by_name(f"s{index - 1}") if index else W], f"s{index}") for index in range(3_000)]
    return [*made, *(node("sub.Tensor", [X, by_name("s2999")], f"y{index}") for index in range(3_000))]


def deep_modules() -> list[Any]:
    """Sixty modules around each operator, other ones each time."""
    stack = ";".join(f"{{0}}k{depth},{'.'.join('m' * (depth + 1))},M" for depth in range(60))
    return [node("relu.default", [X], f"y{index}", stack.format(index)) for index in range(4_000)]


def long_names() -> list[Any]:
    return [node("relu.default", [X], f"y{index}", f"k{index},{index}{'m' * 900},M") for index in range(30_000)]


def parts_without_end() -> list[Any]:
    """Outputs by the billion, as their number asks for."""
    return [node("unbind.int", [X], "u"), node("split.Tensor", [X, {"as_int": 1}], "y")]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (many_nodes, "expected at most 200,000, got 200,001"),
        (side_chain, "that are made in at most"),
        (deep_modules, "expected at most 200,000 calls of modules"),
        (long_names, "names of at most 20,000,000 characters"),
    ],
)
def test_very_much_of_one_thing_is_refused(nodes: Callable[[], list[Any]], words: str) -> None:
    """Before it takes long."""
    with pytest.raises(SpecError, match=words):
        read_pt2(packed(program(nodes())))


def test_what_an_operator_says_of_sizes_is_not_made(programs: Programs) -> None:
    """A split into 2^31 parts, whose outputs are one."""
    graph = read_pt2(packed(program(parts_without_end(), (2**31 - 1,))))
    assert [node.name for node in graph.nodes] == ["split"]


def test_writes_to_many_views_are_read_in_order() -> None:
    """Each view of one memory sees the last write, and no reader all of them."""
    nodes = [node("view.default", [X], f"v{index}") for index in range(2_000)]
    nodes += [node("relu_.default", [{"as_tensor": {"name": f"v{index}"}}], f"w{index}") for index in range(2_000)]
    graph = read_pt2(packed(program([*nodes, node("neg.default", [X], "y")])))
    assert graph.nodes[-1].inputs == (graph.nodes[-2].name,)
    assert max(len(item.inputs) for item in graph.nodes) == 2


@pytest.mark.parametrize("name", ["many", "layers", "small"])
def test_broken_programs_are_read_or_refused(programs: Programs, name: str) -> None:
    """And what is read is a graph like any other."""
    archive = edited(programs[name][1], lambda document: document)
    for number in range(EXAMPLES // 3):
        broken = mutated(archive, random.Random(f"{name} {number}"))
        try:
            graph = read_pt2(broken)
            summarize(graph)
            count_flops(graph)
            write_graph(graph)
        except (SpecError, UsageError):
            continue
        except GnetError as error:
            pytest.fail(f"{name} {number}: {type(error).__name__}: {error}")
        except Exception as error:  # which one is told
            pytest.fail(f"{name} {number}: {type(error).__name__}: {error}")
