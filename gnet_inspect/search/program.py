"""A template as arithmetic on arrays: every number of a layer in a table, by the few variables that it depends on.

A variable is a choice, or the shape of a value where that depends on several others (the output of a concat). A
layer's numbers are those that the maker of graphs works out for each of its variants and input shapes; here they are
only looked up and added.
"""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gnet_inspect.analysis.depth import weight_layers
from gnet_inspect.analysis.devices import ELEMENT_BYTES, Device
from gnet_inspect.analysis.memory import Course, held_course, least_course, value_bytes
from gnet_inspect.analysis.roofline import layer_seconds
from gnet_inspect.errors import ShapeError
from gnet_inspect.graph import Node, node_of
from gnet_inspect.graph.maker import CountError, call_facts
from gnet_inspect.ops import Op, Shape, Shapes
from gnet_inspect.search.template import Template
from gnet_inspect.units import DTYPE_BYTES

Table = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]
# A table that is filled before it is asked has at most so many rows.
MOST_ROWS = 200_000
# So many combinations of choices stand for the shape of a value before it becomes a variable.
MOST_COMBINED = 1_024
# The columns of a table of costs, in this order; seconds are a table of their own.
COSTS = ("params", "buffers", "macs", "elements", "invalid")


class CannotCompileError(Exception):
    """A template whose layers do not go into tables: why."""


class Variable(Struct, eq=False):
    """A choice (`choice`), or the shape of a node's outputs where several variables decide it (`key`, the variables,
    the last changing first, and `table`, the place of its shape among all)."""

    name: str
    size: int
    choice: int | None = None
    key: tuple["Variable", ...] = ()
    table: Table | None = None


class View(Struct, eq=False):
    """The shapes of a node's outputs: `shapes[table[variables]]`, None where there are none because something before
    fits nothing."""

    variables: tuple[Variable, ...]
    table: Table
    shapes: list[Shapes | None]


class Lookup(Struct, eq=False):
    """Numbers by some variables: a table with one axis for each of them, and its columns last."""

    variables: tuple[Variable, ...]
    table: NDArray[Any]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(variable.size for variable in self.variables)


class Moment(Struct, eq=False):
    """The bytes held while a node runs: so many, and what these tables say."""

    always: int
    tables: tuple[Lookup, ...]


class Program(Struct, eq=False):
    """What is looked up of each candidate. `costs` have the columns COSTS, `seconds` the time of the roofline where a
    device was named; `sizes` are the bytes of each tensor that is held in memory."""

    template: Template
    variables: list[Variable]
    costs: list[Lookup]
    seconds: list[Lookup]
    sizes: dict[str, Lookup]
    held: list[Moment]
    least: list[Moment]
    depth: int


class Setting(Struct, frozen=True):
    """In which dtype candidates are counted, and on which device times are the roofline's."""

    dtype: str = "fp32"
    device: Device | None = None

    @property
    def width(self) -> int:
        """The bytes of an element."""
        return DTYPE_BYTES[self.dtype] if self.dtype in DTYPE_BYTES else ELEMENT_BYTES[self.dtype]


