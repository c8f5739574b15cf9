"""Program -> the text of a torch.nn module in Python, as a person would write it and a formatter would leave it.

A block is a class. One that is a plain sequence is an nn.Sequential with its layers by their names; any other says in
its forward how values meet. What has no weights is a function there, and an attribute only where a sequence needs it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gnet_inspect.authoring.inlining import inlined
from gnet_inspect.authoring.instances import instances_of
from gnet_inspect.authoring.layout import INDENT, Code, Either, Piece, Repeat, call, flat, lines_of, named
from gnet_inspect.authoring.naming import common_beginning
from gnet_inspect.authoring.program import (
    REQUIRED,
    Block,
    Join,
    Layer,
    Parameter,
    Program,
    Scope,
    Sequence,
    Share,
    Step,
    Term,
    Use,
    all_steps_of,
    names_read,
    steps_of,
)
from gnet_inspect.authoring.torch_layers import (
    FUNCTIONS,
    HELPERS,
    RESERVED,
    Expression,
    Spelt,
    check,
    is_ours,
    joined,
    learned_tensor,
    literal,
    module_of,
    variable,
)
from gnet_inspect.errors import CannotWriteError
from gnet_inspect.graph import Graph, node_of
from gnet_inspect.ops import VOCABULARY
from gnet_inspect.spelling import free_name
from gnet_inspect.units import count, dimensions

# Attributes of nn.Sequential: a layer of that name would hide them.
_TAKEN = {"append", "extend", "insert", "pop"}
# So many equal neighbours are a loop.
_LOOP = 3
# Calls that stand in each other, and the characters that a branch may have where it stands.
_DEEPEST, _SHORT, _LONG = 3, 48, 70
_FOLDS = ("activation", "normalisation", "dropout")


def torch_text(program: Program, graph: Graph, name: str, about: str) -> str:
    """The module of a program that was written in torch's words, as a class `name`; `graph` is the one it was made of,
    and `about` the first line of the file.

    Raises CannotWriteError, which names the node and the reason, for what torch has no word for.
    """
    return _Writer(program, graph, name).text(about)


class _Writer:
    """One program being written."""

    def __init__(self, program: Program, graph: Graph, name: str) -> None:
        self.program = program = inlined(program)
        self.instances = instances_of(program)
        self.numbers = _Numbers(graph)
        # Whether it returns its outputs by their names.
        self.names_outputs = graph.names_outputs
        self.classes = _class_names(program.blocks, name)
        self.name = name

    def text(self, about: str) -> str:
        body: list[str] = []
        for block in self.program.blocks:
            body += ["", "", *self._block(block)]
        body += ["", "", *self._network()]
        text = "\n".join(body)
        helpers = [source for kind, source in HELPERS.items() if re.search(rf"(?<!\.)\b{kind}\(", text)]
        text = "".join(f"\n\n{source.rstrip()}\n" for source in helpers) + text
        return "\n".join([f'"""{about}"""', "", *_imports(text), *text.split("\n")]) + "\n"

    def _block(self, block: Block) -> list[str]:
        uses = self.instances[block.name]
        parameters = [item for item in block.parameters if item.name not in block.values]
        types = {item.name: _type(use.given[item.name] for use in uses) for item in parameters}
        told = self.numbers.told([use.path for use in uses])
        inputs = ["x", *map(variable, block.values)]
        kind = _Class(self, self.classes[block.name], block.body, parameters, types)
        return kind.lines(told, inputs, {f"${value}": variable(value) for value in block.values}, {})

    def _network(self) -> list[str]:
        program = self.program
        steps = _together(program)
        read = {value.name for step in all_steps_of(steps) for value in _arguments(step) if isinstance(value, Term)}
        parameters = [Parameter(name, value) for name, value in program.parameters.items() if name in read]
        types = {item.name: _type([item.default]) for item in parameters}
        names = ["x"] if len(program.inputs) == 1 else [variable(value.name) for value in program.inputs]
        for name in names:
            if not name.isidentifier():
                raise CannotWriteError(f"`{name}` is an input whose name is none of Python's")
        values = {value.name: name for value, name in zip(program.inputs, names, strict=True)}
        kind = _Class(self, self.name, steps, parameters, types)
        return kind.lines(self.numbers.whole(), names, values, program.outputs)

    # --- modules ---

    def module(self, step: Step) -> Code:
        """What an attribute of a step is made of."""
        body = step.body
        if isinstance(body, Use):
            given = [(item, body.arguments[item.name]) for item in body.block.parameters]
            arguments = [
                literal_of(value) if item.default is REQUIRED else named(variable(item.name), literal_of(value))
                for item, value in given
                if item.name not in body.block.values and (item.default is REQUIRED or value != item.default)
            ]
            return call(self.classes[body.block.name], *arguments)
        if isinstance(body, Scope):
            return call("nn.Sequential", *self.members(body.body))
        if not isinstance(body, Layer):
            raise CannotWriteError(f"`{step.name}` in a list is no module that reads what comes before it alone")
        return learned_tensor(body) if body.kind == "Parameter" else module_of(body)

    def members(self, steps: Sequence) -> list[Code]:
        """The members of a list, equal neighbours as one repeat."""
        found: list[Code] = []
        place = 0
        while place < len(steps):
            step = steps[place]
            if not is_plain(step):
                what = f"`{step.body.node}`, a {step.body.kind}" if isinstance(step.body, Layer) else f"`{step.name}`"
                raise CannotWriteError(
                    f"{what} in a list is no module of torch.nn that reads what comes before it alone"
                )
            code = self.module(step)
            end = place
            while end < len(steps) and self._is_again(steps[end], step, code):
                end += 1
            if step.when:
                found += [f"*([{flat(code)}] if {variable(step.when)} else [])"] * (end - place)
            elif end - place > 1 and (end - place >= _LOOP or isinstance(step.body, Use)):
                found.append(Repeat(code, end - place))
            else:
                found += [code] * (end - place)
            place = end
        return found

    def _is_again(self, step: Step, first: Step, code: Code) -> bool:
        return is_plain(step) and step.when == first.when and flat(self.module(step)) == flat(code)


def literal_of(value: Any) -> str:
    """An argument of a block: a kind of activation is its class."""
    if isinstance(value, str) and value in VOCABULARY:
        return f"nn.{value}"
    return literal(value)


def _imports(text: str) -> list[str]:
    found = []
    if re.search(r"\btorch\.", text):
        found.append("import torch")
    if re.search(r"\bF\.", text):
        found.append("import torch.nn.functional as F")
    return [*found, "from torch import Tensor, nn" if re.search(r"\bTensor\b", text) else "from torch import nn"]


def _class_names(blocks: Iterable[Block], network: str) -> dict[str, str]:
    """A class's name for each block: as it was called, with what tells it apart from others."""
    found: dict[str, str] = {}
    taken = {network, *HELPERS, *RESERVED}
    for block in blocks:
        plain = camel(block.name)
        kind = camel(block.kind)
        name = kind + plain[len(kind) :] if kind and plain.lower().startswith(kind.lower()) else plain
        name = name if name.isidentifier() else f"Block{name}"
        if name in taken:
            name = f"{name}Block"
        found[block.name] = free_name(name, taken)
        taken.add(found[block.name])
    return found


