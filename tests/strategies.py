"""Hypothesis strategies of spec documents, and a naive interpreter of the spec language to check them against.

The writer tracks shapes while it writes, so that most documents build: a layer that does not fit where it stands is
drawn again, and only a document that is meant to be faulty keeps it. The interpreter (`Reference`) expands a document
by substitution, with none of the package's reading, caching or inferring; it shares only the shape rules, which the
tests compare with torch.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from math import prod
from typing import Any

import yaml
from hypothesis import strategies as st
from msgspec.structs import replace

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops import MERGES, VOCABULARY, Op
from gnet_inspect.ops.recurrent import GRU, LSTM

Shape = tuple[int, ...]
Document = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]
INPUT = "input"

# --- the interpreter ---


class Refused(Exception):  # noqa: N818  # an answer, not an accident
    """What the document says cannot be built."""


class TooLarge(Exception):  # noqa: N818  # an answer, too
    """A layer that would take tests long: a chain of upsampling layers grows without end."""


# Of one layer of a drawn network; steps are those of recurrent layers, each of which torch runs in Python on meta.
MOST_ELEMENTS, MOST_MACS, MOST_STEPS = 2**14, 2**21, 24


@dataclass(frozen=True)
class Environment:
    """Parameters by name, each as what was written for it and where that was written."""

    own: Mapping[str, "tuple[Any, Environment]"]
    model: "Environment | None" = None


class Given(str):
    """A value of the network that a parameter holds, by its name."""

    __slots__ = ()


@dataclass(frozen=True)
class Layer:
    """One call of a layer in the expanded network; of a later one of the same layer the weights are not counted."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    output_shapes: tuple[Shape, ...]
    params: int
    buffers: int


class Reference:
    """Expands a document by substituting parameters where they are used."""

    def __init__(self, document: Document, mode: str = "eval", bounded: bool = False) -> None:
        self.document, self.bounded = document, bounded
        self.blocks: dict[str, Any] = document.get("blocks") or {}
        nothing = Environment({})
        params = document.get("params") or {}
        self.model = Environment({name: (value, nothing) for name, value in params.items()})
        self.inputs = inputs_of(document)
        self.shapes: dict[str, Shape] = {name: shape for name, (shape, _) in self.inputs.items()}
        self.layers: list[Layer] = []
        self.taken: set[str] = set()
        self.counts: dict[str, int] = {}
        # By path: the value that stands there, what was written there, and what its first call was made for.
        self.values: dict[str, str] = {name: name for name in self.inputs}
        self.made: dict[str, tuple[Any, Environment]] = {}
        self.weights: dict[str, Any] = {}
        self.times: dict[str, int] = {}
        # Names that are not seen where one is, in a branch beside or in a head; and the block in which names are.
        self.hidden: set[str] = set()
        self.home = ""
        self.again = False
        # Where each finished path ends, for heads; and each call outside of blocks, for overrides.
        self.ends: dict[str, str] = {}
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.outputs: dict[str, str] = {}
        self.head_outputs: dict[str, str] = {}
        self.waiting = dict(document.get("heads") or {}) if mode == "train" else {}

    def run(self) -> "Reference":
        """Expand the whole network. Raises Refused."""
        heads = self.document.get("heads") or {}
        if any(head["from"].partition(".")[0] in heads for head in heads.values()):
            raise Refused("a head of a head, or of a layer of a head's name")
        source = next(iter(self.inputs))
        for stage in self.document["stages"].values():
            source = self._stage(stage, source)
        named = self.document.get("outputs")
        if self.waiting or not self.layers or (source in self.inputs and not named):
            raise Refused("a head without a source, or no layers")
        self.outputs = {name: self.named(text) for name, text in named.items()} if named else {"output": source}
        return self

    def _stage(self, stage: Any, source: str) -> str:
        if isinstance(stage, list):
            source, self.counts[""] = self._members(stage, "", source, self.model, self.counts.get("", 0))
            return source
        for name, layer in stage.items():
            if not self._there(layer, self.model):
                continue
            if isinstance(layer, list):
                if name not in self.counts:
                    self._claim(name)
                elif any(head["from"] == name for head in (self.document.get("heads") or {}).values()):
                    raise Refused("a head after a list that goes on")
                count = self.counts.get(name, 0)
                source, self.counts[name] = self._members(layer, name, source, self.model, count)
                self.values[name] = source
                self.made[name] = layer, self.model
                self._finish(name, source)
            else:
                source = self._named(layer, name, "", source, self.model)
        return source

    def sequence(self, body: Any, scope: str, source: str, env: Environment) -> str:
        """Run a mapping or a list of layers; returns the last layer's name."""
        if isinstance(body, list):
            return self._members(body, scope, source, env, 0)[0]
        for name, layer in (body or {}).items():
            if self._there(layer, env):
                source = self._named(layer, f"{scope}.{name}".lstrip("."), scope, source, env)
        return source

    def _members(self, body: list[Any], scope: str, source: str, env: Environment, number: int) -> tuple[str, int]:
        for written in body:
            for layer in self._repeated(written, env):
                source = self._named(layer, f"{scope}.{number}".lstrip("."), scope, source, env)
                number += 1
        return source, number

    def _repeated(self, layer: Any, env: Environment) -> list[Any]:
        if not self._there(layer, env):
            return []
        if isinstance(layer, dict) and "repeat" in layer:
            inner = self._repeated(layer["repeat"]["layer"], env)
            return inner * int(self.value(layer["repeat"]["times"], env))
        return [layer]

    def _named(self, layer: Any, path: str, scope: str, source: str, env: Environment) -> str:
        self._claim(path)
        given = self.layer(layer, path, scope, source, env)
        self.values[path] = given
        self.made[path] = layer, env
        # A learned tensor reads nothing, and what comes behind it reads what came before it.
        if not (isinstance(layer, dict) and "Parameter" in layer):
            source = given
        self._finish(path, source)
        return source

    def _there(self, layer: Any, env: Environment) -> bool:
        if isinstance(layer, str) and layer.startswith("$"):
            return self._there(*self._find(layer, env))
        return not isinstance(layer, dict) or "when" not in layer or bool(self.value(layer["when"], env))

    def layer(self, layer: Any, path: str, scope: str, source: str, env: Environment) -> str:
        """Run one layer; returns the name of the layer that makes its output."""
        if isinstance(layer, list):
            return self._members(layer, path, source, env, 0)[0]
        if isinstance(layer, str):
            if layer.startswith("$"):
                written, home = self._find(layer, env)
                return self.layer(written, path, scope, source, home)
            layer = {layer: {}}
        ((name, arguments),) = ((key, value) for key, value in layer.items() if key not in ("when", "from"))
        read = layer.get("from", [])
        sources = tuple(self.given(text, env) for text in (read if isinstance(read, list) else [read])) or (source,)
        if name == "share":
            return self._shared(arguments, sources)
        if name in MERGES:
            return self._merge(name, arguments, path, scope, sources[0], env)
        arguments = {} if arguments is None else arguments
        if env is self.model:
            self.calls.append((path, name, arguments))
        if name in self.blocks:
            return self._block(name, arguments, path, sources[0], env)
        kinds = {key: parameter.kind for key, parameter in VOCABULARY[name].parameters().items()}
        values = {key: self.value(value, env) for key, value in arguments.items() if key != "like"}
        if "like" in arguments:
            # To the size of another value, which it reads too.
            sources = (*sources, self.given(arguments["like"], env))
        try:
            op = VOCABULARY[name](**{key: kinds[key].read(value) for key, value in values.items()})
        except ValueError as error:
            raise Refused(str(error)) from None
        if "like" in arguments:
            op = replace(op, like=True)
        return self._place(path, op, () if name == "Parameter" else sources)

    def _block(self, name: str, arguments: dict[str, Any], path: str, source: str, env: Environment) -> str:
        block = self.blocks[name]
        defaults = {key: (value, self.model) for key, value in (block.get("defaults") or {}).items()}
        values = values_used(name, self.blocks)
        given = {
            key: (Given(self.given(value, env)), env) if key in values else (value, env)
            for key, value in arguments.items()
        }
        for key in block.get("params") or []:
            self._check_length(key, elements_used(key, block["layers"]), *{**defaults, **given}[key])
        outer, self.home = self.home, path
        end = self.sequence(block["layers"], path, source, Environment({**defaults, **given}, self.model))
        self.home = outer
        return end

    def _check_length(self, name: str, used: set[int], value: Any, env: Environment) -> None:
        """A parameter used by elements is a list of exactly so many."""
        if used and (not isinstance(value, list) or len(value) != len(used)):
            raise Refused(f"{name} has not {len(used)} elements")

    def _shared(self, name: str, sources: tuple[str, ...]) -> str:
        """Another call of what stands under a name, on another value."""
        path = f"{self.home}.{name}".lstrip(".")
        if path not in self.made or path in self.hidden:
            raise Refused(f"no {name} to share")
        written, env = self.made[path]
        if isinstance(written, dict) and "share" in written:
            raise Refused("another call of what is shared")
        if isinstance(written, dict):
            written = {**written, "from": [Given(source) for source in sources]}
        outer, self.again, values = self.again, True, dict(self.values)
        # What a switch says of it, it said when it was there.
        end = self.layer(written, path, path.rpartition(".")[0], sources[0], env)
        # The names inside are those of the first call.
        self.again, self.values = outer, values
        return end

    def _merge(self, name: str, arguments: Any, path: str, scope: str, source: str, env: Environment) -> str:
        said, branches = {}, arguments
        if isinstance(arguments, dict):
            kinds = {key: parameter.kind for key, parameter in MERGES[name].parameters().items()}
            said = {key: kinds[key].read(self.value(arguments[key], env)) for key in kinds if key in arguments}
            branches = arguments["branches"]
        ends, before, outer = [], set(self.values), set(self.hidden)
        for branch in branches:
            if isinstance(branch, str):
                ends.append(self.given(branch, env))
            else:
                ends.append(self.sequence(branch, scope, source, env))
            self.hidden = outer | (set(self.values) - before)
        self.hidden = outer
        return self._place(path, MERGES[name](**said), tuple(ends))

    # --- names ---

    def given(self, text: str, env: Environment) -> str:
        """The value that a name means, or that a parameter holds."""
        if isinstance(text, Given):
            return str(text)
        if text.startswith("$"):
            written, home = self._find(text, env)
            return self.given(written, home)
        return self.named(text)

    def named(self, text: str) -> str:
        """The value of a name in the block (or outside of all) where one is. Raises Refused."""
        name, _, number = text.partition(":")
        path = f"{self.home}.{name}".lstrip(".")
        if path in self.hidden or path not in self.values:
            raise Refused(f"no {text}")
        value = self.values[path] if number in ("", "0") else f"{self.values[path]}:{number}"
        if value not in self.shapes:
            raise Refused(f"no output {text}")
        return value

    # --- layers ---

    def _place(self, path: str, op: Op, inputs: tuple[str, ...]) -> str:
        shapes = tuple(self.shapes[name] for name in inputs)
        least, most = op.arity
        if not least <= len(inputs) - getattr(op, "like", False) <= most:
            raise Refused(f"{op.kind} of {len(inputs)}")
        try:
            outputs = op.outputs(shapes)
        except ShapeError as error:
            raise Refused(str(error)) from None
        if self.bounded:
            self._check_size(op, shapes, outputs[0])
        weights = op.weights(shapes)
        # A layer without weights may be made for the size of its input all the same.
        made_for = weights, op.torch_arguments(shapes)
        if self.weights.setdefault(path, made_for) != made_for:
            raise Refused("a layer made for another shape")
        number = self.times.get(path, 0)
        self.times[path] = number + 1
        name = f"{path}@{number}" if number else path
        self.shapes[name] = outputs[0]
        self.shapes |= {f"{name}:{index}": shape for index, shape in enumerate(outputs) if index}
        params, buffers = (sum(each.elements for each in weights if each.trained is kind) for kind in (True, False))
        self.layers.append(Layer(name, op, inputs, outputs, *((0, 0) if number else (params, buffers))))
        return name

    def _check_size(self, op: Op, inputs: tuple[Shape, ...], output: Shape) -> None:
        held = sum(weight.elements for weight in op.weights(inputs))
        if max(prod(output), held) > MOST_ELEMENTS or (op.macs(inputs, (output,)) or 0) > MOST_MACS:
            raise TooLarge
        if isinstance(op, LSTM | GRU) and inputs[0][1] * op.num_layers * op.directions > MOST_STEPS:
            raise TooLarge

    def _claim(self, path: str) -> None:
        if self.again:
            return
        if path in self.taken or path in self.inputs:
            raise Refused(f"{path} twice")
        self.taken.add(path)

    def _finish(self, path: str, source: str) -> None:
        self.ends[path] = source
        for name in [name for name, head in self.waiting.items() if head["from"] == path]:
            head = self.waiting.pop(name)
            self._claim(name)
            before, outer, layers = set(self.values), self.home, len(self.layers)
            self.home = name
            end = self.sequence(head["layers"], name, source, self.model)
            self.home = outer
            self.hidden |= set(self.values) - before
            if len(self.layers) == layers:
                raise Refused("a head without layers")
            self.head_outputs[name] = end

    # --- values ---

    def value(self, written: Any, env: Environment) -> Any:
        """What is written, with parameters replaced by what was written for them."""
        if isinstance(written, str) and _REFERENCE.fullmatch(written):
            name, dot, element = written.partition(".")
            found = self.value(*self._find(name, env))
            return found[int(element)] if dot else found
        if isinstance(written, str) and "$" in written:
            return plain_number(self.calculated(written, env))
        if isinstance(written, dict):
            number, multiple = (self.calculated(str(item), env) for item in written["round"])
            return rounded(number, multiple)
        if isinstance(written, list):
            return [self.value(item, env) for item in written]
        return written

    def calculated(self, text: str, env: Environment) -> Fraction:
        """An expression worked out as Python does it, on fractions: 0.1 is a tenth."""

        def number(match: re.Match[str]) -> str:
            found = self.value(match[0], env) if match[0].startswith("$") else match[0]
            if isinstance(found, bool) or not isinstance(found, int | float | str):
                raise Refused(f"{found} is no number")
            return f"Fraction('{found}')"

        worked_out = re.sub(rf"{_REFERENCE.pattern}|[0-9]+(\.[0-9]+)?", number, text)
        try:
            return Fraction(eval(worked_out, {"Fraction": Fraction}))  # the expression is the test's own
        except ZeroDivisionError:
            raise Refused("a division by 0") from None

    def _find(self, reference: str, env: Environment) -> tuple[Any, Environment]:
        name = reference[1:]
        return env.own[name] if name in env.own or env.model is None else env.model.own[name]


