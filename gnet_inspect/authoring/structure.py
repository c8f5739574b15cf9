"""Graph -> the steps of its outermost sequence: what runs inside what, and where branches part and meet.

Modules with modules inside are scopes, by the names of the nodes. In a scope the values make a directed graph from what
comes in to what goes out. Walked back from the end, a layer of one input is a step behind what it reads; where values
meet, the branches start at their nearest common dominator (Cooper, Harvey and Kennedy 2001), and are sequences of their
own. What is read from elsewhere is read by its name, or comes in by a parameter of the scope.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from gnet_inspect.authoring.program import Join, Layer, Scope, Sequence, Share, Step
from gnet_inspect.errors import UsageError
from gnet_inspect.graph import Graph, Node, node_of
from gnet_inspect.language.names import name_fault
from gnet_inspect.ops import MERGES, VOCABULARY

# What functions are called whose names are words of the language.
_CALLED = {
    "add": "sum",
    "mul": "scaled",
    "concat": "joined",
    "matmul": "product",
    "repeat": "repeated",
    "share": "shared",
}


class CannotWriteError(UsageError):
    """A network that nobody can write down in the words there are: the node, and the reason."""


class _Item:
    """A child of a scope: a node, or a scope below it."""

    __slots__ = ("child", "inputs", "name", "node", "output", "repeated")

    def __init__(self, name: str, node: Node | None, child: "_Tree | None") -> None:
        self.name, self.node, self.child = name, node, child
        # Values that it reads from outside of itself, in order; the value that others read of it.
        self.inputs: list[str] = []
        self.output = ""
        # Of a second call of a layer the name of the first, in the same scope.
        self.repeated = ""


class _Tree:
    """A scope: its nodes by children; `shown` is its path in the new names."""

    __slots__ = ("children", "nodes", "path", "shown")

    def __init__(self, path: str, shown: str) -> None:
        self.path, self.shown = path, shown
        self.children: dict[str, _Tree | Node] = {}
        self.nodes: list[Node] = []


def structure_of(graph: Graph, kinds: Mapping[str, str]) -> tuple[Sequence, dict[str, str]]:
    """(the outermost steps; the new names of layers that could not keep theirs, by their old ones)

    `kinds` are the classes of modules by their paths.

    Raises CannotWriteError, which names the node, where something has no word.
    """
    return _Structure(graph, kinds).sequence()


class _Structure:
    """One graph being taken apart."""

    def __init__(self, graph: Graph, kinds: Mapping[str, str]) -> None:
        self.graph, self.kinds = graph, kinds
        self.renamed: dict[str, str] = {}
        self.readers: Counter[str] = Counter(
            [value for node in graph.nodes for value in dict.fromkeys(node.inputs)]
            + [output.value for output in graph.outputs]
        )
        self.inputs = {value.name for value in graph.inputs}
        self.root = _Tree("", "")
        # By its name each node's own path of scopes, and its name in the last of them.
        self.places: dict[str, tuple[str, str]] = {}
        for node in graph.nodes:
            self._check(node)
            self._place(node)

    def sequence(self) -> tuple[Sequence, dict[str, str]]:
        outputs = [output.value for output in self.graph.outputs]
        scope = _ScopeWriter(self, self.root, None, outputs)
        return scope.flat(), self.renamed

    def _check(self, node: Node) -> None:
        kind = node.op.kind
        if VOCABULARY.get(kind) is not type(node.op) and MERGES.get(kind) is not type(node.op):
            raise CannotWriteError(f"`{node.name}` is a {kind}, for which there is no layer")
        says = node.op.weights(node.input_shapes)
        if node.held is not None and says and not node.is_repeated:
            names = [f"{node.module}.{weight.name}" if weight.name else node.module for weight in says]
            held = [weight.name for weight in node.held]
            if not node.module or sorted(names) != sorted(held):
                raise CannotWriteError(f"`{node.name}` reads weights that are not its own: {', '.join(held) or 'none'}")

    def _place(self, node: Node) -> None:
        """Put a node into the tree of scopes."""
        *scopes, name = node.name.split(".")
        tree = self.root
        for depth, scope in enumerate(scopes):
            name_of_scope = self._free_name(scope)
            child = tree.children.get(name_of_scope)
            if child is None:
                path = ".".join(scopes[: depth + 1])
                child = tree.children[name_of_scope] = _Tree(path, f"{tree.shown}.{name_of_scope}".lstrip("."))
            if isinstance(child, Node):
                raise CannotWriteError(f"`{child.name}` is a layer with layers inside, such as `{node.name}`")
            child.nodes.append(node)
            tree = child
        if "@" in name or self._free_name(name) != name:
            name = self._free(self._free_name(name.replace("@", "_")), tree)
        elif name in tree.children:
            raise CannotWriteError(f"`{node.name}` is a layer with layers inside")
        tree.children[name] = node
        new = f"{tree.shown}.{name}".lstrip(".")
        if new != node.name:
            self.renamed[node.name] = new
        self.places[node.name] = tree.path, name

    @staticmethod
    def _free_name(name: str) -> str:
        """A name that may stand in a spec, as near as can be."""
        if name in _CALLED:
            return _CALLED[name]
        if name_fault(name, "layer") is None and name not in VOCABULARY:
            return name
        return re.sub(r"[^A-Za-z0-9_]", "_", name)[:63].lstrip("_") + "_"

    def _free(self, name: str, tree: _Tree) -> str:
        taken = {node.name.rpartition(".")[2] for node in self.graph.nodes if node.name.startswith(tree.path)}
        while name in taken or name in tree.children:
            name = f"{name}_"
        return name


class _ScopeWriter:
    """One scope being written down: its items, and how they hang together."""

    def __init__(self, whole: _Structure, tree: _Tree, parent: "_ScopeWriter | None", outputs: list[str]) -> None:
        self.whole, self.tree, self.parent, self.outputs = whole, tree, parent, outputs
        # By the name of each value from outside, the parameter by which it comes in.
        self.values: dict[str, str] = {}
        self.items = self._items()
        self.made = {item.output: item for item in self.items}
        self.entry = ""
        self._taken = {item.name for item in self.items}

    # --- items ---

    def _items(self) -> list[_Item]:
        """The children in an order in which each comes behind what it reads."""
        items = []
        for name, child in self.tree.children.items():
            if isinstance(child, Node):
                item = _Item(name, child, None)
                item.inputs, item.output = list(child.inputs), child.name
                if child.is_repeated and child.op.weights(child.input_shapes):
                    home, first = self.whole.places.get(child.module, ("", ""))
                    if home != self.tree.path or not first:
                        raise CannotWriteError(
                            f"`{child.name}` calls `{child.module}`, a layer of another scope, again"
                        )
                    item.repeated = first
            else:
                item = _Item(name, None, child)
                inside = {node.name for node in child.nodes}
                item.inputs = list(
                    dict.fromkeys(
                        value for node in child.nodes for value in node.inputs if node_of(value) not in inside
                    )
                )
                item.output = self._output(child, inside)
            items.append(item)
        return _ordered(items)

    def _output(self, child: _Tree, inside: set[str]) -> str:
        """The one value that others read of a scope."""
        read = {value for node in self.whole.graph.nodes if node.name not in inside for value in node.inputs}
        read |= {output.value for output in self.whole.graph.outputs}
        found = [value for node in child.nodes for value in node.values() if value in read]
        if len(found) != 1:
            several = f"{len(found)} values of it: {', '.join(found[:3])}" if found else "nothing of it"
            raise CannotWriteError(f"`{child.path}` is a module of which others read {several}; a block gives one")
        return found[0]

    # --- sequences ---

    def flat(self) -> Sequence:
        """All items in order, each reading the one before it or others by their names."""
        steps: Sequence = []
        before = next((value.name for value in self.whole.graph.inputs), "") if self.parent is None else self.entry
        for item in self.items:
            steps.append(self._flat_step(item, before))
            if self._data(item):
                before = item.output
        return steps

    def _flat_step(self, item: _Item, before: str) -> Step:
        if item.node is not None and item.node.op.kind in MERGES:
            branches: list[Sequence | str] = [[] if value == before else self.name_of(value) for value in item.inputs]
            return Step(item.name, Join(item.node.op.kind, _arguments(item.node), branches, item.node.name))
        return self._step(item, before)

    def nested(self, entry: str) -> Sequence:
        """From what comes in to what goes out, with a sequence for each branch; flat where the values do not nest."""
        self.entry = entry
        try:
            nest = _Nest(self, entry)
            steps = nest.sequence(entry, self.outputs[0])
            lost = [item.name for item in self.items if item.name not in nest.written]
            if not lost:
                return steps
        except _NotNestedError:
            pass
        return self.flat()

    def _data(self, item: _Item) -> bool:
        """Whether what stands behind an item reads it: a learned tensor is passed by."""
        return item.node is None or bool(item.node.inputs)

    def _step(self, item: _Item, before: str) -> Step:
        """The step of an item that is no join, behind a value."""
        if item.repeated:
            assert item.node is not None
            return Step(item.name, Share(item.repeated, item.node.name), self._reads(item.inputs, before))
        if item.node is not None:
            node = item.node
            arguments = _arguments(node)
            inputs = item.inputs
            if arguments.get("like") is True:
                arguments["like"] = self.name_of(inputs[1])
                inputs = inputs[:1]
            else:
                arguments.pop("like", None)
            one = list(dict.fromkeys(inputs))
            reads = self._reads(one if len(one) == 1 else inputs, before) if inputs else None
            return Step(item.name, Layer(node.op.kind, arguments, node.name, node.op.family.name), reads)
        assert item.child is not None
        child = _ScopeWriter(self.whole, item.child, self, [item.output])
        entry = before if before in item.inputs else item.inputs[0] if item.inputs else before
        body = child.nested(entry)
        kind = self.whole.kinds.get(item.child.path, "")
        values = {name: self.name_of(value) for value, name in child.values.items()}
        return Step(item.name, Scope(item.child.path, kind, body, values), self._reads([entry], before))

    def _reads(self, inputs: list[str], before: str) -> tuple[str, ...] | None:
        return None if inputs == [before] else tuple(map(self.name_of, inputs))

    # --- names of values ---

    def name_of(self, value: str) -> str:
        """What a value is called in this scope: a layer or block of its own, or a parameter by which it comes in."""
        item = self.made.get(value)
        if item is not None:
            return item.name
        inner = self._inside(value)
        if inner:
            return inner
        if self.parent is None:
            if value not in self.whole.inputs:
                raise CannotWriteError(f"`{value}` is read where it has no name")
            return value
        known = self.values.get(value)
        if known is None:
            known = self.values[value] = self._parameter(value)
        return f"${known}"

    def _inside(self, value: str) -> str:
        """A second value of a layer of this scope."""
        node = node_of(value)
        home, name = self.whole.places.get(node, (None, ""))
        return f"{name}{value.removeprefix(node)}" if home == self.tree.path and node != value else ""

    def _parameter(self, value: str) -> str:
        base = "skip" if value != self.entry else "source"
        name, number = base, 2
        while name in self.values.values() or name in self._taken:
            name, number = f"{base}{number}", number + 1
        return name


class _NotNestedError(Exception):
    """Branches that do not nest."""


class _Nest:
    """A scope whose branches are sequences of their own."""

    def __init__(self, scope: _ScopeWriter, entry: str) -> None:
        self.scope, self.entry = scope, entry
        self.written: set[str] = set()
        # By a value, the nearest one that all ways to it lead through, and how far both are from what comes in.
        self.above: dict[str, str] = {}
        self.depth = {entry: 0}
        for item in scope.items:
            inner = [value for value in dict.fromkeys(item.inputs) if value in self.depth]
            if item.node is not None and not item.node.inputs:
                continue
            if not inner:
                raise _NotNestedError
            above = inner[0]
            for value in inner[1:]:
                above = self._common(above, value)
            self.above[item.output] = above
            self.depth[item.output] = self.depth[above] + 1

    def _common(self, one: str, other: str) -> str:
        while one != other:
            if self.depth[one] < self.depth[other]:
                one, other = other, one
            one = self.above[one]
        return one

    def sequence(self, start: str, end: str) -> Sequence:
        """The steps from one value to another."""
        steps: Sequence = []
        while end != start:
            item = self.scope.made.get(end)
            if item is None or end not in self.above:
                raise _NotNestedError
            if item.name in self.written:
                raise _NotNestedError
            self.written.add(item.name)
            above = self.above[end]
            learned = self._learned(item)
            if item.node is not None and item.node.op.kind in MERGES:
                branches = [self._branch(above, value) for value in item.inputs]
                body = Join(item.node.op.kind, _arguments(item.node), branches, item.node.name)
                steps.append(Step(item.name, body))
            else:
                if above not in item.inputs:
                    raise _NotNestedError
                steps.append(self.scope._step(item, above))
            steps += learned
            end = above
        return steps[::-1]

    def _branch(self, start: str, value: str) -> "Sequence | str":
        if value in self.depth:
            return self.sequence(start, value)
        return self.scope.name_of(value)

    def _learned(self, item: _Item) -> Sequence:
        """The steps of the learned tensors that an item is the first to read."""
        found: Sequence = []
        for value in item.inputs:
            made = self.scope.made.get(value)
            if made is not None and made.node is not None and not made.node.inputs and made.name not in self.written:
                self.written.add(made.name)
                found.append(self.scope._step(made, value))
        return found


def _ordered(items: list[_Item]) -> list[_Item]:
    """Items in an order in which each comes behind what it reads, else in that in which they are."""
    home = {}
    for item in items:
        nodes = item.child.nodes if item.child is not None else [item.node]
        home.update({node.name: item.name for node in nodes if node is not None})
    waiting = {}
    for item in items:
        read = {home[node_of(value)] for value in item.inputs if node_of(value) in home}
        waiting[item.name] = read - {item.name}
    found: list[_Item] = []
    done: set[str] = set()
    left = list(items)
    while left:
        ready = next((item for item in left if waiting[item.name] <= done), None)
        if ready is None:
            raise CannotWriteError(
                f"`{left[0].name}` and `{left[1].name}` read each other's values: modules that are called in parts"
            )
        found.append(ready)
        done.add(ready.name)
        left.remove(ready)
    return found


def _arguments(node: Node) -> dict[str, Any]:
    """All arguments of a layer that a spec may give, by name."""
    return {name: getattr(node.op, name) for name in node.op.parameters()}
