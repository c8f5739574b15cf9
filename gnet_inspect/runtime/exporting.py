"""A network -> a file that runs without us: torch.nn source, ONNX, or an exported program of torch; each is proved
before it is written."""

import ast
import contextlib
import importlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from gnet_inspect.authoring.torch_text import camel, torch_text
from gnet_inspect.authoring.words import TORCH
from gnet_inspect.authoring.writing import write_program
from gnet_inspect.errors import CannotWriteError, MissingError, UsageError, brief
from gnet_inspect.graph import Graph
from gnet_inspect.graph.rewriting import Rewrite, functions_as_layers, rewritten
from gnet_inspect.runtime.module import build_module
from gnet_inspect.runtime.proving import (
    SEED,
    compare_layers,
    compare_outputs,
    drawn_input,
    drawn_inputs,
    give_signal,
    left_parts,
    load_weights_of,
    one_thread,
)
from gnet_inspect.runtime.references import Traced
from gnet_inspect.runtime.tracing import traced as traced_module
from gnet_inspect.runtime.tracing.examples import Examples, flattened, mapped, signature_of
from gnet_inspect.runtime.tracing.twin import unwrapped
from gnet_inspect.runtime.weights import load_weights

# How far outputs of another runtime may be from torch's, over the largest of torch's.
TOLERANCE = 1e-4
# The newest operators that torch's exporter writes by itself.
OPSET = 18
INSTALL_ONNX = "pip install onnx onnxscript onnxruntime"


class Exported(NamedTuple):
    """What is written of a network; what it is and what was proved, in words; and the parts of it that its eval mode
    leaves out."""

    content: str | bytes
    proof: str
    left: tuple[str, ...] = ()


class Original(NamedTuple):
    """The module that is exported, in eval mode, and what it is called with."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def original_of(graph: Graph, traced: Traced | None, weights: Path | None = None) -> Original:
    """The user's own module, or the one that is built of a graph, with drawn inputs; its weights are those of a file,
    or drawn. Those of heads, which do not run, may be in the file."""
    generator = torch.Generator().manual_seed(SEED)
    if traced is None:
        torch.manual_seed(SEED)
        module = build_module(functions_as_layers(graph), device="cpu").eval()
        if weights is not None:
            load_weights(module, weights, leave="heads")
        return Original(module, tuple(drawn_inputs(graph)), {})
    module = unwrapped(traced.network.build()).eval()
    if any(weight.is_meta for weight in module.parameters()):
        raise UsageError(f"{traced.network.reference.text}: expected real weights to prove it with, got some on meta")
    examples = Examples(module, traced.given.args, traced.given.kwargs)

    def real(tensor: Tensor) -> Tensor:
        return tensor.detach().clone() if not tensor.is_meta else drawn_input(tensor.shape, tensor.dtype, generator)

    args = tuple(mapped(item, real) for item in examples.args)
    return Original(module, args, {name: mapped(item, real) for name, item in examples.kwargs.items()})


# --- source ---


def export_source(
    graph: Graph, traced: Traced | None, name: str, *, has_weights: bool = True, weights: Path | None = None
) -> Exported:
    """The network as torch.nn source, which was run. With weights, the user's, those of a file or drawn, it takes them
    all and gives the same bits; without any it has the same layers.

    `name` is the model's. Raises CannotWriteError where that cannot be done, with what differs.
    """
    graph = _careful(graph)
    text = torch_text(write_program(graph, name, TORCH), graph, class_name(graph, name), f"{name}, in torch.nn alone.")
    about = f"{text.count(chr(10))} lines, {len(re.findall('^class ', text, re.MULTILINE))} classes"
    if not has_weights:
        meta = tuple(tensor.to("meta") for tensor in drawn_inputs(graph))
        # What has no weights may be written in several ways.
        compare_layers(graph, traced_module(made_of(text), meta, {}, mode="eval").graph, lambda node: node.params > 0)
        return Exported(text, f"{about}; the same layers, shapes, parameters and multiply-accumulates")
    original = original_of(graph, traced, weights)
    if traced is None and weights is None:
        give_signal(original.module)
    left = prove(text, graph, original)
    return Exported(text, f"{about}; strict state dict, outputs equal bit by bit", left)


def class_name(graph: Graph, name: str) -> str:
    """What the network's class is called: as it was in Python, else after the model."""
    if graph.origin == "module" and graph.title.isidentifier() and not hasattr(nn, graph.title):
        return graph.title
    words = camel(name.rpartition(":")[2])
    return words if words.isidentifier() and not hasattr(nn, words) else f"Net{words}"