_REFERENCE = re.compile(r"\$([A-Za-z0-9_]+)(?:\.([0-9]+))?")


def inputs_of(document: Document) -> dict[str, tuple[Shape, str]]:
    """The inputs by name: shape, with a batch of 1, and dtype."""
    if "input" in document:
        return {INPUT: ((1, *document["input"]), "float")}
    return {
        name: ((1, *given), "float") if isinstance(given, list) else ((1, *given["shape"]), given.get("dtype", "float"))
        for name, given in document["inputs"].items()
    }


def plain_number(number: Fraction) -> int | float:
    """A whole one is an integer."""
    return int(number) if number == int(number) else float(number)


def rounded(number: Fraction, multiple: Fraction) -> int:
    """The nearest multiple, at least one, that is not more than a tenth below."""
    down = max(number // multiple * multiple, multiple)
    nearest = down + multiple if number - down >= multiple / 2 else down
    return int(nearest if nearest >= number * Fraction(9, 10) else nearest + multiple)


def values_used(name: str, blocks: dict[str, Any]) -> set[str]:
    """The parameters of a block that hold what a layer gave: they stand where a name may."""
    found: set[str] = set()

    def note(text: Any) -> None:
        if isinstance(text, str) and text.startswith("$"):
            found.add(text[1:])

    def walk(written: Any) -> None:
        if isinstance(written, list):
            for item in written:
                walk(item)
        if not isinstance(written, dict):
            return
        for key, item in written.items():
            if key == "from":
                for text in item if isinstance(item, list) else [item]:
                    note(text)
            elif key in MERGES:
                for branch in item["branches"] if isinstance(item, dict) else item:
                    note(branch)
            elif isinstance(item, dict):
                note(item.get("like"))
                if key in blocks and key != name:
                    for parameter in values_used(key, blocks):
                        note(item.get(parameter))
            walk(item)

    walk(blocks[name]["layers"])
    return found & set(blocks[name].get("params") or [])


def only_used(document: Document) -> Document:
    """The document without the model's parameters that nothing in it uses, which are refused."""
    used = references([document.get(key) for key in ("blocks", "stages", "heads")])
    if "params" in document:
        document["params"] = {name: value for name, value in document["params"].items() if name in used}
    return document


def references(written: Any) -> set[str]:
    """The names of the parameters that something written uses."""
    if isinstance(written, str):
        return {match[1] for match in _REFERENCE.finditer(written)}
    items = written.values() if isinstance(written, dict) else written if isinstance(written, list) else ()
    return {name for item in items for name in references(item)}


def elements_used(name: str, written: Any) -> set[int]:
    """Which elements of a parameter a block uses."""
    if isinstance(written, str):
        return {int(match[2]) for match in _REFERENCE.finditer(written) if match[1] == name and match[2]}
    items = written.values() if isinstance(written, dict) else written if isinstance(written, list) else ()
    return {element for item in items for element in elements_used(name, item)}


# --- what arguments may hold ---


def _pair(each: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(each, st.tuples(each, each).map(list))


def _of_axes(each: st.SearchStrategy[Any], axes: int) -> st.SearchStrategy[Any]:
    return each if axes == 1 else st.one_of(each, st.tuples(*[each] * axes).map(list))


_FLAGS = st.booleans()
_SMALL = st.integers(1, 3)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "channels": st.sampled_from([4, 6, 8, 1, 2, 3, 5, 12]),
    "kernel": _pair(st.sampled_from([1, 3, 2, 1, 5, 4])),
    "stride": _pair(st.sampled_from([1, 1, 2, 3])),
    "step": st.one_of(_pair(st.sampled_from([1, 2, 1, 3])), st.none()),
    "padding": st.one_of(_pair(st.integers(0, 3)), st.sampled_from([0, "same", "valid"])),
    "border": _pair(st.sampled_from([0, 0, 1, 2])),
    "outer": _pair(st.sampled_from([0, 0, 1, 2])),
    "dilation": _pair(st.sampled_from([1, 1, 1, 2, 3])),
    "groups": st.sampled_from([1, 1, 2, 4, 3]),
    "flag": _FLAGS,
    "divisor": st.sampled_from([None, None, 1, 4, -2]),
    "target": st.one_of(st.integers(1, 7), st.lists(st.one_of(st.integers(1, 7), st.none()), min_size=2, max_size=2)),
    "extent": st.one_of(_pair(st.integers(1, 12)), st.none()),
    "factor": st.one_of(_pair(st.sampled_from([2, 1, 1.5, 0.5, 2.0, 0.3])), st.none()),
    "mode": st.sampled_from(["nearest", "bilinear", "bicubic", "nearest-exact"]),
    "maybe": st.sampled_from([True, False, None]),
    "slope": st.sampled_from([0.2, 0.01, 0, 1, -0.5]),
    "eps": st.sampled_from([1e-5, 0.001, 1]),
    "momentum": st.sampled_from([0.1, None, 0, 1, 0.5]),
    "window": st.integers(1, 6),
    "number": st.sampled_from([1.0, 1e-4, 0.75, 2, 0.5]),
    "share": st.sampled_from([0.5, 0, 0.1, 1.0, 1]),
    "approximate": st.sampled_from(["none", "tanh"]),
    "axis": st.sampled_from([1, -1, 0, 2, 3, -2, -4]),
    "times": st.sampled_from([2, 1, 3, 0]),
    "scale": st.sampled_from([0.17, 1.0, 1, -0.5, 0]),
    "whole": _SMALL,
    "inner": st.sampled_from([1, 2, -1, 3, -2]),
    "inners": st.sampled_from([1, 2, [1], [1, 2], [-1], [2, 3]]),
    "shifts": st.sampled_from([1, -1, 2, [1], [1, 2], [-3, 1]]),
    "many": st.sampled_from([2, 1, 4, 3]),
    "any": st.sampled_from([0, 1, -1, 2, -2]),
    "end": st.sampled_from([None, 3, 2, -1, 9]),
    "edges": st.sampled_from([1, 0, 2, [1, 0, 0, 2], [0, 1, 2, 1], [-1, 0, 0, 0]]),
    "beyond": st.sampled_from(["constant", "constant", "reflect", "replicate"]),
    "chance": st.sampled_from(["row", "batch"]),
    # Where there are one or three axes.
    **{
        f"{word} {axes}": _of_axes(each, axes)
        for axes in (1, 3)
        for word, each in {
            "kernel": st.sampled_from([1, 3, 2, 1]),
            "stride": st.sampled_from([1, 1, 2]),
            "border": st.sampled_from([0, 0, 1, 2]),
            "outer": st.sampled_from([0, 0, 1]),
            "dilation": st.sampled_from([1, 1, 1, 2]),
            "target": st.integers(1, 6),
        }.items()
    },
    **{f"step {axes}": st.one_of(_of_axes(st.sampled_from([1, 2, 1, 3]), axes), st.none()) for axes in (1, 3)},
    **{
        f"padding {axes}": st.one_of(_of_axes(st.integers(0, 2), axes), st.sampled_from([0, "same", "valid"]))
        for axes in (1, 3)
    },
}

# Their arguments are made for the shape that they take.
FITTED = ("ChannelAffine", "Permute", "Reshape", "Unflatten")
# They take more than one tensor, tokens, or none, and have tests of their own.
UNDRAWN = ("Embedding", "Parameter", "ScaledDotProductAttention")

# By class: each argument, what it may hold, and how often of ten it is given (10: it must be).
ARGUMENTS: dict[str, dict[str, tuple[str, int]]] = {
    "Conv2d": {
        "out_channels": ("channels", 10),
        "kernel_size": ("kernel", 10),
        "stride": ("stride", 4),
        "padding": ("padding", 6),
        "dilation": ("dilation", 2),
        "groups": ("groups", 3),
        "bias": ("flag", 4),
    },
    "ConvTranspose2d": {
        "out_channels": ("channels", 10),
        "kernel_size": ("kernel", 10),
        "stride": ("stride", 6),
        "padding": ("border", 4),
        "output_padding": ("outer", 4),
        "groups": ("groups", 4),
        "bias": ("flag", 4),
        "dilation": ("dilation", 3),
    },
    "Linear": {"out_features": ("channels", 10), "bias": ("flag", 3)},
    "MaxPool2d": {
        "kernel_size": ("kernel", 10),
        "stride": ("step", 7),
        "padding": ("border", 4),
        "dilation": ("dilation", 3),
        "ceil_mode": ("flag", 5),
    },
    "AvgPool2d": {
        "kernel_size": ("kernel", 10),
        "stride": ("step", 7),
        "padding": ("border", 4),
        "ceil_mode": ("flag", 5),
        "count_include_pad": ("flag", 4),
        "divisor_override": ("divisor", 3),
    },
    "AdaptiveAvgPool2d": {"output_size": ("target", 10)},
    # Which of them go together, the writer knows.
    "Upsample": {
        "size": ("extent", 5),
        "scale_factor": ("factor", 5),
        "mode": ("mode", 6),
        "align_corners": ("maybe", 4),
        "recompute_scale_factor": ("maybe", 2),
    },
    "BatchNorm2d": {
        "eps": ("eps", 3),
        "momentum": ("momentum", 3),
        "affine": ("flag", 3),
        "track_running_stats": ("flag", 3),
    },
    "LocalResponseNorm": {
        "size": ("window", 10),
        "alpha": ("number", 4),
        "beta": ("number", 4),
        "k": ("number", 4),
    },
    "ReLU": {"inplace": ("flag", 5)},
    "ReLU6": {"inplace": ("flag", 5)},
    "LeakyReLU": {"negative_slope": ("slope", 5), "inplace": ("flag", 5)},
    "SiLU": {"inplace": ("flag", 5)},
    "Sigmoid": {},
    "Tanh": {},
    "GELU": {"approximate": ("approximate", 5)},
    "Dropout": {"p": ("share", 5), "inplace": ("flag", 5)},
    "Flatten": {"start_dim": ("axis", 4), "end_dim": ("axis", 4)},
    "Softmax": {"dim": ("axis", 6)},
    "Identity": {},
    **{
        kind: {
            "eps": ("eps", 3),
            "momentum": ("momentum", 3),
            "affine": ("flag", 3),
            "track_running_stats": ("flag", 3),
        }
        for kind in ("BatchNorm1d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d")
    },
    "GroupNorm": {"num_groups": ("groups", 10), "eps": ("eps", 3), "affine": ("flag", 3)},
    "LayerNorm": {
        "axes": ("many", 4),
        "eps": ("eps", 3),
        "elementwise_affine": ("flag", 3),
        "bias": ("flag", 3),
    },
    "LayerNorm2d": {"eps": ("eps", 3), "elementwise_affine": ("flag", 3), "bias": ("flag", 3)},
    "RMSNorm": {"axes": ("many", 4), "eps": ("eps", 3), "elementwise_affine": ("flag", 3)},
    "PReLU": {"num_parameters": ("groups", 3), "init": ("slope", 4)},
    "ELU": {"alpha": ("slope", 4), "inplace": ("flag", 5)},
    **{kind: {"inplace": ("flag", 5)} for kind in ("Hardswish", "Hardsigmoid", "Mish")},
    "Softplus": {"beta": ("number", 4), "threshold": ("number", 4)},
    "StochasticDepth": {"p": ("share", 10), "mode": ("chance", 5)},
    "AdaptiveMaxPool2d": {"output_size": ("target", 10)},
    "Unsqueeze": {"dim": ("inner", 10)},
    "Slice": {"dim": ("inner", 6), "start": ("any", 5), "stop": ("end", 5), "step": ("many", 4)},
    "Roll": {"shifts": ("shifts", 10), "dims": ("inners", 10)},
    "ChannelShuffle": {"groups": ("groups", 10)},
    "PixelShuffle": {"upscale_factor": ("many", 10)},
    "PixelUnshuffle": {"downscale_factor": ("many", 10)},
    "ZeroPad2d": {"padding": ("edges", 10)},
    "Pad": {"multiple": ("many", 10), "dims": ("inners", 4), "mode": ("beyond", 4), "value": ("number", 3)},
    "MultiheadAttention": {"num_heads": ("groups", 10), "dropout": ("share", 3), "bias": ("flag", 4)},
    "ShiftedWindowAttention": {
        "heads": ("groups", 10),
        "window": ("kernel", 10),
        "shift": ("border", 4),
        "qkv_bias": ("flag", 3),
        "proj_bias": ("flag", 3),
        "attention_dropout": ("share", 2),
        "dropout": ("share", 2),
    },
    **{
        kind: {
            "hidden_size": ("channels", 10),
            "num_layers": ("many", 3),
            "bias": ("flag", 3),
            "dropout": ("share", 2),
            "bidirectional": ("flag", 4),
        }
        for kind in ("LSTM", "GRU")
    },
    # What they hold depends on the input's shape: the writer makes it.
    **{kind: {} for kind in FITTED},
}
for _kind in ("Conv", "ConvTranspose", "MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool"):
    for _axes in (1, 3):
        ARGUMENTS[f"{_kind}{_axes}d"] = {
            name: (f"{word} {_axes}" if f"{word} {_axes}" in VALUES else word, often)
            for name, (word, often) in ARGUMENTS[f"{_kind}2d"].items()
        }
# torch's own has none.
del ARGUMENTS["AvgPool1d"]["divisor_override"]

_POINTWISE = (
    *("ReLU", "ReLU6", "SiLU", "Sigmoid", "Tanh", "GELU", "Dropout", "Softmax", "Identity", "ReLU", "LeakyReLU"),
    *("ELU", "Hardswish", "Hardsigmoid", "Mish", "Softplus", "PReLU", "StochasticDepth"),
)
_MOVING = ("Permute", "Reshape", "Unflatten", "Unsqueeze", "Slice", "Roll", "Pad")
_SPATIAL = (
    *("Conv2d", "Conv2d", "Conv2d", "Conv2d", "ReLU", "MaxPool2d", "AvgPool2d", "BatchNorm2d", "AdaptiveAvgPool2d"),
    *("MaxPool2d", "AvgPool2d", "BatchNorm2d", "LocalResponseNorm", "ConvTranspose2d", "Upsample", "ChannelAffine"),
    *("ConvTranspose2d", "Conv2d", "Conv2d", "Upsample", "MaxPool2d", "Conv2d", "AvgPool2d", "Linear"),
    *("AdaptiveMaxPool2d", "GroupNorm", "LayerNorm", "LayerNorm2d", "RMSNorm", "InstanceNorm2d", "ChannelShuffle"),
    *("PixelShuffle", "PixelUnshuffle", "ZeroPad2d", "ShiftedWindowAttention", *_POINTWISE, *_MOVING),
)
_FLAT = ("Linear", "Linear", "Linear", "Linear", "Flatten", "LayerNorm", "BatchNorm1d", *_POINTWISE, *_MOVING)
_SEQUENCE = (
    *("Conv1d", "Conv1d", "ConvTranspose1d", "MaxPool1d", "AvgPool1d", "AdaptiveAvgPool1d", "AdaptiveMaxPool1d"),
    *("BatchNorm1d", "InstanceNorm1d", "GroupNorm", "LayerNorm", "RMSNorm", "Linear", "MultiheadAttention", "LSTM"),
    *("GRU", "Conv1d", "Linear", "ReLU", "Flatten", "Permute", "Reshape", "Unsqueeze", "Unflatten", "Slice", "Pad"),
)
_VOLUME = (
    *("Conv3d", "Conv3d", "ConvTranspose3d", "MaxPool3d", "AvgPool3d", "AdaptiveAvgPool3d", "AdaptiveMaxPool3d"),
    *("BatchNorm3d", "InstanceNorm3d", "GroupNorm", "Conv3d", "Flatten", "ReLU", "Dropout", "Reshape", "Slice"),
)
# By how many sizes the input has, the batch among them.
_KINDS = {2: _FLAT, 3: _SEQUENCE, 4: _SPATIAL, 5: _VOLUME}
# They fit wherever a layer stands, so they may be a parameter's value.
_ANYWHERE = ("ReLU", "Sigmoid", "Tanh", "GELU", "SiLU", "ReLU6", "Dropout", "Identity", "Softmax", "LeakyReLU")
_NAMES = ("conv", "a", "b_", "Layer", "_x", "norm1_", "7")


@cache
def _index(length: int) -> st.SearchStrategy[int]:
    return st.integers(0, length - 1)


def _one(draw: Draw, options: Sequence[Any]) -> Any:
    """One of the options; the first is the simplest."""
    return options[draw(_index(len(options)))]


_PERCENT = st.integers(0, 99)


@dataclass
class Scope:
    """Where a layer stands: the parameters it may use, and what they hold while the block is written."""

    is_block: bool = False
    # By name: what it may hold ("layer" for a layer, a list of such words for a list used by elements), and a value.
    params: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    # The model's parameters used here: no parameter of the block may come to shadow them.
    seen: set[str] = field(default_factory=set)
    # What layers may read here by its name: its shape. A parameter that holds a value has its shape as its own.
    values: dict[str, Shape] = field(default_factory=dict)
    # The inputs that hold tokens: only an Embedding reads them.
    tokens: dict[str, Shape] = field(default_factory=dict)
    # What may be called again, and what the layer at each path is made for.
    made: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)
    # And what stood before it.
    took: dict[str, Shape] = field(default_factory=dict)
    # In how many lists one is: names inside them are their own.
    lists: int = 0

    def environment(self, model: Environment) -> Environment:
        if not self.is_block:
            return model
        return Environment(
            {
                name: (Given(f"${name}") if word == "value" else value, model)
                for name, (word, value) in self.params.items()
            },
            model,
        )

    def known(self) -> dict[str, Shape]:
        """What may stand as a branch or in `from`, by how it is written there."""
        held = {f"${name}": shape for name, (word, shape) in self.params.items() if word == "value"}
        return {**held, **self.values}

    def state(self) -> tuple[Any, ...]:
        """What a layer that is thrown away may have changed."""
        return dict(self.params), dict(self.values), dict(self.made), dict(self.weights)

    def restore(self, state: tuple[Any, ...]) -> None:
        self.params, self.values, self.made, self.weights = state


