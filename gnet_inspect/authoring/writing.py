"""Graph -> Program: its scopes as blocks, and its outermost steps cut into stages where the resolution changes."""

import re
from typing import Any

from gnet_inspect.authoring.blocks import find_blocks
from gnet_inspect.authoring.idioms import in_words
from gnet_inspect.authoring.naming import common_beginning
from gnet_inspect.authoring.program import (
    Head,
    Layer,
    Program,
    Scope,
    Sequence,
    Stage,
    Step,
    Term,
    Use,
)
from gnet_inspect.authoring.structure import structure_of
from gnet_inspect.authoring.words import SPEC, Words
from gnet_inspect.graph import Graph, Node
from gnet_inspect.graph.cutting import parts_of
from gnet_inspect.language.names import name_fault


def write_program(graph: Graph, name: str, words: Words = SPEC) -> Program:
    """A network as a person writes one, under a name, in the words of a spec unless said.

    Raises CannotWriteError, which names the node and the reason, where that cannot be done.
    """
    kinds = {part.name: part.kind for part in parts_of(graph.parts) if part.kind}
    graph = in_words(graph)
    sequence, names, renamed = structure_of(graph, kinds, words)
    returned = dict(zip([output.name for output in graph.outputs], names, strict=True))
    heads = _take_heads(graph, sequence, returned) if graph.mode == "train" else []
    blocks = find_blocks([sequence, *(head.steps for head in heads)], words)
    outputs = _outputs(graph, sequence, returned)
    parameters = {} if outputs else _classes(sequence)
    stages = _Stages(graph).cut(sequence)
    return Program(name, graph.inputs, outputs, parameters, blocks, stages, heads, renamed)


def _take_heads(graph: Graph, sequence: Sequence, returned: dict[str, str]) -> list[Head]:
    """The outermost modules that give nothing but an output of training: auxiliary classifiers, out of the sequence."""
    weights = {output.name: output.weight for output in graph.outputs}
    read = {name for step in sequence for name in step.reads or ()}
    heads = []
    for output, name in list(returned.items())[1:]:
        step = next((step for step in sequence if step.name == name), None)
        if step is None or not isinstance(step.body, Scope) or name in read or step.body.values:
            continue
        place = sequence.index(step)
        behind = sequence[place + 1] if place + 1 < len(sequence) else None
        reads = step.reads[0] if step.reads else sequence[place - 1].name
        if behind is not None and behind.reads == (reads,):
            # Without the head what stands behind it reads what comes before it.
            behind.reads = None
        sequence.remove(step)
        del returned[output]
        heads.append(Head(name, reads, weights[output], step.body.body))
    return heads[::-1] if all(head.weight is None for head in heads) else heads


def _outputs(graph: Graph, sequence: Sequence, returned: dict[str, str]) -> dict[str, str]:
    """What the network returns by its names, where that is not what the last step gives."""
    if len(returned) == 1 and not graph.names_outputs and _gives(sequence[-1], next(iter(returned.values()))):
        return {}
    if graph.names_outputs:
        return {_plain(name, number): layer for number, (name, layer) in enumerate(returned.items())}
    return {f"output{number or ''}": layer for number, layer in enumerate(returned.values())}


def _plain(name: str, number: int) -> str:
    """An output's name as specs allow it: a path in what is returned, or a stranger's text, as one word."""
    found = re.sub(r"\W+", "_", name, flags=re.ASCII)[:60].strip("_")
    return found if found and name_fault(found, "output") is None else f"output{number}_{found}".rstrip("_")


def _gives(step: Step, name: str) -> bool:
    """Whether a name is what the outermost step gives: its own, or that of the last member of a list."""
    if isinstance(step.body, Scope) and step.body.is_list:
        return name in (step.name, f"{step.name}.{step.body.body[-1].name}")
    return name == step.name


def _classes(sequence: Sequence) -> dict[str, Any]:
    """The number of classes as a parameter of the model: what the last layer of all makes of features."""
    body = sequence[-1].body
    while isinstance(body, Scope) or (isinstance(body, Use) and body.block.uses == 1):
        body = body.body[-1].body if isinstance(body, Scope) else body.block.body[-1].body
    if isinstance(body, Layer) and isinstance(body.arguments.get("out_features"), int):
        classes = body.arguments["out_features"]
        body.arguments["out_features"] = Term("classes")
        return {"classes": classes}
    return {}


# --- stages ---


