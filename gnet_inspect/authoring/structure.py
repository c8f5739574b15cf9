"""Graph -> the steps of its outermost sequence: what runs inside what, and where branches part and meet.

Modules with modules inside are scopes, by the names of the nodes. In a scope the values make a directed graph from what
comes in to what goes out. Walked back from the end, a layer of one input is a step behind what it reads; where values
meet, the branches start at their nearest common dominator (Cooper, Harvey and Kennedy 2001), and are sequences of their
own. What is read from elsewhere is read by its name, or comes in by a parameter of the scope.
"""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence as Sequence_
from typing import NamedTuple

from gnet_inspect.authoring.program import Join, Layer, Scope, Sequence, Share, Step
from gnet_inspect.authoring.words import SPEC, Words
from gnet_inspect.errors import CannotWriteError
from gnet_inspect.graph import Graph, Node, node_of
from gnet_inspect.ops import MERGES, VOCABULARY
from gnet_inspect.spelling import free_name


class _Item:
    """A child of a scope: a node, or a scope below it."""

    __slots__ = ("child", "inputs", "listed", "name", "node", "output", "repeated")

    def __init__(self, name: str, node: Node | None, child: "_Tree | None", listed: str = "") -> None:
        self.name, self.node, self.child = name, node, child
        # The list of the outermost scope whose member it is.
        self.listed = listed
        # Values that it reads from outside of itself, in order; the value that others read of it.
        self.inputs: list[str] = []
        self.output = ""
        # Of a second call of a layer the name of the first, in the same scope.
        self.repeated = ""


class _Tree:
    """A scope: its nodes by children; `shown` is its path in the new names, `shares` the name of the one beside it of
    which it is a second call."""

    __slots__ = ("children", "nodes", "path", "shares", "shown")

    def __init__(self, path: str, shown: str, shares: str = "") -> None:
        self.path, self.shown, self.shares = path, shown, shares
        self.children: dict[str, _Tree | Node] = {}
        self.nodes: list[Node] = []

    def is_list(self) -> bool:
        """Whether its children are numbered from 0 on."""
        return list(self.children) == [str(number) for number in range(len(self.children))]


class Structure(NamedTuple):
    """The outermost steps of a network; the names that what it returns has there; and the new names of layers that
    could not keep theirs, by their old ones."""

    steps: Sequence
    outputs: list[str]
    renamed: dict[str, str]


def structure_of(graph: Graph, kinds: Mapping[str, str], words: Words = SPEC) -> Structure:
    """A graph taken apart.

    `kinds` are the classes of modules by their paths, `words` those it is written in.

    Raises CannotWriteError, which names the node, where something has no word.
    """
    return _Structure(graph, kinds, words).taken_apart()