class Writer:
    """Writes one document."""

    def __init__(self, draw: Draw, faulty: bool, simple: bool = False, often: str = "") -> None:
        self.draw, self.faulty, self.simple = draw, faulty, simple
        # A kind that is drawn often, with most of its arguments.
        self.often = often
        self.document: Document = {"name": "drawn"}
        self.params: dict[str, tuple[Any, Any]] = {}
        self.block_params: dict[str, dict[str, tuple[Any, Any]]] = {}
        self.names = 0
        self.writing_block = False

    def pick(self, options: Sequence[Any]) -> Any:
        return _one(self.draw, options)

    def chance(self, percent: int) -> bool:
        # The simplest draw is 0: what is rare is what shrinking takes away.
        return bool(self.draw(_PERCENT) >= 100 - percent)

    def name(self) -> str:
        if self.faulty and self.names and self.chance(10):
            return f"again{self.names % 2}"
        self.names += 1
        return f"{self.pick(_NAMES)}{self.names}"

    def entry(self, body: dict[str, Any], layer: Any) -> None:
        """One more layer of a mapping. A name it has would take the other layer away, and with it the only use of a
        parameter: names meet elsewhere."""
        name = self.name()
        while name in body:
            name = self.name()
        body[name] = layer

    # --- the document ---

    def write(self) -> Document:
        document = self.document
        self.inputs()
        for key, value in (
            ("title", "Drawn: a \u2113ayer zoo"),
            ("year", 2014),
            ("family", "drawn"),
            ("notes", "Made up."),
            ("paper", {"title": "None", "year": 2014, "arxiv": "1409.4842"}),
        ):
            if self.chance(10):
                document[key] = value
        document["params"] = {}
        document["blocks"] = {}
        shape, dtype = next(iter(inputs_of(document).values()))
        if not self.simple:
            for _ in range(self.pick((1, 0, 2, 3))):
                self.block()
        document["stages"] = {}
        self.stages(shape, dtype)
        if not self.simple and self.chance(40):
            self.heads()
        if not self.simple and self.chance(20):
            self.outputs()
        for key in ("params", "blocks"):
            if not document[key] and self.chance(80):
                del document[key]
        if self.chance(10):
            document["published"] = [{"source": "a table", "totals": {"params": "2.7K", "macs": "34M"}}]
        return only_used(document)

    def inputs(self) -> None:
        """One that nobody names, or several."""
        first = [self.pick((3, 4, 1, 6, 8)), *self.sizes()]
        if self.simple or not self.chance(20):
            self.document["input"] = first
            return
        found: dict[str, Any] = {"image": first}
        if self.chance(60):
            tokens = {"shape": [self.draw(st.integers(2, 9))], "dtype": "int64"}
            found = {"tokens": tokens, **found} if self.chance(30) else {**found, "tokens": tokens}
        elif self.chance(80):
            found["other"] = self.pick((first, {"shape": first}, [5, *first[1:]]))
        self.document["inputs"] = found

    def outputs(self) -> None:
        """Any values of the network, by their paths."""
        try:
            found = Reference(self.document, "eval").run()
        except Refused:
            return
        again = {layer.name.partition("@")[0] for layer in found.layers if "@" in layer.name}
        # Of what is called again a path may mean either call.
        paths = [path for path in found.values if path not in found.inputs and not _is_below(path, again)]
        if paths:
            self.document["outputs"] = {f"out{number}": self.pick(paths) for number in range(self.pick((1, 2, 3)))}

    def sizes(self) -> list[int]:
        """Of an image as a rule, else of a sequence or a volume."""
        if self.often:
            axes = self.pick([rank - 2 for rank, kinds in _KINDS.items() if self.often in kinds and rank > 2] or [1])
            return [self.draw(st.integers(4, 8)) for _ in range(axes)]
        axes, most = (2, 24) if self.chance(75) else self.pick(((2, 24), (1, 24), (3, 8)))
        return [self.draw(st.integers(4, most)) for _ in range(axes)]

    def stages(self, shape: Shape, dtype: str) -> None:
        scope = Scope()
        for name, (given, kind) in inputs_of(self.document).items():
            (scope.tokens if kind == "int64" else scope.values)[name] = given
        shared = self.name()
        listed = self.chance(15)
        for number in range(self.pick((1, 2, 3, 2))):
            style = "list" if listed and self.chance(70) else "mapping"
            first: dict[str, Any] = {}
            if number == 0 and dtype == "int64":
                style = "mapping"
                self.entry(first, {"Embedding": {"num_embeddings": 7, "embedding_dim": self.pick((4, 6, 8))}})
                (name,) = first
                shape = scope.values[name] = (*shape, first[name]["Embedding"]["embedding_dim"])
            body, shape = self.sequence(scope, shape, self.pick((2, 1, 3, 4)), depth=0, style=style)
            if first:
                body = {**first, **body}
            if isinstance(body, dict) and self.chance(30):
                # The same name in several stages: the list goes on.
                members, shape = self.sequence(scope, shape, self.pick((1, 2)), depth=1, style="list")
                body[shared] = members
                scope.values.pop(shared, None)
            self.document["stages"][f"stage {number}"] = body
        if len(shape) == 4 and self.chance(50):
            last: dict[str, Any] = {}
            if self.chance(70):
                last["pool"] = {"AdaptiveAvgPool2d": {"output_size": 1}}
            last["flatten"] = "Flatten"
            last["fc"] = {"Linear": {"out_features": self.value("channels", scope)}}
            self.document["stages"]["classifier"] = last

    def heads(self) -> None:
        try:
            found = Reference(self.document).run()
        except Refused:
            return
        paths = sorted(found.ends)
        heads = {}
        for _ in range(self.pick((1, 2))):
            path = self.pick(paths)
            name = self.name()
            shape = found.shapes[found.ends[path]]
            body, shape = self.sequence(
                Scope(), shape, self.pick((1, 2)), depth=2, style=self.pick(("mapping", "list"))
            )
            if not body or self.chance(50):
                # A body whose layers are all switched off would be a head without layers.
                body = {"flatten": "Flatten", "fc": {"Linear": {"out_features": 3}}}
            heads[name] = {"from": path, "layers": body}
            if self.chance(50):
                heads[name]["weight"] = 0.3
        self.document["heads"] = heads

    # --- blocks ---

    def block(self) -> None:
        """A block, written for one input and one value of each parameter; calls may give others."""
        scope = Scope(is_block=True)
        self.writing_block = True
        shape: Shape = (1, self.pick((4, 3, 6, 8)), self.pick((8, 11)), self.pick((8, 10)))
        if self.chance(20):
            shape = self.pick((shape[:3], (*shape[:2], 5, 6, 5)))
        if self.chance(30):
            # A skip: of the block's own size as a rule.
            self.names += 1
            wide = self.pick((shape, shape, (*shape[:2], *(2 * size for size in shape[2:])), (1, 5, *shape[2:])))
            scope.params[f"skip{self.names}"] = "value", wide
        style = self.pick(("mapping", "mapping", "list"))
        body, _ = self.sequence(scope, shape, self.pick((2, 1, 3)), depth=1, style=style)
        self.writing_block = False
        body = self.trimmed(scope, body)
        scope.params = {key: held for key, held in scope.params.items() if key in references(body)}
        name = f"block{len(self.document['blocks'])}"
        block: dict[str, Any] = {"layers": body}
        if scope.params:
            block["params"] = list(scope.params)
            defaults = {
                key: self.default(*held, scope)
                for key, held in scope.params.items()
                if held[0] != "value" and self.chance(40)
            }
            if defaults:
                block["defaults"] = defaults
        self.document["blocks"][name] = block
        self.block_params[name] = scope.params

    def trimmed(self, scope: Scope, body: Any) -> Any:
        """The body with the elements of `many` numbered anew: those of layers that were drawn again are gone."""
        words, values = scope.params.pop("many", ([], []))
        used = sorted(elements_used("many", body))
        if used:
            scope.params["many"] = [words[index] for index in used], [values[index] for index in used]
        numbers = {f"$many.{index}": f"$many.{place}" for place, index in enumerate(used)}
        return renamed(body, numbers)

    def default(self, word: Any, value: Any, scope: Scope) -> Any:
        """A default: the value the block was written for, or a parameter of the model that no own one shadows."""
        return f"${self.models(word, scope)}" if isinstance(word, str) and self.chance(20) else value

    def call(self, scope: Scope) -> Any:
        """A call of some block, with the values it was written for or with others."""
        name = self.pick(sorted(self.block_params))
        defaults = self.document["blocks"][name].get("defaults", {})
        arguments = {}
        for key, (kind, value) in self.block_params[name].items():
            if key in defaults and self.chance(60):
                continue
            if kind == "value":
                known = scope.known()
                alike = [text for text, shape in known.items() if shape[1:] == value[1:]] or [*known]
                if not alike:
                    return "Identity"
                arguments[key] = self.pick(alike)
            elif self.chance(50):
                arguments[key] = value
            elif isinstance(kind, list):
                arguments[key] = [self.value(each, scope) for each in kind]
            elif kind == "layer":
                arguments[key] = self.small_layer(scope)
            else:
                arguments[key] = self.value(kind, scope)
        return {name: arguments} if arguments or self.chance(30) else self.pick((name, {name: None}))

    # --- sequences ---

    def sequence(self, scope: Scope, shape: Shape, count: int, depth: int, style: str, keep: str = "") -> Any:
        """(layers in order, the shape after them); `keep` is "size" or "shape" where it must stay."""
        listed = style == "list"
        members: list[Any] = []
        named: dict[str, Any] = {}
        scope.lists += listed
        for _ in range(count):
            layer, shape, trial = self.settled(scope, shape, depth, listed, keep)
            if listed:
                members.append(layer)
                continue
            self.entry(named, layer)
            if trial is not None and not scope.lists:
                self.remember(scope, trial, next(reversed(named)), layer)
        scope.lists -= listed
        return (members if listed else named), shape

    def remember(self, scope: Scope, trial: Reference, name: str, layer: Any) -> None:
        """What a layer that was tried has made, under the name it got."""

        def path(tried: str) -> str:
            return re.sub(r"\Atrial(?=\.|\Z)", name, tried)

        again = {layer.name.partition("@")[0] for layer in trial.layers if "@" in layer.name}
        for tried, value in trial.values.items():
            if tried.startswith("$") or tried in scope.values or tried in scope.tokens or _is_below(tried, again):
                continue
            scope.values[path(tried)] = trial.shapes[value]
            if f"{value}:1" in trial.shapes:
                scope.values[f"{path(tried)}:1"] = trial.shapes[f"{value}:1"]
        scope.weights |= {path(tried): weights for tried, weights in trial.weights.items()}
        kind = _kind_of(layer)
        if (
            "trial" in trial.values
            and kind
            and not kind.startswith("$")
            and kind not in ("share", "Parameter", "Embedding")
        ):
            scope.made[name] = layer
            scope.took[name] = trial.shapes[INPUT]

    def settled(
        self, scope: Scope, shape: Shape, depth: int, listed: bool, keep: str
    ) -> tuple[Any, Shape, Reference | None]:
        """A layer that takes this shape, what it makes of it, and how it was tried."""
        for attempt in range(4):
            before = dict(self.params), dict(self.document["params"])
            inside = scope.state()
            layer = self.layer(scope, shape, depth, listed, keep)
            try:
                trial, after = self.after(layer, scope, shape, listed)
                if kept(shape, after, keep):
                    return layer, after, trial
            except TooLarge:
                pass
            except Refused:
                if self.faulty and attempt == 0 and self.chance(70):
                    return layer, shape, None
            # Parameters that only the layer thrown away used would be used nowhere.
            scope.restore(inside)
            self.params, self.document["params"] = before
        return "Identity", shape, None

    def after(self, layer: Any, scope: Scope, shape: Shape, listed: bool) -> tuple[Reference, Shape]:
        """A trial of a layer, and the shape it gives. Raises Refused, and TooLarge."""
        trial = Reference({**self.document, "input": shape[1:], "inputs": {}, "stages": {}}, bounded=True)
        known = {**scope.known(), **scope.tokens}
        trial.shapes = {INPUT: shape, **{f"before {text}": held for text, held in known.items()}}
        trial.shapes |= {text: held for text, held in known.items() if text.startswith("$")}
        trial.values = {text: f"before {text}" for text in known}
        trial.inputs = {}
        trial.weights = dict(scope.weights)
        env = scope.environment(trial.model)
        trial.made = {name: (written, env) for name, written in scope.made.items()}
        trial.times = dict.fromkeys(scope.weights, 1)
        end = trial.sequence([layer] if listed else {"trial": layer}, "", INPUT, env)
        return trial, trial.shapes[end]

    # --- layers ---

    def layer(self, scope: Scope, shape: Shape, depth: int, listed: bool, keep: str) -> Any:
        roll = self.draw(_PERCENT)
        deep = depth >= 3 or self.simple
        if not self.simple and self.chance(20):
            layer = self.named(scope, shape, depth, listed, keep)
            if layer is not None:
                return self.switched(layer, scope)
        if roll < 60 or (deep and roll < 90):
            layer = self.plain(scope, shape, keep)
        elif roll < 71 or deep:
            again = None if deep or self.chance(65) else self.shared(scope, shape)
            layer = again or (self.call(scope) if self.block_params else self.plain(scope, shape, keep))
        elif roll < 87:
            layer = self.merge(scope, shape, depth, "concat" if roll < 79 else "add")
        elif roll < 92:
            layer = self.sequence(scope, shape, self.pick((1, 2, 0)), depth + 1, "list", keep)[0]
        elif roll < 96:
            layer = self.parameter("layer", scope)
        elif listed:
            scope.lists += 1
            inner = self.settled(scope, shape, depth + 1, True, keep)[0]
            scope.lists -= 1
            layer = {"repeat": {"times": self.value("times", scope), "layer": inner}}
        else:
            layer = self.plain(scope, shape, keep)
        return self.switched(layer, scope)

    def merge(self, scope: Scope, shape: Shape, depth: int, word: str) -> Any:
        """A concat of branches that agree in their sizes, or a sum or product of branches of one shape."""
        if word == "concat":
            if self.chance(75):
                return {"concat": self.branches(scope, shape, depth, "size")}
            # Along another axis the channels have to agree too.
            dim = self.pick((1, 2, -1))
            return {"concat": {"dim": dim, "branches": self.branches(scope, shape, depth, "shape")}}
        branches = self.branches(scope, shape, depth, "shape")
        if self.chance(30):
            return {"mul": branches}
        return {"add": {"scale": self.value("scale", scope), "branches": branches} if self.chance(50) else branches}

    def switched(self, layer: Any, scope: Scope) -> Any:
        """Some layers carry `when`, before or after the key that says what they are."""
        if isinstance(layer, list) or not self.chance(7) or self.simple or "when" in layer:
            return layer
        if isinstance(layer, str):
            if layer.startswith("$"):
                return layer
            layer = {layer: self.pick(({}, None))}
        flag = self.parameter("flag", scope)
        return {"when": flag, **layer} if self.chance(30) else {**layer, "when": flag}

    def plain(self, scope: Scope, shape: Shape, keep: str) -> Any:
        """A class of the vocabulary with arguments."""
        if len(shape) == 4:
            kind = "Flatten" if not keep and self.chance(4) else self.pick(_SPATIAL)
        else:
            kind = self.pick(_KINDS.get(len(shape), _ANYWHERE))
        if self.often in _KINDS.get(len(shape), ()) and self.chance(50):
            kind = self.often
        arguments = self.fitted(kind, shape, scope) if kind in FITTED else {}
        if keep and kind == "Conv2d" and self.chance(70):
            arguments = {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 1}
            if keep == "shape":
                arguments["out_channels"] = shape[1]
        windows = kind.startswith(("Conv", "MaxPool", "AvgPool")) and not kind.startswith("ConvTranspose")
        if windows and not self.simple and not keep and self.chance(15):
            beside = [self.pick((0, 1)) for _ in range(2 * (len(shape) - 2))]
            words = ("same_tf", "same", "valid") if kind.startswith("Conv") else ("same_tf",)
            arguments["padding"] = self.pick((beside, *words))
            if arguments["padding"] == "same":
                arguments["stride"] = 1
        needed, barred = self.together() if kind == "Upsample" else (set(), set())
        for key, (word, often) in ARGUMENTS[kind].items():
            if key in arguments or key in barred:
                continue
            if often == 10 or key in needed or self.chance(max(10 * often, 60 if kind == self.often else 0)):
                arguments[key] = self.value(word, scope)
        if not arguments:
            return self.pick((kind, {kind: {}}, {kind: None}))
        return {kind: arguments}

    def fitted(self, kind: str, shape: Shape, scope: Scope) -> dict[str, Any]:
        """Arguments that are made for the shape a layer takes."""
        if kind == "ChannelAffine":
            return {key: [self.value("number", scope) for _ in range(shape[1])] for key in ("scale", "shift")}
        if kind == "Permute":
            return {"dims": [0, *self.draw(st.permutations(range(1, len(shape))))]}
        if kind == "Reshape":
            return {"shape": self.pick(([0, -1], [0, shape[1], -1], [0, -1, *shape[2:]], [0, 1, *shape[1:]]))}
        axis = self.draw(st.integers(1, len(shape) - 1))
        parts = self.pick((1, 2, 3)) if self.faulty else self.pick([n for n in (2, 1, 3) if shape[axis] % n == 0])
        return {"dim": axis, "unflattened_size": self.pick(([parts, -1], [-1, parts]))}

    def together(self) -> tuple[set[str], set[str]]:
        """(what an Upsample must be given, what it must not be given), but now and then nothing of either."""
        if self.chance(10):
            return set(), set()
        needed, barred = {"scale_factor"}, {"size"}
        if self.chance(40):
            needed, barred = barred, needed | {"recompute_scale_factor"}
        if self.chance(50):
            # Of the modes half take it.
            return needed | {"mode", "align_corners"}, barred
        return needed, barred | {"align_corners"}

    def small_layer(self, scope: Scope) -> Any:
        """A layer that fits anywhere, for a parameter that holds one."""
        roll = self.draw(_PERCENT)
        kind = self.pick(_ANYWHERE)
        if roll < 50:
            return kind
        if roll < 75:
            arguments = {
                key: self.value(word, scope) for key, (word, _) in ARGUMENTS[kind].items() if kind != "Softmax"
            }
            return {kind: arguments}
        if roll < 85:
            return [kind, self.pick(_ANYWHERE)]
        known = [key for key, (held, _) in scope.params.items() if held == "layer"]
        return f"${self.pick(known)}" if known else {kind: {}}

    # --- what is read by its name ---

    def named(self, scope: Scope, shape: Shape, depth: int, listed: bool, keep: str) -> Any:
        """A layer that reads values by their names, meets them, or is called again; None where there are none."""
        makers: tuple[Callable[[], Any], ...] = (
            lambda: self.read_from(scope, depth, listed, keep),
            lambda: self.shared(scope, shape),
            lambda: self.shared(scope, shape),
            lambda: self.meeting(scope, shape, keep),
            lambda: self.upsampled(scope, shape),
            lambda: self.attention(scope, shape),
            lambda: None if listed or scope.lists else self.learned(shape),
            lambda: self.gate(shape),
            lambda: self.product(scope, shape),
            lambda: self.halves(scope, shape),
        )
        return self.pick(makers)()

    def shared(self, scope: Scope, shape: Shape) -> Any:
        """Another call of a layer or block, on what it fits as a rule."""
        if not scope.made or scope.lists:
            return None
        blocks = [name for name, layer in scope.made.items() if _kind_of(layer) in self.block_params]
        name = self.pick(blocks if blocks and self.chance(70) else sorted(scope.made))
        texts = [text for text, held in scope.known().items() if held == scope.took[name]]
        if texts and self.chance(30 if shape == scope.took[name] else 90):
            return {"share": name, "from": self.pick(texts)}
        return {"share": name}

    def meeting(self, scope: Scope, shape: Shape, keep: str) -> Any:
        """What is here and values by their names, joined, added or multiplied."""
        texts = [text for text, held in scope.known().items() if _fits(held, shape)]
        if not texts:
            return None
        alike = keep != "shape" and all(scope.known()[text] == shape for text in texts)
        branches = [self.pick(texts), self.pick(({}, {}, None, self.pick(texts)))]
        word = self.pick(("concat", "add", "mul") if alike else ("add", "mul"))
        return {word: branches[::-1] if self.chance(30) else branches}

    def upsampled(self, scope: Scope, shape: Shape) -> Any:
        """To the size of another value."""
        texts = [text for text, held in scope.known().items() if len(held) == len(shape) == 4]
        if not texts:
            return None
        mode = {"mode": self.pick(("bilinear", "nearest"))} if self.chance(50) else {}
        return {"Upsample": {"like": self.pick(texts), **mode}}

    def attention(self, scope: Scope, shape: Shape) -> Any:
        """Of a query, a key and a value, which may be the same."""
        texts = [text for text, held in scope.known().items() if len(shape) in (3, 4) and held == shape]
        if not texts:
            return None
        layer: dict[str, Any] = {"ScaledDotProductAttention": {"is_causal": self.draw(_FLAGS)}}
        if len(shape) == 3 and self.chance(50):
            layer = {"MultiheadAttention": {"num_heads": 1}}
        return {**layer, "from": [self.pick(texts) for _ in range(3)]}

    def learned(self, shape: Shape) -> Any:
        """A learned tensor that fits to what is here."""
        sizes = self.pick((shape[1:], shape[1:2] + (1,) * (len(shape) - 2), (1,) * (len(shape) - 1)))
        init = {"init": self.pick(("ones", "normal", 0.5))} if self.chance(50) else {}
        return {"Parameter": {"shape": [1, *sizes], **init}}

    def gate(self, shape: Shape) -> Any:
        """Squeeze and excitation."""
        if len(shape) != 4:
            return None
        gate: dict[str, Any] = {}
        self.entry(gate, {"AdaptiveAvgPool2d": {"output_size": 1}})
        self.entry(gate, {"Conv2d": {"out_channels": shape[1], "kernel_size": 1}})
        self.entry(gate, self.pick(("Sigmoid", "Hardsigmoid")))
        return {"mul": [{}, gate]}

    def product(self, scope: Scope, shape: Shape) -> Any:
        """What is here times itself turned, times what is here or has its shape."""
        if len(shape) < 3:
            return None
        order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        turned: dict[str, Any] = {}
        self.entry(turned, {"Permute": {"dims": order}})
        scores: dict[str, Any] = {}
        self.entry(scores, {"matmul": [{}, turned]})
        return {"matmul": [scores, self.pick(({}, *(text for text, held in scope.known().items() if held == shape)))]}

    def halves(self, scope: Scope, shape: Shape) -> Any:
        """The channels cut in two, and joined."""
        if len(shape) < 3 or shape[1] < 2:
            return None
        halves: list[Any] = [{}, {}]
        half = self.cut(shape[1], scope)
        self.entry(halves[0], {"Slice": {"stop": half}})
        self.entry(halves[1], {"Slice": {"start": half}})
        return {"concat": halves}

    def cut(self, size: int, scope: Scope) -> Any:
        """A number below a size, or a parameter of the model that holds it."""
        if self.chance(50):
            return size // 2
        self.names += 1
        name = f"m{self.names}"
        self.params[name] = "cut", size // 2
        self.document["params"][name] = size // 2
        scope.seen.add(name)
        return f"${name}"

    def read_from(self, scope: Scope, depth: int, listed: bool, keep: str) -> Any:
        """A layer that reads another value than what comes before it."""
        if scope.tokens and not keep and self.chance(50):
            table = {"num_embeddings": self.pick((5, 9)), "embedding_dim": self.pick((4, 6))}
            if self.chance(30):
                table["padding_idx"] = self.pick((0, 2, -1))
            return {"Embedding": table, "from": self.pick(sorted(scope.tokens))}
        known = scope.known()
        if not known:
            return None
        text = self.pick(sorted(known))
        layer = self.layer(scope, known[text], depth + 1, listed, keep) if depth < 3 else self.pick(_ANYWHERE)
        if isinstance(layer, str) and not layer.startswith("$"):
            layer = {layer: {}}
        if not isinstance(layer, dict) or not {"from", "repeat", "Parameter"}.isdisjoint(layer):
            return layer
        return {**layer, "from": self.pick((text, [text]))}

    def branches(self, scope: Scope, shape: Shape, depth: int, keep: str) -> list[Any]:
        """Branches that agree in their sizes; those of an add also in their channels."""
        ends: list[Any] = []
        target = shape
        if len(shape) == 4 and self.chance(15):
            size = self.draw(_SMALL)
            ends.append({"AdaptiveAvgPool2d": {"output_size": size}})
            target = (*shape[:2], size, size)
            if keep == "size" and self.chance(40):
                ends.append("Flatten")
        branches: list[Any] = []
        # Branches run side by side: none sees the names of another.
        outer = dict(scope.values), dict(scope.made)
        for number in range(self.pick((2, 3, 2, 1 if keep == "size" else 2))):
            scope.values, scope.made = dict(outer[0]), dict(outer[1])
            texts = [text for text, held in scope.known().items() if not ends and held == shape]
            if texts and self.chance(15):
                branches.append(self.pick(texts))
                continue
            count = self.pick((1, 2, 0))
            # Lists would number their members alike: at most one of the branches is one.
            style = "list" if number == 0 and depth == 0 and self.chance(20) else "mapping"
            body, end = self.sequence(scope, shape, count, depth + 1, style, "" if ends else keep)
            closing = list(ends)
            if keep == "shape" and min(len(end), len(target)) > 1 and end[1] != target[1]:
                axes = len(end) - 2
                closing.append(
                    {f"Conv{axes}d": {"out_channels": target[1], "kernel_size": 1}}
                    if axes in (1, 2, 3)
                    else {"Linear": {"out_features": target[1]}}
                )
            for layer in closing:
                if isinstance(body, list):
                    body.append(layer)
                else:
                    self.entry(body, layer)
            branches.append(body or self.pick(({}, None, [])))
        scope.values, scope.made = outer
        return branches

    # --- values and parameters ---

    def value(self, word: str, scope: Scope) -> Any:
        """A value, or a reference to a parameter that holds one."""
        if self.simple:
            return self.draw(VALUES[word])
        if word in ("channels", "groups", "many", "whole") and self.chance(8):
            return self.expression(word, scope)
        roll = self.draw(_PERCENT)
        share = 55 if scope.is_block and self.writing_block else 12
        if roll < 100 - share:
            return self.draw(VALUES[word])
        if word in ("kernel", "stride", "dilation") and roll >= 97:
            return [self.parameter("whole", scope), self.draw(_SMALL)]
        return self.parameter(word, scope)

    def expression(self, word: str, scope: Scope) -> Any:
        """Arithmetic that gives a positive integer, as a rule."""
        one = self.parameter(word, scope)
        text: str = self.pick(
            ("{} * 2", "{} + 1", "{} // 2 + 1", "({} + 3) // 2", "2 * {} - 1", "{} / 1", "{} * 0.5", "7 % {} + 1")
        )
        if self.chance(25):
            return {"round": [f"{one} * {self.parameter('number', scope)}", self.pick((2, 4, 8))]}
        return text.format(one)

    def parameter(self, word: str, scope: Scope) -> str:
        """`$name` of a parameter that holds such a value: one there is, or a new one."""
        roll = self.draw(_PERCENT)
        own = scope.is_block and self.writing_block
        if own and word != "layer" and roll >= 80:
            return self.element(word, scope)
        return f"${self.owned(word, scope) if own and roll >= 15 else self.models(word, scope)}"

    def owned(self, word: str, scope: Scope) -> str:
        """A parameter of the block that is being written."""
        known = [name for name, (held, _) in scope.params.items() if held == word]
        if known and self.chance(50):
            return str(self.pick(known))
        hidden = [name for name in self.params if name not in scope.seen and name not in scope.params]
        self.names += 1
        name = self.pick(hidden) if hidden and self.chance(25) else f"p{self.names}"
        scope.params[name] = word, self.literal(word)
        return str(name)

    def models(self, word: str, scope: Scope) -> str:
        """A parameter of the model."""
        known = [name for name, (held, _) in self.params.items() if held == word and name not in scope.params]
        if known and self.chance(50):
            name = self.pick(known)
        else:
            self.names += 1
            name = f"m{self.names}"
            self.params[name] = word, self.pick(_ANYWHERE) if word == "layer" else self.draw(VALUES[word])
            self.document["params"][name] = self.params[name][1]
        scope.seen.add(name)
        return str(name)

    def literal(self, word: str) -> Any:
        """A value without references, which means the same wherever it stands."""
        if word != "layer":
            return self.draw(VALUES[word])
        kind = self.pick(_ANYWHERE)
        return self.pick((kind, {kind: {}}, [kind, "Identity"], {"BatchNorm2d": {"affine": False}}))

    def element(self, word: str, scope: Scope) -> str:
        words, values = scope.params.get("many", ([], []))
        scope.params["many"] = [*words, word], [*values, self.draw(VALUES[word])]
        return f"$many.{len(words)}"