class _Compiler:
    """Goes through the nodes of a template once, in order."""

    def __init__(self, template: Template, setting: Setting) -> None:
        self.template, self.setting = template, setting
        self.variables: list[Variable] = []
        self.choices: dict[int, Variable] = {}
        self.views: dict[str, View] = {}
        self.costs: dict[frozenset[Variable], Lookup] = {}
        self.seconds: dict[frozenset[Variable], Lookup] = {}
        self.inside: list[Lookup] = []
        self.sizes: dict[str, Lookup] = {}
        graph = template.graph
        base = graph.shapes()
        # How many bytes an element of each value has: indices have their own, a weight that is handed out none.
        self.widths = {
            name: size // max(prod(base[name]), 1) for name, size in value_bytes(graph, setting.width).items()
        }

    def run(self) -> Program:
        graph = self.template.graph
        for value in graph.inputs:
            self._input(value.name, value.shape)
        for place, node in enumerate(graph.nodes):
            self._node(place, node)
        return Program(
            self.template,
            self.variables,
            _gathered(self.costs.values()),
            _gathered(self.seconds.values()),
            self.sizes,
            self._moments(held_course(graph), inside=True),
            self._moments(least_course(graph), inside=False),
            weight_layers(graph),
        )

    # --- shapes ---

    def _variable(self, choice: int) -> Variable:
        if choice not in self.choices:
            made = Variable(self.template.space.choices[choice].name, self.template.space.sizes[choice], choice)
            self.choices[choice] = made
            self.variables.append(made)
        return self.choices[choice]

    def _input(self, name: str, shape: Shape) -> None:
        choice = self.template.inputs.get(name)
        if choice is None:
            self._view(name, View((), np.zeros((), np.int64), [(shape,)]))
            return
        values = self.template.space.choices[choice].values
        shapes: list[Shapes | None] = [((shape[0], *value),) for value in values]
        self._view(name, View((self._variable(choice),), np.arange(len(values)), shapes))

    def _view(self, name: str, view: View) -> None:
        self.views[name] = view
        width = [(self.widths.get(name, 0) * prod(shapes[0]) if shapes else 0) for shapes in view.shapes]
        self.sizes[name] = Lookup(view.variables, np.array(width, np.int64)[view.table])

    def _node(self, place: int, node: Node) -> None:
        variants = self.template.nodes[place]
        own = tuple(self._variable(choice) for choice in variants.choices)
        sources = [node_of(name) for name in node.inputs]
        which = [int(name.partition(":")[2] or 0) for name in node.inputs]
        distinct = list(dict.fromkeys(sources))
        if node.is_repeated and (own or any(self.views[name].variables for name in distinct)):
            # Its weights must be those of the first call, which no table knows.
            raise CannotCompileError(f"{node.name} runs again, on shapes that vary")
        views = {name: self.views[name] for name in distinct}
        variables = _united([view.variables for view in views.values()], own)
        sizes = tuple(variable.size for variable in variables)
        if prod(sizes) > MOST_ROWS:
            if node.op.joins_in_turn and not own:
                self._join_in_turn(node, sources)
                return
            raise CannotCompileError(
                f"{prod(sizes):,} combinations of {', '.join(each.name for each in variables)} meet in {node.name}"
            )
        places = {name: _spread(view.table, view.variables, variables) for name, view in views.items()}
        chosen = _spread(np.arange(len(variants.ops)).reshape([each.size for each in own]), own, variables)
        # Equal layers of equal inputs are worked out once.
        key = chosen.astype(np.int64)
        for name in distinct:
            key = key * len(views[name].shapes) + places[name]
        whole = np.broadcast_to(key, sizes)
        distinct_keys, back = np.unique(whole, return_inverse=True)
        facts = _Facts(self, node)
        for number in distinct_keys.tolist():
            found, each = {}, number
            for name in reversed(distinct):
                each, at = divmod(each, len(views[name].shapes))
                found[name] = views[name].shapes[at]
            given = [found[name] for name in sources]
            shapes = (
                None
                if any(shape is None for shape in given)
                else tuple(shape[index] for shape, index in zip(given, which, strict=True) if shape is not None)
            )
            facts.add(variants.ops[each], shapes)
        back = back.reshape(sizes)
        self._keep(node, variables, back, facts)

    def _keep(self, node: Node, variables: tuple[Variable, ...], back: NDArray[Any], facts: "_Facts") -> None:
        """The numbers and the shape of a node, by its variables."""
        _add(self.costs, Lookup(variables, np.array(facts.costs, np.int64)[back]))
        if self.setting.device is not None:
            _add(self.seconds, Lookup(variables, np.array(facts.seconds)[back][..., None]))
        self.inside.append(_narrow(Lookup(variables, np.array(facts.inside, np.int64)[back])))
        table = np.array(facts.outputs)[back]
        self._shape(node, variables, table, facts.shapes)

    def _shape(self, node: Node, variables: tuple[Variable, ...], table: Table, shapes: list[Shapes | None]) -> None:
        """What the shape depends on, of what the numbers do: a convolution's does not on the channels it reads."""
        narrow = _narrow(Lookup(variables, table))
        # A few shapes of many combinations are a variable of their own; what has a shape for most of them is known by
        # these: values that depend on the same choices then meet in their combinations alone.
        if len(narrow.variables) > 1 and (narrow.table.size > MOST_COMBINED or 2 * len(shapes) <= narrow.table.size):
            made = Variable(f"the shape of {node.name}", len(shapes), None, narrow.variables, narrow.table)
            self.variables.append(made)
            view = View((made,), np.arange(len(shapes)), shapes)
        else:
            view = View(narrow.variables, narrow.table, shapes)
        self._view(node.name, view)
        for index, name in enumerate(node.values()[1:], 1):
            width = [self.widths.get(name, 0) * prod(each[index]) if each else 0 for each in shapes]
            self.sizes[name] = Lookup(view.variables, np.array(width, np.int64)[view.table])

    def _join_in_turn(self, node: Node, sources: Sequence[str]) -> None:
        """A join of many values whose shapes vary: the first two, then that with the next, and so on. Its numbers are
        those of inputs that make such an output."""
        views = [self.views[name] for name in sources]
        op = node.op
        so_far = views[0]
        # For each shape so far some inputs that make it.
        some: list[tuple[Shape, ...] | None] = [None if shapes is None else (shapes[0],) for shapes in so_far.shapes]
        for number, view in enumerate(views[1:], 2):
            variables = _united([so_far.variables], view.variables)
            sizes = tuple(variable.size for variable in variables)
            if prod(sizes) > MOST_ROWS:
                raise CannotCompileError(f"{prod(sizes):,} combinations of shapes meet in {node.name}")
            table = np.zeros(sizes, np.int64)
            left = np.broadcast_to(_spread(so_far.table, so_far.variables, variables), sizes)
            right = np.broadcast_to(_spread(view.table, view.variables, variables), sizes)
            made: dict[Shapes | None, int] = {}
            inputs: list[tuple[Shape, ...] | None] = []
            pairs, back = np.unique(left * len(view.shapes) + right, return_inverse=True)
            ids = []
            for pair in pairs.tolist():
                first, second = divmod(pair, len(view.shapes))
                before, shapes = some[first], view.shapes[second]
                output = None
                if before is not None and shapes is not None:
                    try:
                        output = op.outputs((*before, shapes[0]))
                    except ShapeError:
                        output = None
                if output not in made:
                    made[output] = len(made)
                    inputs.append(None if output is None or before is None or shapes is None else (*before, shapes[0]))
                ids.append(made[output])
            table = np.array(ids)[back.reshape(sizes)]
            narrow = _narrow(Lookup(variables, table))
            shape = Variable(f"the shape of {node.name}, {number}", len(made), None, narrow.variables, narrow.table)
            self.variables.append(shape)
            so_far, some = View((shape,), np.arange(len(made)), list(made)), inputs
        facts = _Facts(self, node)
        for given in some:
            facts.add(op, given)
        self._keep(node, so_far.variables, np.arange(len(some)), facts)

    # --- memory ---

    def _moments(self, course: Course, *, inside: bool) -> list[Moment]:
        """The bytes held while each node runs, without those moments at which no more is held than at another."""
        graph = self.template.graph
        live: dict[str, None] = dict.fromkeys(() if inside else (value.name for value in graph.inputs))
        found: list[tuple[frozenset[str], Lookup]] = []
        nothing = Lookup((), np.zeros((), np.int64))
        for place in range(len(graph.nodes)):
            live.update(dict.fromkeys(course.made[place]))
            found.append((frozenset(live), self.inside[place] if inside else nothing))
            for name in course.freed.get(place, ()):
                live.pop(name, None)
        kept: list[Moment] = []
        least = Moment(0, ())
        for place, (held, made) in enumerate(found):
            before, behind = found[max(place - 2, 0) : place], found[place + 1 : place + 3]
            less = any(held <= other for other, _ in before) or any(held < other for other, _ in behind)
            if less and not np.any(made.table):
                continue
            moment = _moment([*(self.sizes[name] for name in sorted(held)), made])
            if moment.tables:
                kept.append(moment)
            elif moment.always > least.always:
                # Of those that depend on nothing the largest is enough.
                least = moment
        return [least, *kept]