def _careful(graph: Graph) -> Graph:
    """A graph in which nothing overwrites what is read elsewhere, or what a backward pass needs: branches may run in
    another order than they did."""
    nodes = {node.name: node for node in graph.nodes}
    readers = graph.readers()
    outputs = {output.value for output in graph.outputs}
    changed = {}
    for node in graph.nodes:
        if not node.op.overwrites():
            continue
        read = nodes.get(node.inputs[0])
        alone = len(readers[node.inputs[0]]) == 1 and node.inputs[0] not in outputs
        if read is None or not alone or read.op.keeps_output or read.op.aliases(training=False) is not None:
            changed[node.name] = replace(node, op=replace(node.op, inplace=False))
    return rewritten(graph, Rewrite(changed=changed)) if changed else graph


def prove(text: str, graph: Graph, original: Original) -> tuple[str, ...]:
    """Run the source: its network takes the original's weights, but those that are returned, and gives the same bits.

    Raises CannotWriteError with what differs.
    """
    made = made_of(text)
    load_weights_of(original.module, made, graph)
    _compare(made, graph, original)
    return left_parts(graph)


# What source may import, and the only name of Python's own workings in it.
_IMPORTED = ("torch", "torch.nn.functional", "collections.abc", "typing", "functools", "math")
_DUNDER = "__init__"
_STATEMENTS = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)


def _check_source(text: str) -> None:
    """Raise CannotWriteError where source says anything but a network, before it is run: a file's names are a
    stranger's, however well they were told apart from code."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise CannotWriteError(f"what was written is no source: {error}") from error
    for part in tree.body:
        if not isinstance(part, _STATEMENTS) and not _is_docstring(part):
            raise CannotWriteError(f"what was written is more than classes, on line {part.lineno}")
    for node in ast.walk(tree):
        words: list[str] = []
        if isinstance(node, ast.Import):
            words = [alias.name for alias in node.names if alias.name not in _IMPORTED]
        elif isinstance(node, ast.ImportFrom) and node.module not in _IMPORTED:
            words = [str(node.module)]
        elif isinstance(node, ast.Name | ast.Attribute):
            word = node.id if isinstance(node, ast.Name) else node.attr
            words = [word] if (word.startswith("__") and word != _DUNDER) or word in _RUNNING else []
        if words:
            raise CannotWriteError(f"what was written says {words[0]!r}, which no network needs")


# Functions that run or open what they are given.
_RUNNING = ("eval", "exec", "compile", "open", "globals", "vars", "breakpoint", "load", "hub", "jit")


def _is_docstring(part: ast.stmt) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) and isinstance(part.value.value, str)


def made_of(text: str) -> nn.Module:
    """The network that a source makes: its last class, without arguments."""
    space: dict[str, Any] = {"__name__": "written"}
    _check_source(text)
    try:
        exec(compile(text, "<written>", "exec"), space)  # our own text, whose words were checked
        kind = [value for value in space.values() if isinstance(value, type) and value.__module__ == "written"][-1]
        made: nn.Module = kind().eval()
    except Exception as error:
        raise CannotWriteError(
            f"what was written does not run: {type(error).__name__}: {brief(str(error), 300)}"
        ) from error
    return made


def _compare(made: nn.Module, graph: Graph, original: Original) -> None:
    reference = next(iter(original.module.parameters()), None)
    if reference is not None:
        made.to(reference.dtype)
    expected = _run(original.module, original)
    try:
        # Its forward takes tensors alone, in the order of the graph's inputs.
        given = [tensor for _, tensor in flattened((original.args, original.kwargs))][: len(graph.inputs)]
        found = _run(made, Original(made, tuple(given), {}))
    except Exception as error:
        raise CannotWriteError(
            f"what was written does not run: {type(error).__name__}: {brief(str(error), 300)}"
        ) from error
    compare_outputs(expected, found)


def _run(module: nn.Module, original: Original) -> list[Tensor]:
    args = [mapped(item, Tensor.clone) for item in original.args]
    kwargs = {name: mapped(item, Tensor.clone) for name, item in original.kwargs.items()}
    with one_thread(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = module(*args, **kwargs)
    return [tensor for _, tensor in flattened(result)]


# --- other formats ---


def export_onnx(
    graph: Graph,
    traced: Traced | None,
    *,
    opset: int = OPSET,
    dynamic_batch: bool = False,
    weights: Path | None = None,
) -> Exported:
    """The network as an ONNX model, which onnx has checked and onnxruntime has run beside torch.

    Raises MissingError without these, and CannotWriteError where torch's exporter fails, or outputs are too far apart.
    """
    need_onnx()
    import onnx

    original = original_of(graph, traced, weights)
    original = _batched(original) if dynamic_batch else original

    def export() -> bytes:
        shapes = _free_batch(original) if dynamic_batch else None
        names = [value.name for value in graph.inputs]
        program = torch.onnx.export(
            original.module,
            original.args,
            kwargs=original.kwargs,
            input_names=names,
            opset_version=opset,
            dynamo=True,
            verbose=False,
            dynamic_shapes=shapes,
        )
        assert program is not None
        model: Any = program.model_proto
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content

    content = _exported(export, "ONNX")
    apart = _run_onnx(content, original)
    if dynamic_batch:
        apart = max(apart, _run_onnx(content, _batched(original)))
    written = onnx.load_model_from_string(content)
    version = next(item.version for item in written.opset_import if not item.domain)
    batch = ", any batch" if dynamic_batch else ""
    return Exported(
        content,
        f"{len(written.graph.node):,} nodes of opset {version}{batch}; checked by onnx, and onnxruntime's outputs are "
        f"within {apart:.1g} of the largest of torch's (at most {TOLERANCE:g} may be)",
    )


def need_onnx() -> None:
    """Raise MissingError where a package that ONNX takes is not there."""
    lacking = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if lacking:
        raise MissingError(f"export to ONNX needs {', '.join(lacking)}. Install it with: {INSTALL_ONNX}")


def export_program(
    graph: Graph, traced: Traced | None, *, dynamic_batch: bool = False, weights: Path | None = None
) -> Exported:
    """The network as torch.export saves it, loaded again and run beside the module.

    Raises CannotWriteError where torch cannot export it, or where it gives other outputs.
    """
    original = original_of(graph, traced, weights)
    original = _batched(original) if dynamic_batch else original

    def export() -> bytes:
        shapes = _free_batch(original) if dynamic_batch else None
        program = torch.export.export(original.module, original.args, original.kwargs, dynamic_shapes=shapes)
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
        return buffer.getvalue()

    content = _exported(export, "a program")
    loaded: Any = _exported(lambda: torch.export.load(io.BytesIO(content)).module(), "a program")
    apart = _apart(_run(loaded, original), _run(original.module, original))
    if dynamic_batch:
        more = _batched(original)
        apart = max(apart, _apart(_run(loaded, more), _run(original.module, more)))
    equal = "equal bit by bit" if apart == 0 else f"within {apart:.1g} of the largest (at most {TOLERANCE:g} may be)"
    batch = "a program for any batch" if dynamic_batch else "a program"
    return Exported(content, f"{batch}; loaded again, its outputs are {equal}")


def _exported(export: Callable[[], Any], what: str) -> Any:
    """What torch's exporter makes, its talk kept."""
    with _silent():
        try:
            return export()
        except Exception as error:
            why = brief(" ".join(str(error).split()), 400)
            raise CannotWriteError(f"torch does not export it as {what}: {type(error).__name__}: {why}") from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing that torch prints, logs or warns of while it exports is a result, or a defect of the network."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _batched(original: Original) -> Original:
    """The same on one image more: torch takes a batch of 1 for one that nothing else can be."""

    def more(tensor: Tensor) -> Tensor:
        return torch.cat([tensor, tensor[:1].flip(-1)])

    args = tuple(mapped(item, more) for item in original.args)
    return Original(original.module, args, {name: mapped(item, more) for name, item in original.kwargs.items()})