def renamed(written: Any, names: dict[str, str]) -> Any:
    """The same with some references replaced."""
    if isinstance(written, str):
        return _REFERENCE.sub(lambda match: names.get(match[0], match[0]), written)
    if isinstance(written, dict):
        return {key: renamed(item, names) for key, item in written.items()}
    return [renamed(item, names) for item in written] if isinstance(written, list) else written


def _kind_of(layer: Any) -> str:
    """The class, block or word that a layer is; "" of a list."""
    if isinstance(layer, dict):
        return str(next(key for key in layer if key not in ("when", "from")))
    return layer if isinstance(layer, str) else ""


def _fits(one: Shape, other: Shape) -> bool:
    """Whether torch repeats one to the size of another."""
    return len(one) == len(other) and all(size in (1, wide) for size, wide in zip(one, other, strict=True))


def _is_below(path: str, paths: set[str]) -> bool:
    """Whether a path is one of these, or stands below one."""
    return path in paths or any(path.startswith(f"{each}.") or each.startswith(f"{path}.") for each in paths)


def kept(before: Shape, after: Shape, keep: str) -> bool:
    """Whether a shape stayed as far as it must."""
    if keep == "shape":
        return before == after
    return not keep or (len(before) == len(after) and before[2:] == after[2:])


@st.composite
def specs(draw: Draw, faults: bool = True) -> Document:
    """Documents that use the whole language; one in five is meant to have a fault."""
    return Writer(draw, faults and draw(_PERCENT) >= 80).write()