def _moment(lookups: Iterable[Lookup]) -> Moment:
    """The sum of what is looked up by the same variable is looked up at once."""
    always = 0
    tables: dict[frozenset[Variable], Lookup] = {}
    for lookup in lookups:
        if not lookup.variables:
            always += int(lookup.table)
            continue
        _add(tables, lookup)
    return Moment(always, tuple(tables.values()))


class _Facts:
    """The numbers of one node, for each of its variants and inputs."""

    def __init__(self, compiler: _Compiler, node: Node) -> None:
        self.compiler, self.node = compiler, node
        self.costs: list[tuple[int, ...]] = []
        self.seconds: list[float] = []
        self.inside: list[int] = []
        # The place of the shape of each among `shapes`.
        self.outputs: list[int] = []
        self.shapes: list[Shapes | None] = []
        self._places: dict[Shapes | None, int] = {}

    def add(self, op: Op | None, inputs: Shapes | None) -> None:
        """Work out one. A layer that does not fit its input makes no network."""
        width, outputs = self.compiler.setting.width, None
        costs, seconds, inside = (0, 0, 0, 0, 1), 0.0, 0
        if op is not None and inputs is not None:
            try:
                facts = call_facts(op, inputs)
            except (ShapeError, CountError):
                facts = None
            if facts is not None:
                outputs = facts.outputs
                repeated = self.node.is_repeated
                params, buffers = (0, 0) if repeated else (facts.params, facts.buffers)
                costs = (params, buffers, facts.macs or 0, prod(outputs[0]), 0)
                made = op.temporaries(inputs, outputs, False)
                inside = 0 if made is None else made.elements * width + made.bytes
                if self.compiler.setting.device is not None:
                    node = Node(
                        self.node.name, op, self.node.inputs, inputs, outputs, params, facts.macs, buffers=buffers
                    )
                    seconds = layer_seconds(node, self.compiler.setting.device, self.compiler.setting.dtype)
        if outputs not in self._places:
            self._places[outputs] = len(self.shapes)
            self.shapes.append(outputs)
        self.costs.append(costs)
        self.seconds.append(seconds)
        self.inside.append(inside)
        self.outputs.append(self._places[outputs])