class _Structure:
    """One graph being taken apart."""

    def __init__(self, graph: Graph, kinds: Mapping[str, str], words: Words) -> None:
        self.graph, self.kinds, self.words = graph, kinds, words
        self.renamed: dict[str, str] = {}
        self.readers: Counter[str] = Counter(
            [value for node in graph.nodes for value in dict.fromkeys(node.inputs)]
            + [output.value for output in graph.outputs]
        )
        self.inputs = {value.name for value in graph.inputs}
        self.root = _Tree("", "")
        self.shared = _shared_scopes(graph.nodes)
        # By the path of a scope the names of its layers, as they were.
        self.taken: dict[str, set[str]] = {}
        for node in graph.nodes:
            home, _, name = node.name.rpartition(".")
            self.taken.setdefault(home, set()).add(name)
        # By its name each node's own path of scopes, and its name in the last of them.
        self.places: dict[str, tuple[str, str]] = {}
        for node in graph.nodes:
            self._check(node)
            self._place(node)

    def shown(self, node: str) -> str:
        """The name of a node as it is written."""
        return self.renamed.get(node, node)

    def taken_apart(self) -> Structure:
        outputs = [output.value for output in self.graph.outputs]
        scope = _ScopeWriter(self, self.root, None, outputs)
        return Structure(scope.flat(), [scope.name_of(value) for value in outputs], self.renamed)

    def _check(self, node: Node) -> None:
        kind = node.op.kind
        if VOCABULARY.get(kind) is not type(node.op) and MERGES.get(kind) is not type(node.op):
            raise CannotWriteError(f"`{node.name}` is `{node.describe()}`, for which there is no layer")
        says = node.op.weights(node.input_shapes)
        if node.held is not None and says and not node.is_repeated:
            names = [f"{node.module}.{weight.name}" if weight.name else node.module for weight in says]
            held = [weight.name for weight in node.held]
            if not node.module or sorted(names) != sorted(held):
                others = f"reads {', '.join(held)} as its weights" if held else "has the weights of another layer"
                raise CannotWriteError(f"`{node.name}`, a {kind}, {others}, which no spec can say")

    def _place(self, node: Node) -> None:
        """Put a node into the tree of scopes."""
        *scopes, name = node.name.split(".")
        tree = self.root
        for path, scope in zip(node.scopes(), scopes, strict=True):
            name_of_scope = self.words.name(scope)
            shares = ""
            call = self.shared.get((path, node.name.partition("@")[2]))
            if call is not None:
                shares, name_of_scope = name_of_scope, f"{name_of_scope}_{call}"
            child = tree.children.get(name_of_scope)
            if child is None:
                shown = f"{tree.shown}.{name_of_scope}".lstrip(".")
                child = tree.children[name_of_scope] = _Tree(path, shown, shares)
            if isinstance(child, Node):
                raise CannotWriteError(f"`{child.name}` is a layer with layers inside, such as `{node.name}`")
            child.nodes.append(node)
            tree = child
        if "@" in name or self.words.name(name) != name:
            name = self._free(self.words.name(name.replace("@", "_")), tree)
        elif name in tree.children:
            raise CannotWriteError(f"`{node.name}` is a layer with layers inside")
        tree.children[name] = node
        new = f"{tree.shown}.{name}".lstrip(".")
        if new != node.name:
            self.renamed[node.name] = new
        self.places[node.name] = tree.path, name

    def _free(self, name: str, tree: _Tree) -> str:
        while name in self.taken.get(tree.path, ()) or name in tree.children:
            name = f"{name}_"
        return name