@st.composite
def plain_specs(draw: Draw, often: str = "") -> Document:
    """Documents of plain layers in sequences, without faults; in half the places that it fits one kind of layer."""
    return Writer(draw, faulty=False, simple=True, often=often).write()


def to_yaml(document: Any) -> str:
    """The document as YAML text; what it holds twice becomes an anchor and aliases."""
    dumper = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper
    return str(yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True))


# --- broken documents ---

_JUNK: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**6, 10**9, 2**31, 2**63, 10**30, 1e308, float("inf"), float("nan")),
    *("", " ", "$", "$x", "$p0", "$p0.0", "$many.9999", "$p0.00", "$p1.1.1", "Conv2d", "ReLU", "concat", "block0"),
    *("\x00", "\x1b[31m", "\u202e", "\ufeff", "a\nb", "0x1F", "1e3", "~", "a" * 70, "when", "forward", "__class__"),
    *([], {}, [[]], [{}], [None], {"": 1}, {"a": {"b": []}}, [1, 2], [1, 2, 3], ["$p0", 1], [[["ReLU"]]]),
    *({"ReLU": {}}, {"ReLU": []}, {"concat": []}, {"concat": [{}]}, {"add": [{}]}, {"add": {"scale": 2}}),
    *({"add": [{}, {}]}, {"repeat": {"times": 10**6, "layer": "Identity"}}, {"repeat": {"times": 3, "layer": []}}),
    *({"block0": {}}, {"when": "$p0"}, {"when": "$p0", "ReLU": None}, {1: 2}, {None: None}, {True: "x"}),
)
_JUNK_KEYS = (
    "",
    "x",
    "ReLU",
    "when",
    "repeat",
    "params",
    "block0",
    "p0",
    "0",
    "a.b",
    "type",
    "\x1b[0m",
    "\n",
    "a" * 65,
)
_JUNK_TEXT = st.one_of(
    st.sampled_from(
        ("\t", "\n", "{", "}", "[", "]", "&a ", "*a ", "!!python/object:os.system ", "%", "---\n", ": ", "- ", "\ud800")
    ),
    st.text(max_size=4),
)


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document, each container once."""
    found: list[tuple[Any, Any]] = []
    seen: set[int] = set()
    queue = [document]
    while queue:
        value = queue.pop()
        if not isinstance(value, dict | list) or id(value) in seen:
            continue
        seen.add(id(value))
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        found.extend((value, key) for key in keys)
        queue.extend(value[key] for key in keys)
    return found


def _mutate(draw: Draw, document: Any) -> None:
    places = _places(document)
    if not places:
        return
    container, key = places[draw(st.integers(0, len(places) - 1))]
    what = _one(draw, ("replace", "replace", "delete", "rename", "move", "nest", "insert"))
    if what == "replace":
        container[key] = deepcopy(_one(draw, _JUNK))
    elif what == "delete":
        del container[key]
    elif what == "move":
        # Any value of the document in any place: what stands above it, too, which makes it contain itself.
        other, name = places[draw(st.integers(0, len(places) - 1))]
        container[key] = other[name]
    elif what == "nest":
        for _ in range(_one(draw, (1, 1, 2, 20, 47, 48, 63, 70))):
            container[key] = [container[key]]
    elif isinstance(container, dict):
        new = _one(draw, _JUNK_KEYS)
        container[new] = container[key]
        if what == "rename" and new != key:
            del container[key]
    else:
        container.insert(key, container[key])


@st.composite
def broken_texts(draw: Draw) -> bytes | str:
    """Texts of specs with something done to them: to the document, to its text or to its bytes."""
    document = deepcopy(draw(specs()))
    for _ in range(_one(draw, (1, 1, 2, 3))):
        _mutate(draw, document)
    text = to_yaml(document)
    what: str = _one(draw, ("nothing", "nothing", "nothing", "cut", "characters", "bytes", "repeat", "lines"))
    if what == "nothing":
        return text
    place: int = draw(st.integers(0, len(text)))
    if what == "cut":
        return text[:place]
    if what == "characters":
        junk: str = draw(_JUNK_TEXT)
        return text[:place] + junk + text[place:]
    if what == "repeat":
        end: int = draw(st.integers(place, min(len(text), place + 40)))
        times: int = _one(draw, (1, 3, 200))
        return text[:end] + text[place:end] * times + text[end:]
    if what == "lines":
        lines = text.splitlines(keepends=True)
        number = draw(st.integers(0, len(lines) - 1))
        lines[number : number + 1] = _one(draw, ((), (lines[number],) * 2, ("  " + lines[number],)))
        return "".join(lines)
    raw = text.encode()
    noise: bytes = draw(st.binary(min_size=1, max_size=4))
    return raw[:place] + noise + raw[place:]


# --- what a document uses ---


def features(document: Document) -> set[str]:
    """The layer classes and the parts of the grammar that a document uses."""
    found: set[str] = set()
    blocks = document.get("blocks") or {}
    written = dict(_layers_of([document.get("stages"), [block["layers"] for block in blocks.values()]]))

    def text(value: str, place: str) -> None:
        if value in VOCABULARY:
            found.add(value)
        if _REFERENCE.fullmatch(value):
            found.add("element" if "." in value else "parameter")
        elif "$" in value:
            found.add("arithmetic")
        if place == "padding" and not value.startswith("$"):
            found.add(f"padding {value}")

    def key_of(key: str, item: Any, inside: str) -> None:
        if key in VOCABULARY:
            found.add(key)
            found.update(f"{key}.{name}" for name in item or {})
        if key in _WORDS:
            found.add(key)
        if key in blocks:
            found.add("block")
            if inside == "layers":
                found.add("block in a block")
            if values_used(key, blocks):
                found.add("value given to a block")
        if key in MERGES:
            found.update(map(_branch_of, item["branches"] if isinstance(item, dict) else item))
        if key == "from" and isinstance(item, list) and len(item) > 1:
            found.add("from several")
        if key == "share" and isinstance(item, str) and _kind_of(written.get(item)) in blocks:
            found.add("shared block")
        if key == "padding" and isinstance(item, list) and len(item) == 4:
            found.add("padding beside")

    def walk(value: Any, inside: str, place: str = "") -> None:
        if isinstance(value, str):
            text(value, place)
        elif isinstance(value, list):
            for item in value:
                walk(item, inside, place)
        elif isinstance(value, dict):
            for key, item in value.items():
                key_of(key, item, inside)
                walk(item, "layers" if key == "layers" else inside, key)

    walk(document, "")
    stages = document["stages"].values()
    found.update("listed stage" for stage in stages if isinstance(stage, list))
    names = [name for stage in stages if isinstance(stage, dict) for name in stage]
    if len(names) > len(set(names)):
        found.add("continued list")
    return found


def _branch_of(branch: Any) -> str:
    """What sort of a branch it is."""
    if not branch:
        return "identity branch"
    if isinstance(branch, str):
        return "held branch" if branch.startswith("$") else "named branch"
    return "listed branch" if isinstance(branch, list) else "branch"


# The grammar's words, where they stand as keys.
_WORDS = {"concat", "add", "mul", "matmul", "dim", "repeat", "when", "scale", "defaults", "heads", "published"}
_WORDS |= {"from", "share", "inputs", "dtype", "outputs", "round", "like"}


def _layers_of(written: Any) -> Iterator[tuple[str, Any]]:
    """What stands under a key, wherever that is."""
    for key, item in written.items() if isinstance(written, dict) else ():
        yield key, item
        yield from _layers_of(item)
    for item in written if isinstance(written, list) else ():
        yield from _layers_of(item)