def _free_batch(original: Original) -> Any:
    """What says to torch that the first axis of every tensor is the batch, in the places of the arguments."""
    batch = torch.export.Dim("batch")
    args = [_axes(item, batch) for item in original.args]
    kwargs = {name: _axes(item, batch) for name, item in original.kwargs.items()}
    signature = signature_of(original.module)
    if not kwargs or signature is None:
        return tuple(args)
    return dict(zip(signature.parameters, args, strict=False)) | kwargs


def _axes(example: Any, batch: Any) -> Any:
    if isinstance(example, Tensor):
        return {0: batch}
    if isinstance(example, dict):
        return {name: _axes(item, batch) for name, item in example.items()}
    return type(example)(_axes(item, batch) for item in example) if isinstance(example, list | tuple) else None


def _run_onnx(content: bytes, original: Original) -> float:
    """How far onnxruntime's outputs are from torch's."""
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    with _silent():
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        given = [tensor for _, tensor in flattened((original.args, original.kwargs))]
        names = [item.name for item in session.get_inputs()]
        found = session.run(None, {name: tensor.numpy() for name, tensor in zip(names, given, strict=True)})
    return _apart([torch.from_numpy(item) for item in found], _run(original.module, original))


def _apart(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference over the largest number. Raises CannotWriteError where that is too much."""
    if [tuple(item.shape) for item in found] != [tuple(item.shape) for item in expected]:
        raise CannotWriteError("what was exported gives outputs of other shapes")
    most = 0.0
    for one, other in zip(found, expected, strict=True):
        apart = (one.double() - other.double()).abs().max().item() if one.numel() else 0.0
        most = max(most, apart / max(other.double().abs().max().item(), 1e-30) if apart else 0.0)
    if not most <= TOLERANCE:
        raise CannotWriteError(f"what was exported gives outputs that are {most:.2g} of the largest away from torch's")
    return most