def camel(name: str) -> str:
    """A class's name: each word of a name with a capital."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"\W|_", name))


def _together(program: Program) -> Sequence:
    """The outermost steps, parts of one list as that list."""
    steps: Sequence = []
    for stage in program.stages:
        for step in stage.steps:
            last = steps[-1] if steps else None
            if (
                last is not None
                and isinstance(last.body, Scope)
                and isinstance(step.body, Scope)
                and last.body.path == step.body.path
            ):
                whole = [*last.body.body, *step.body.body]
                steps[-1] = Step(last.name, Scope(last.body.path, last.body.kind, whole, {}), last.reads, last.when)
            else:
                steps.append(step)
    return steps


def _arguments(step: Step) -> list[Any]:
    return list(step.body.arguments.values()) if isinstance(step.body, Layer | Join | Use) else []


def is_plain(step: Step) -> bool:
    """Whether a step is a module that reads what comes before it, and gives one value."""
    body = step.body
    if step.reads or isinstance(body, Join | Share):
        return False
    if isinstance(body, Use):
        return not body.block.values
    if isinstance(body, Scope):
        return not body.values and body.is_list and all(map(is_plain, body.body))
    return isinstance(body.kind, Term) or (body.kind not in _OWN_CALLS and not _is_function_alone(body))


def _is_function_alone(layer: Layer) -> bool:
    """Whether torch has a layer as a function alone."""
    kind = layer.kind
    if isinstance(kind, Term) or kind not in FUNCTIONS or kind in HELPERS:
        return False
    # To the size of another value.
    is_like = kind == "Upsample" and "scale_factor" not in layer.arguments
    return is_like or is_ours(kind)


# Layers that are called in another way than with what they read.
_OWN_CALLS = ("Parameter", "LSTM", "GRU", "MultiheadAttention", "ScaledDotProductAttention")


class _Class:
    """A class being written: its layers, and how values run through them."""

    def __init__(
        self, writer: _Writer, name: str, body: Sequence, parameters: list[Parameter], types: Mapping[str, str]
    ) -> None:
        self.writer, self.name, self.parameters, self.types = writer, name, parameters, types
        # By its name each list whose members do not just run one behind the other, and all steps with those members.
        self.lists: dict[str, Sequence] = {}
        self.body = self._spread(body)
        for step in self.steps():
            if isinstance(step.body, Layer):
                check(step.body)

    def _spread(self, body: Sequence) -> Sequence:
        scopes = [step for step in body if isinstance(step.body, Scope)]
        read = set(_read(body)) | set(self.writer.program.outputs.values())
        for scope in scopes:
            members = [step for other in scopes if other.name == scope.name for step in _members(other)]
            again = sum(other.name == scope.name for other in scopes) > 1
            if again or not all(map(is_plain, members)) or any(f"{scope.name}.{step.name}" in read for step in members):
                self.lists[scope.name] = members
        found: Sequence = []
        for step in body:
            if step.name in self.lists:
                found += [
                    Step(f"{step.name}.{member.name}", member.body, member.reads, member.when)
                    for member in _members(step)
                ]
            else:
                found.append(step)
        return found

    def steps(self) -> Iterator[Step]:
        """Its steps, and those of branches."""
        return steps_of(self.body)

    def lines(self, told: str, inputs: list[str], values: Mapping[str, str], outputs: Mapping[str, str]) -> list[str]:
        """The class; `told` are its numbers, `inputs` what its forward takes, `values` the names in the program of
        those, and `outputs` what it returns by name."""
        plain = len(inputs) == 1 and not outputs and all(map(is_plain, self.body)) and self._is_sequence()
        base = "nn.Sequential" if plain else "nn.Module"
        first = [f"class {self.name}({base}):", f'    """{told}"""', "", *self._signature()]
        if plain:
            return [*first, *self._sequence()]
        forward = _Forward(self, inputs, values)
        run = forward.lines(outputs)
        result = "Tensor"
        if outputs:
            several = f"tuple[{', '.join(['Tensor'] * len(outputs))}]"
            result = "dict[str, Tensor]" if self.writer.names_outputs else several
        taken = Piece("def forward(", ("self", *(f"{name}: Tensor" for name in inputs)), f") -> {result}:")
        kept = [f"{' ' * 8}self.{name} = {name}" for name in forward.kept]
        return [*first, " " * 8 + "super().__init__()", *kept, *self._attributes(), "", *lines_of(taken, 4), *run]

    def _is_sequence(self) -> bool:
        names = [step.name for step in self.body]
        if self._is_numbered():
            return True
        # A function that torch has no module for is written as one, where it may be.
        return not any(name in _TAKEN for name in names) and not any(
            isinstance(step.body, Layer) and step.body.kind == "Permute" for step in self.body
        )

    def _is_numbered(self) -> bool:
        return [step.name for step in self.body] == [str(number) for number in range(len(self.body))]

    def _signature(self) -> list[str]:
        texts = []
        for item in self.parameters:
            default = "" if item.default is REQUIRED else f" = {literal_of(item.default)}"
            texts.append(f"{variable(item.name)}: {self.types[item.name]}{default}")
        return lines_of(Piece("def __init__(", ("self", *texts), ") -> None:"), 4)

    def _sequence(self) -> list[str]:
        if self._is_numbered():
            return lines_of(call("super().__init__", *self.writer.members(self.body)), 8)
        lines = [" " * 8 + "super().__init__()"]
        place = 0
        while place < len(self.body):
            end = place
            while end < len(self.body) and self.body[end].when == self.body[place].when:
                end += 1
            flag = self.body[place].when
            if flag:
                lines.append(f"{' ' * 8}if {variable(flag)}:")
            lines += self._assigned(self.body[place:end], 12 if flag else 8)
            place = end
        return lines

    def _assigned(self, steps: Sequence, indent: int) -> list[str]:
        """Attributes that are there, runs of them as loops."""
        lines: list[str] = []
        place = 0
        while place < len(steps):
            loop = _loop(steps, place)
            if loop is not None:
                end, name, start, body = loop
                first = "" if start == 0 else f"{start}, "
                lines.append(f"{' ' * indent}for i in range({first}{start + end - place}):")
                code = call("self.add_module", name, self.writer.module(Step("", body)))
                lines += lines_of(code, indent + INDENT)
                place = end
                continue
            lines += _assignment(steps[place].name, self.writer.module(steps[place]), indent)
            place += 1
        return lines

    def _attributes(self) -> list[str]:
        """The attributes of a class with a forward of its own: what has weights, and what may be left out."""
        lines = []
        written: set[str] = set()
        for step in self.steps():
            home = step.name.rpartition(".")[0]
            if home in self.lists:
                if home not in written:
                    members = [self._member(member) for member in self.lists[home]]
                    lines += _assignment(home, call("nn.ModuleList", Piece("[", tuple(members), "]")), 8)
                written.add(home)
                continue
            if not self.is_attribute(step):
                continue
            code = self.writer.module(step)
            if step.when:
                code = Either(f"{flat(code)} if {variable(step.when)} else None")
            lines += _assignment(step.name, code, 8)
        return lines

    def _member(self, step: Step) -> Code:
        """A member of a list: in the place of a function or a join one that does nothing, so that numbers stay."""
        body = step.body
        if isinstance(body, Join) and any(branch and not isinstance(branch, str) for branch in body.branches):
            raise CannotWriteError(f"`{body.node}` in a list of modules has branches with layers of their own")
        if isinstance(body, Layer) and body.kind == "Parameter":
            raise CannotWriteError(f"`{body.node}` is a learned tensor in a list of modules")
        if isinstance(body, Join | Share) or (isinstance(body, Layer) and _is_function_alone(body)):
            return "nn.Identity()"
        return self.writer.module(step)

    @staticmethod
    def is_attribute(step: Step) -> bool:
        """Whether a step is a module, rather than a function in the forward."""
        body = step.body
        if isinstance(body, Join | Share):
            return False
        if isinstance(body, Layer) and _is_function_alone(body):
            return False
        if "." in step.name:
            return True
        return bool(step.when) or not isinstance(body, Layer) or body.kind not in FUNCTIONS


def _members(step: Step) -> Sequence:
    assert isinstance(step.body, Scope)
    return step.body.body


def _is_attribute_name(name: str) -> bool:
    return name.isidentifier() and name not in RESERVED


def _assignment(name: str, code: Code, indent: int) -> list[str]:
    if _is_attribute_name(name):
        return lines_of(code, indent, f"self.{name} = ")
    register = "register_parameter" if flat(code).startswith("nn.Parameter(") else "add_module"
    return lines_of(call(f"self.{register}", f'"{name}"', code), indent)


def _loop(steps: Sequence, place: int) -> tuple[int, str, int, Use] | None:
    """(where a run of uses of one block ends whose names are numbered and whose arguments are the same, or grow by as
    much each time; the names by a number; the first number; the use in terms of it)"""
    first = _numbered(steps[place])
    if first is None:
        return None
    end = place + 1
    body = steps[place].body
    assert isinstance(body, Use)
    while end < len(steps):
        found = _numbered(steps[end])
        if found is None or found[0] != first[0] or found[1] != first[1] + end - place:
            break
        other = steps[end].body
        if not isinstance(other, Use) or other.block is not body.block:
            break
        if end > place + 1 and _grown(body, _use(steps[place + 1]), end - place) != other.arguments:
            break
        if end == place + 1 and _growth(body, other) is None:
            break
        end += 1
    if end - place < _LOOP:
        return None
    growth = _growth(body, _use(steps[place + 1]))
    assert growth is not None
    start = _start(body, growth, first[1])
    shift = first[1] - start
    arguments = {
        name: _counted(value, growth[name], start) if growth[name] else value for name, value in body.arguments.items()
    }
    name = f'f"{first[0]}{{i{f" + {shift}" if shift else ""}}}"'
    return end, name, start, Use(body.block, arguments, body.path)


def _start(body: Use, growth: dict[str, int], number: int) -> int:
    """Where a loop's number starts: so that what grows with it has nothing beside it, else at its name's number."""
    for name, more in growth.items():
        value = body.arguments[name]
        if more > 0 and isinstance(value, Term) and value.number % more == 0 and value.number // more <= number:
            return value.number // more
    return number


def _use(step: Step) -> Use:
    assert isinstance(step.body, Use)
    return step.body


def _counted(value: Any, growth: int, start: int) -> Spelt:
    """An argument that grows with the number of a loop."""
    name, number = ("", value) if isinstance(value, int) else (variable(value.name), value.number)
    number -= growth * start
    text = " + ".join([*([name] if name else []), *([str(number)] if number > 0 else []), f"{growth} * i"])
    return Spelt(text if number >= 0 else f"{text} - {-number}")


def _numbered(step: Step) -> tuple[str, int] | None:
    match = re.fullmatch(r"(.*?)(0|[1-9]\d*)", step.name)
    if match is None or not isinstance(step.body, Use) or '"' in step.name or "{" in step.name:
        return None
    return match[1], int(match[2])


def _growth(first: Use, second: Use) -> dict[str, int] | None:
    """By how much each argument is more; None where some differ otherwise."""
    found = {}
    for name, value in first.arguments.items():
        other = second.arguments.get(name)
        if value == other:
            found[name] = 0
        elif type(value) is int and type(other) is int:
            found[name] = other - value
        elif isinstance(value, Term) and isinstance(other, Term) and _is_sum(value) and _is_sum(other):
            if (value.name, value.element) != (other.name, other.element):
                return None
            found[name] = other.number - value.number
        else:
            return None
    return found


def _is_sum(term: Term) -> bool:
    return term.element is None and term.operator in ("", "+")


def _grown(first: Use, second: Use, times: int) -> dict[str, Any] | None:
    growth = _growth(first, second)
    if growth is None:
        return None
    found: dict[str, Any] = {}
    for name, value in first.arguments.items():
        more = growth[name] * times
        if not more:
            found[name] = value
        elif isinstance(value, Term):
            found[name] = value._replace(operator="+", number=value.number + more)
        else:
            found[name] = value + more
    return found


# --- how values run ---


class _Forward:
    """The forward of a class being written."""

    def __init__(self, kind: _Class, inputs: list[str], values: Mapping[str, str]) -> None:
        self.kind, self.inputs = kind, inputs
        self.body: list[str] = []
        # By its name in the program, what a value is read as.
        self.known = {name: Expression(text) for name, text in values.items()}
        self.read = set(_read(kind.body))
        # Parameters that it reads.
        self.kept: dict[str, None] = {}
        # Variables that must stay, and whether a type checker knows each to be a tensor.
        self.busy = {text for name, text in values.items() if name in self.read}
        self.are_tensors = dict.fromkeys(inputs, True)
        # What branches work on.
        self.branches: set[str] = set()

    def lines(self, outputs: Mapping[str, str]) -> list[str]:
        """The statements, the last of which returns."""
        self.read |= set(outputs.values())
        names = {name for name, text in self.known.items() if name in self.read}
        self.busy |= {self.known[name].code for name in names if isinstance(self.known[name].code, str)}  # type: ignore[misc]
        plain = self.inputs[0] if len(self.inputs) == 1 or self.inputs[0] == "x" else "x"
        last = self._sequence(self.kind.body, Expression(self.inputs[0]), self._fresh([plain, "y", "z"]))
        if outputs:
            values = [(name, self._value(value).code) for name, value in outputs.items()]
            if self.kind.writer.names_outputs:
                self._say(Piece("{", tuple(Piece(f'"{name}": ', (code,), "") for name, code in values), "}"), "return ")
            else:
                self._say(", ".join(flat(code) for _, code in values), "return ")
        elif last.is_tensor:
            self._say(last.code, "return ")
        elif plain in self.inputs:
            self._say(last.code, f"{plain} = ")
            self._say(plain, "return ")
        else:
            self._say(last.code, "output: Tensor = ")
            self._say("output", "return ")
        return self.body

    def _say(self, code: Code, before: str = "") -> None:
        self.body += lines_of(code, 8, before)

    def _fresh(self, wanted: Iterable[str]) -> str:
        names: list[str] = [*wanted, *"yzuvwabcdefgh"]
        for name in names:
            if name not in self.busy:
                return name
        raise CannotWriteError(f"`{self.kind.name}` holds more values at once than can be named")

    def _assign(self, name: str, value: Expression) -> Expression:
        if str(value) != name:
            self._say(value.code, f"{name} = ")
            self.are_tensors.setdefault(name, value.is_tensor)
        return Expression(name, self.are_tensors.get(name, value.is_tensor))

    def _value(self, name: str) -> Expression:
        found = self.known.get(name)
        if found is None:
            raise CannotWriteError(f"`{name}` is read outside of the module that makes it")
        return found

    def _sequence(self, steps: Sequence, start: Expression, own: str) -> Expression:
        """What comes out; values in between are in the variable `own`."""
        now = start
        for step in steps:
            body = step.body
            if _is_learned(step):
                own_name = (
                    f"self.{step.name}" if _is_attribute_name(step.name) else f'self.get_parameter("{step.name}")'
                )
                self.known[step.name] = Expression(own_name)
                continue
            now = self._join(body, now, own) if isinstance(body, Join) else self._call(step, now, own)
            if step.name in self.read:
                name = self._fresh([variable(step.name)])
                now = self._assign(name, now)
                self.busy.add(name)
                self.known[step.name] = now
        return now

    def _held(self, now: Expression, own: str) -> Expression:
        """A value in a variable."""
        return now if not now.depth and not now.binds else self._assign(own, now)

    def _call(self, step: Step, now: Expression, own: str) -> Expression:
        body = step.body
        folds = now.depth < _DEEPEST and isinstance(body, Layer) and body.family in _FOLDS
        # Calls of modules stand in each other in a branch.
        folds = folds or (own in self.branches and isinstance(body, Use) and now.depth < _DEEPEST - 1)
        if (step.reads is None and not (folds or now.depth == 0)) or len(str(now)) > _LONG:
            now = self._held(now, own)
        if step.when:
            now = self._held(now, own)
        inputs = [now] if step.reads is None else [self._value(name) for name in step.reads]
        if isinstance(body, Layer) and not self.kind.is_attribute(step):
            return FUNCTIONS[str(body.kind)](
                Layer(body.kind, self._attributes(body.arguments), body.node, body.family), inputs
            )
        if isinstance(body, Use):
            inputs += [self._value(str(body.arguments[name])) for name in body.block.values]
        name = body.name if isinstance(body, Share) else step.name
        found = f"self.{name}" if _is_attribute_name(name) else f'self.get_submodule("{name}")'
        home, _, number = name.rpartition(".")
        if home in self.kind.lists and _is_attribute_name(home):
            found = f"self.{home}[{number}]"
        made = self._made(step, found, inputs)
        if step.when:
            return Expression(f"{now} if {found} is None else {made}", False, 3, 1)
        return made

    def _attributes(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a function, parameters of the class as it keeps them."""
        found = dict(arguments)
        for name, value in arguments.items():
            if isinstance(value, Term):
                self.kept.setdefault(variable(value.name))
                found[name] = value._replace(name=f"self.{variable(value.name)}")
        return found

    def _made(self, step: Step, module: str, inputs: list[Expression]) -> Expression:
        """A module's value; of some their first."""
        body = step.body
        if isinstance(body, Share):
            shared = next((other.body for other in self.kind.steps() if other.name == body.name), None)
            if shared is None:
                raise CannotWriteError(f"`{step.name}` shares the weights of `{body.name}`, which stands elsewhere")
            body = shared
        kind = body.kind if isinstance(body, Layer) else ""
        if not inputs:
            raise CannotWriteError(f"`{step.name}` is a module that reads nothing")
        depth = max(item.depth for item in inputs) + 1
        if kind == "MultiheadAttention":
            three = [self._held(item, self._fresh(["y", "z"])) for item in inputs]
            three = three * 3 if len(three) == 1 else three
            return Expression(
                f"{flat(call(module, *(item.code for item in three), 'need_weights=False'))}[0]", False, 0, depth
            )
        made = call(module, *(item.code for item in inputs))
        if kind in ("LSTM", "GRU"):
            more = [f"{step.name}:{index}" for index in ((1, 2) if kind == "LSTM" else (1,))]
            if not any(name in self.read for name in more):
                return Expression(f"{flat(made)}[0]", False, 0, depth)
            names = [
                self._fresh([f"{variable(step.name)}_{what}"]) if name in self.read else "_"
                for name, what in zip(more, ("hidden", "cell"), strict=False)
            ]
            output = self._fresh([variable(step.name)])
            states = f"({', '.join(names)})" if len(names) > 1 else names[0]
            self._say(made, f"{output}, {states} = ")
            for name, text in zip(more, names, strict=True):
                self.known[name] = Expression(text, False)
            self.busy |= {output, *names} - {"_"}
            return Expression(output, False)
        return Expression(made, False, 0, depth)

    def _join(self, body: Join, now: Expression, own: str) -> Expression:
        learned = {step.name for step in self.kind.steps() if _is_learned(step)}
        named = any(isinstance(branch, str) and branch in learned for branch in body.branches)
        if sum(not isinstance(branch, str) for branch in body.branches) > 1 or now.binds or named:
            now = self._held(now, own)
        before = set(self.busy)
        if isinstance(now.code, str):
            self.busy.add(now.code)
        values = [self._branch(branch, now) for branch in body.branches]
        self.busy = before | (self.busy & {str(value) for value in self.known.values()})
        if body.kind == "concat" and body.arguments["dim"] != 0:
            values = self._expanded(values, now)
        return joined(body.kind, self._attributes(body.arguments), values)

    def _branch(self, branch: Sequence | str, now: Expression) -> Expression:
        if isinstance(branch, str):
            return self._value(branch)
        if not branch:
            return now
        own = self._fresh(_called(branch))
        self.branches.add(own)
        written = len(self.body)
        value = self._sequence(branch, now, own)
        if len(str(value)) > _SHORT or value.binds > 1 or len(self.body) > written:
            value = self._assign(own, value) if len(str(value)) > _SHORT or value.binds > 1 else value
            self.busy.add(own)
        return value

    def _expanded(self, values: list[Expression], now: Expression) -> list[Expression]:
        """Learned tensors, which stand for every image, as often as there are images."""
        names = {
            str(self.known[step.name]): step
            for step in self.kind.steps()
            if step.name in self.known and _is_learned(step)
        }
        other = next((value for value in values if str(value) not in names), now)
        found = []
        for value in values:
            step = names.get(str(value))
            if step is not None and isinstance(step.body, Layer) and step.body.arguments.get("size0") == 1:
                rest = ", -1" * (sum(name.startswith("size") for name in step.body.arguments) - 1)
                value = Expression(f"{value}.expand({other.operand()}.shape[0]{rest})")  # noqa: PLW2901  # it is that
            found.append(value)
        return found