def compile_template(template: Template, setting: Setting) -> Program:
    """The tables of a template. Raises CannotCompileError where one would be too large."""
    return _Compiler(template, setting).run()


def _gathered(lookups: Iterable[Lookup]) -> list[Lookup]:
    """The same sums in fewer tables: what depends on some of the variables of another is added to that. Rows of what is
    no network cost as much as the least that is one, so that they lower no bound."""
    kept: list[Lookup] = []
    for lookup in sorted(lookups, key=lambda each: -len(each.variables)):
        own = frozenset(lookup.variables)
        around = next((other for other in kept if own < frozenset(other.variables)), None)
        if around is None:
            kept.append(lookup)
        else:
            around.table = around.table + _spread(lookup.table, lookup.variables, around.variables)
    for lookup in kept:
        if lookup.table.shape[-1] == len(COSTS):
            invalid = lookup.table[..., -1] > 0
            if invalid.any() and not invalid.all():
                lookup.table[invalid, :-1] = lookup.table[~invalid, :-1].min(axis=0)
    return kept


def _united(several: Iterable[tuple[Variable, ...]], more: tuple[Variable, ...]) -> tuple[Variable, ...]:
    found: dict[int, Variable] = {}
    for variables in (*several, more):
        found.update((id(variable), variable) for variable in variables)
    return tuple(found.values())


def _spread(table: NDArray[Any], variables: tuple[Variable, ...], over: tuple[Variable, ...]) -> NDArray[Any]:
    """A table with axes of its own variables as one with the axes of others, of size 1 where it does not depend on
    them; `over` holds all of its variables."""
    places = {id(variable): place for place, variable in enumerate(over)}
    order = sorted(range(len(variables)), key=lambda index: places[id(variables[index])])
    rest = table.shape[len(variables) :]
    moved = table.transpose([*order, *range(len(variables), table.ndim)])
    sizes = [1] * len(over)
    for variable in variables:
        sizes[places[id(variable)]] = variable.size
    return moved.reshape([*sizes, *rest])


def _narrow(lookup: Lookup) -> Lookup:
    """The same by those variables alone that it depends on."""
    table = lookup.table
    kept: list[Variable] = []
    for variable in lookup.variables:
        axis = len(kept)
        if bool(np.all(table == table.take([0], axis=axis))):
            table = table.take(0, axis=axis)
        else:
            kept.append(variable)
    return Lookup(tuple(kept), table)


def _add(tables: dict[frozenset[Variable], Lookup], lookup: Lookup) -> None:
    """Add numbers to those that depend on the same variables; what is there already is left as it is, for others."""
    key = frozenset(lookup.variables)
    if key in tables:
        table = tables[key].table + _spread(lookup.table, lookup.variables, tables[key].variables)
        lookup = Lookup(tables[key].variables, table)
    tables[key] = lookup