def _shared_scopes(nodes: Sequence_[Node]) -> dict[tuple[str, str], str]:
    """By the path of a scope and the number of a call, that number, where the whole scope ran again."""
    first: dict[str, list[str]] = {}
    later: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        name, _, call = node.name.partition("@")
        for path in node.scopes():
            if call:
                later.setdefault((path, call), []).append(name)
            else:
                first.setdefault(path, []).append(name)
    whole = {key: key[1] for key, names in later.items() if names == first.get(key[0])}
    # Of scopes in each other the outermost is the one that is called.
    return {
        (path, call): call
        for path, call in whole
        if not any((path[:end], call) in whole for end in range(len(path)) if path[end] == ".")
    }


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
        """The children in an order in which each comes behind what it reads; in the place of an outermost list its
        members, because other layers may stand between them."""
        items = []
        for name, child in self.tree.children.items():
            if self.parent is None and isinstance(child, _Tree) and child.is_list():
                items += [self._item(number, member, name, child) for number, member in child.children.items()]
            else:
                items.append(self._item(name, child, "", self.tree))
        return _ordered(items)

    def _item(self, name: str, child: "_Tree | Node", listed: str, home: _Tree) -> _Item:
        if isinstance(child, _Tree):
            item = _Item(name, None, child, listed)
            inside = {node.name for node in child.nodes}
            read = [value for node in child.nodes for value in node.inputs]
            item.inputs = list(dict.fromkeys(value for value in read if node_of(value) not in inside))
            item.output = self._output(child)
            return item
        item = _Item(name, child, None, listed)
        item.inputs, item.output = list(child.inputs), child.name
        if child.is_repeated and child.op.weights(child.input_shapes):
            place, first = self.whole.places.get(child.module, ("", ""))
            if place != home.path or not first:
                raise CannotWriteError(f"`{child.name}` calls a layer of another scope, `{child.module}`")
            item.repeated = first
        return item

    def _output(self, child: _Tree) -> str:
        """The value that a scope gives: that of the last layer in it. Others are read by their paths in it."""
        return next((node.name for node in reversed(child.nodes) if node.inputs), child.nodes[-1].name)

    # --- sequences ---

    def flat(self) -> Sequence:
        """All items in order, each reading the one before it or others by their names."""
        steps: Sequence = []
        before = next((value.name for value in self.whole.graph.inputs), "") if self.parent is None else self.entry
        last = ""
        for item in self.items:
            step = self._flat_step(item, before)
            if not item.listed:
                steps.append(step)
            elif item.listed == last:
                scope = steps[-1].body
                assert isinstance(scope, Scope)
                scope.body.append(step)
            else:
                path = f"{self.tree.path}.{item.listed}".lstrip(".")
                steps.append(Step(item.listed, Scope(path, "", [step], {})))
            last = item.listed
            if self._data(item):
                before = item.output
        return steps

    def _flat_step(self, item: _Item, before: str) -> Step:
        if item.node is not None and item.node.op.kind in MERGES:
            branches: list[Sequence | str] = [[] if value == before else self.name_of(value) for value in item.inputs]
            return Step(
                item.name, Join(item.node.op.kind, self.whole.words.arguments(item.node), branches, item.node.name)
            )
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
            arguments = self.whole.words.arguments(node)
            inputs = item.inputs
            if arguments.get("like") is True:
                arguments["like"] = self.name_of(inputs[1])
                inputs = inputs[:1]
            else:
                arguments.pop("like", None)
            reads = self._reads(inputs, before) if inputs else None
            return Step(item.name, Layer(node.op.kind, arguments, node.name, node.op.family.name), reads)
        assert item.child is not None
        if item.child.shares:
            return Step(item.name, Share(item.child.shares, item.output), self._reads(item.inputs, before))
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
            return f"{item.listed}.{item.name}" if item.listed else item.name
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
        """A value in the middle of a scope below this one, by its path, or a second value of a layer."""
        node = node_of(value)
        home, name = self.whole.places.get(node, ("", ""))
        own = self.tree.path
        if not name or (own and home != own and not home.startswith(f"{own}.")):
            return ""
        path = f"{self.whole.shown(node)}{value.removeprefix(node)}"
        return path.removeprefix(f"{self.tree.shown}.") if own else path

    def _parameter(self, value: str) -> str:
        return free_name("skip" if value != self.entry else "source", {*self.values.values(), *self._taken})


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
                body = Join(item.node.op.kind, self.scope.whole.words.arguments(item.node), branches, item.node.name)
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
        home.update({node.name: item for node in nodes if node is not None})
    found: dict[int, _Item] = {}
    for first in items:
        waiting, begun = [first], {id(first)}
        while waiting:
            item = waiting[-1]
            read = [home[node_of(value)] for value in item.inputs if node_of(value) in home]
            lacking = [one for one in read if id(one) not in found and one is not item]
            if not lacking:
                found.setdefault(id(item), item)
                waiting.pop()
            elif id(lacking[0]) in begun:
                raise CannotWriteError(
                    f"`{item.name}` and `{lacking[0].name}` read each other's values: modules that are called in parts"
                )
            else:
                begun.add(id(lacking[0]))
                waiting.append(lacking[0])
    _check_lists(list(found.values()))
    return list(found.values())


def _check_lists(items: list[_Item]) -> None:
    """Raise CannotWriteError where the members of a list do not run in their order."""
    numbers: dict[str, int] = {}
    for item in items:
        if item.listed:
            if int(item.name) != numbers.get(item.listed, 0):
                raise CannotWriteError(
                    f"`{item.listed}.{item.name}` is a member of a list that runs out of its order, or not in all"
                )
            numbers[item.listed] = int(item.name) + 1