def _is_learned(step: Step) -> bool:
    return isinstance(step.body, Layer) and step.body.kind == "Parameter"


def _called(branch: Sequence) -> list[str]:
    """What the value of a branch may be called: what the names of its steps have in common."""
    names = [step.name for step in branch]
    common = re.sub(r"\W", "_", common_beginning(names)).rstrip("_")
    if len(names) == 1 and isinstance(branch[0].body, Layer) and branch[0].body.kind in FUNCTIONS:
        return ["y"]
    return [common, "y"] if len(common) > 3 and common.isidentifier() and common not in RESERVED else ["y"]


def _read(sequence: Sequence) -> Iterator[str]:
    """The names of the values that are read by them."""
    return (name for step in all_steps_of(sequence) for name in names_read(step))


# --- what is told ---


def _type(values: Iterable[Any]) -> str:
    """The type of a parameter, by the values that it is given."""
    found: dict[str, None] = {}
    for value in values:
        found.setdefault(_type_of(value))
    if {"int", "float"} <= set(found):
        found.pop("int")
    return " | ".join(sorted(found, key=lambda text: text == "None"))


def _type_of(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"tuple[{', '.join(map(_type_of, value))}]"
    if isinstance(value, str) and value in VOCABULARY:
        return "type[nn.Module]"
    return "None" if value is None else type(value).__name__


class _Numbers:
    """What docstrings tell of a graph's parts."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shapes = graph.shapes()
        self.readers = graph.readers()
        self.outputs = {output.value for output in graph.outputs}

    def whole(self) -> str:
        """Of the network."""
        ins = ", ".join(dimensions(value.shape) for value in self.graph.inputs)
        outs = ", ".join(dimensions(self.shapes[output.value]) for output in self.graph.outputs)
        params, macs = self._totals([self.graph.nodes])
        return f"{params}, {macs}: {ins} -> {outs}."

    def told(self, paths: list[str]) -> str:
        """Of all uses of a block."""
        parts = [nodes for path in paths if (nodes := self._nodes(path))]
        if not parts:
            return "A part of the network."
        params, macs = self._totals(parts)
        shapes = f"{dimensions(self._comes_in(parts[0]))} -> {dimensions(self._goes_out(parts[0]))}"
        if len(parts) == 1:
            return f"{params}, {macs}: {shapes}."
        return f"{len(parts)} of these: {params}, {macs}; the first {shapes}."

    def _nodes(self, path: str) -> list[Any]:
        return [node for node in self.graph.nodes if node.name == path or node.name.startswith(f"{path}.")]

    def _totals(self, parts: Iterable[Iterable[Any]]) -> tuple[str, str]:
        nodes = [node for part in parts for node in part]
        params = sum(node.params for node in nodes)
        macs = sum(node.macs or 0 for node in nodes)
        least = "at least " if any(node.macs is None for node in nodes) else ""
        return f"{params:,} parameters", f"{least}{count(macs)} MACs"

    def _comes_in(self, nodes: list[Any]) -> tuple[int, ...]:
        names = {node.name for node in nodes}
        for node in nodes:
            for value in node.inputs:
                if node_of(value) not in names:
                    return self.shapes[value]
        return nodes[0].output_shape  # type: ignore[no-any-return]  # of a node

    def _goes_out(self, nodes: list[Any]) -> tuple[int, ...]:
        names = {node.name for node in nodes}
        for node in reversed(nodes):
            for value in node.values():
                read = any(reader.name not in names for reader in self.readers.get(value, ()))
                if read or value in self.outputs:
                    return self.shapes[value]
        return nodes[-1].output_shape  # type: ignore[no-any-return]  # of a node