class _Stages:
    """The outermost steps of one network being cut."""

    def __init__(self, graph: Graph) -> None:
        # By the path of each scope the last node in it, and by each node's own name that.
        self.last: dict[str, Node] = {}
        for node in graph.nodes:
            self.last |= dict.fromkeys([*node.scopes(), node.name], node)
        self.spatial = len(graph.inputs[0].shape) > 2

    def cut(self, sequence: Sequence) -> list[Stage]:
        """Runs of steps that end where the resolution changes, pools at the end of one."""
        runs: list[list[tuple[Step, Step | None]]] = []
        before: tuple[int, ...] | None = None
        is_closed = True
        names: set[str] = set()
        for step, member in _members(sequence):
            node = self._last(member or step)
            sizes = node.output_shape[2:] if node is not None else before
            is_pool = self._is_pool(member or step)
            if node is not None and node.op.family.name == "learned tensor":
                sizes = before
            changes = before is not None and sizes != before
            if runs and runs[-1][-1][0] is not step and step.name in names:
                # A list goes on that other steps stand behind: its name may stand in a stage once.
                is_closed = True
            if (
                is_closed
                or (changes and not is_pool)
                or (is_pool and not any(sizes or ()))
                or (changes and is_pool and self._is_global(sizes))
            ):
                runs.append([])
                names = set()
            runs[-1].append((step, member))
            names.add(step.name)
            is_closed = changes and is_pool and not self._is_global(sizes)
            before = sizes
        runs = _without_small(self._together(runs))
        return _named([_steps(run) for run in runs], [self._is_head(run) for run in runs])

    def _together(self, runs: list[list[tuple[Step, Step | None]]]) -> list[list[tuple[Step, Step | None]]]:
        """What comes behind the last map of more than one place, as one run."""
        found: list[list[tuple[Step, Step | None]]] = []
        for run in runs:
            if found and self._is_head(run) and self._is_head(found[-1]) and _may_join(found[-1], run):
                found[-1] += run
            else:
                found.append(run)
        return found

    def _is_head(self, run: list[tuple[Step, Step | None]]) -> bool:
        nodes = [self._last(member or step) for step, member in run]
        return all(node is not None and self._is_global(node.output_shape[2:]) for node in nodes)

    def _is_global(self, sizes: tuple[int, ...] | None) -> bool:
        return self.spatial and all(size == 1 for size in sizes or ())

    def _is_pool(self, step: Step) -> bool:
        return isinstance(step.body, Layer) and step.body.family == "pooling"

    def _last(self, step: Step) -> Node | None:
        """The last node of a step."""
        body = step.body
        return self.last.get(body.path if isinstance(body, Use | Scope) else body.node)


def _members(sequence: Sequence) -> list[tuple[Step, Step | None]]:
    """The outermost steps; of a list its members, each with the list."""
    found: list[tuple[Step, Step | None]] = []
    for step in sequence:
        if isinstance(step.body, Scope) and step.body.is_list and not step.reads and not step.body.values:
            found += [(step, member) for member in step.body.body]
        else:
            found.append((step, None))
    return found


def _steps(run: list[tuple[Step, Step | None]]) -> Sequence:
    """The steps of a stage: members of one list as that list again."""
    steps: Sequence = []
    last: Step | None = None
    for step, member in run:
        if member is None:
            steps.append(step)
        elif step is last:
            body = steps[-1].body
            assert isinstance(body, Scope)
            body.body.append(member)
        else:
            assert isinstance(step.body, Scope)
            steps.append(Step(step.name, Scope(step.body.path, step.body.kind, [member], {})))
        last = step if member is not None else None
    return steps


def _without_small(runs: list[list[tuple[Step, Step | None]]]) -> list[list[tuple[Step, Step | None]]]:
    """Runs without those of one plain layer, which belong to what comes before them."""
    found: list[list[tuple[Step, Step | None]]] = []
    for run in runs:
        alone = len(run) == 1 and isinstance((run[0][1] or run[0][0]).body, Layer) and found
        if alone and len(runs) > 2 and run is not runs[-1] and _may_join(found[-1], run):
            found[-1] = [*found[-1], *run]
        else:
            found.append(run)
    return found


def _may_join(run: list[tuple[Step, Step | None]], more: list[tuple[Step, Step | None]]) -> bool:
    """Whether two runs may be one: no list goes on in the second that other steps of the first stand behind."""
    names = {step.name for step, _ in run}
    return not any(step.name in names and step is not run[-1][0] for step, _ in more)


def _named(runs: list[Sequence], are_heads: list[bool]) -> list[Stage]:
    """A name for each: the common beginning of its blocks' names, else by its place."""
    found: list[Stage] = []
    taken: set[str] = set()
    for place, (run, is_head) in enumerate(zip(runs, are_heads, strict=True)):
        blocks = [step.name for step in run if isinstance(step.body, Use | Scope)]
        name = common_beginning(blocks).rstrip("_.-") or (blocks[0] if blocks else "")
        if place == len(runs) - 1 and is_head:
            name = "classifier"
        elif place == 0:
            name = "stem" if len(runs) > 1 else "network"
        elif not name or name in taken or (name in ("features", "layers", "blocks", "conv")):
            name = f"stage{place}"
        while name in taken:
            name = f"{name}_"
        taken.add(name)
        found.append(Stage(name, run))
    return found
