"""What was recorded of a network -> its Graph: names, the tree of parts, weights by their first readers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod

from gnet_inspect.errors import UsageError
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.nodes import Graph, Group, Output, Run, Unreached, Value
from gnet_inspect.graph.recording import Made, Record, Scope, Weight
from gnet_inspect.ops import LearnedTensor, Op
from gnet_inspect.ops import Weight as Held
from gnet_inspect.ops.functions import Computed
from gnet_inspect.units import sum_known

# Wrappers put their own names before those of the network's parts.
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
OUTPUT = "output"
# What stands behind the last resolution, where no module is known.
HEAD = "head"
# What gives a map of another resolution, and is no layer of a number of axes.
RESAMPLING = "resampling"


class Assembler:
    """Makes one graph of what was recorded: of `root` with all that it called, and of the weights there are, by their
    paths in the state dict. `paths` are those of all modules, which no function is named like; `inputs` have the names
    of the values that they are in the records."""

    def __init__(
        self, root: Scope, weights: Mapping[str, Weight], paths: Iterable[str], inputs: Sequence[Value], title: str
    ) -> None:
        self.root, self.weights, self.title = root, weights, title
        # The record of each node by name; what is computed of weights has the last one.
        self.records: dict[str, Record] = {}
        self.paths = set(map(clean, paths))
        self.inputs = _named_apart(inputs, self.paths.union(map(clean, weights)))
        self._input_names = dict(
            zip((value.name for value in inputs), (value.name for value in self.inputs), strict=True)
        )
        # Names of values that no function may have.
        self._taken = {value.name for value in self.inputs}
        self.maker = GraphMaker(self.inputs)
        # The name of the value that each output of a record became.
        self._values: dict[int, str] = {}
        # By the path of a weight, the node that it is where it is read as a value.
        self._weight_nodes: dict[str, str] = {}
        self._kept: list[Made] = []
        self._read: set[str] = set()
        self._needed: set[int] = set()
        # The records of values made of weights alone that some node counts.
        self._counted: set[int] = set()
        self._numbers: dict[tuple[int, str], int] = {}

    def assemble(
        self,
        outputs: Sequence[tuple[str, Made]],
        *,
        name: str,
        mode: str = "eval",
        origin: str = "module",
        names_outputs: bool = False,
        is_flat: bool = False,
    ) -> Graph:
        """The graph of the network that returns `outputs`, by their places in what it returns. `is_flat`: nobody knows
        its modules, so that its parts are those of one resolution.

        Raises UsageError where that is nothing, or nothing is called.
        """
        if not outputs:
            raise UsageError(
                f"{self.title}: expected a forward that returns tensors made of its inputs, got none of these"
            )
        self._find_needed([made for _, made in outputs])
        root = self.root
        while len(root.items) == 1 and isinstance(root.items[0], Scope):
            root = root.items[0]
        parts = self._resolutions(root) if is_flat else self._stages(root)
        # What an output alone needs of weights is made last, and belongs to the last part.
        self.maker.open("stage", OUTPUT)
        named = self._outputs(outputs, names_outputs)
        last = self.maker.close()
        if not self.maker.nodes:
            raise UsageError(f"{self.title}: expected a forward that does something, got one that runs nothing")
        return self.maker.graph(
            model=name,
            title=self.title,
            mode=mode,
            outputs=named,
            parts=[*parts, *([last] if last else [])],
            origin=origin,
            names_outputs=names_outputs,
            unreached=tuple(self._unreached()),
            run=self.run(),
        )

    def run(self) -> Run:
        """How its own code held its values: nothing is known of it but that it has one."""
        return Run()

    # --- what is there at all ---

    def _find_needed(self, outputs: Sequence[Made]) -> None:
        """Records that are in the graph: all that computes, and of views those that something reads."""
        waiting = [made.record for made in outputs if made.record is not None]
        records = list(self.root.records())
        waiting += [
            record
            for record in records
            if not record.is_alias and not record.is_side and record.op.family.name != "movement"
        ]
        while waiting:
            record = waiting.pop()
            if id(record) not in self._needed:
                self._needed.add(id(record))
                waiting += [made.record for made in (*record.values, *record.slots) if made.record is not None]

    # --- the tree ---

    def _stages(self, root: Scope) -> list[Group]:
        """The parts of the network: the modules of its outermost level, and runs of layers between them."""
        stages: list[Group] = []
        items = [item for item in root.items if self._is_there(item)]
        if not any(isinstance(item, Scope) for item in items):
            self._stage(items, clean(root.path) or self.root.kind, stages)
            return stages
        run: list[Record | Scope] = []
        for item, listed in zip(items, _listed(items, root.path), strict=True):
            whole = listed or (clean(item.path) if isinstance(item, Scope) and item.is_container else "")
            if run and (whole or self._is_next(run[-1], item)):
                self._stage(run, _run_name(run), stages)
                run = []
            if whole:
                self._stage([item], whole, stages)
            else:
                run.append(item)
        if run:
            self._stage(run, _run_name(run), stages)
        return _joined(stages)

    def _resolutions(self, root: Scope) -> list[Group]:
        """Runs of layers of one resolution: a layer along spatial axes that gives another begins the next, unless it
        gives one position; what then has no map any more is the head. Of one resolution alone the whole is one part."""
        items = [item for item in root.records() if self._is_there(item)]
        sizes = [item.outputs[0].shape[2:] if item.outputs else () for item in items]
        maps = {
            index: size
            for index, (item, size) in enumerate(zip(items, sizes, strict=True))
            if (item.op.ndim > 1 or item.op.family.name == RESAMPLING) and prod(size) > 1
        }
        stages: list[Group] = []
        if len(set(maps.values())) < 2:
            self._stage(items, clean(root.path) or root.kind, stages)
            return stages
        last = max(maps)
        end = max(index for index, size in enumerate(sizes) if index >= last and size == maps[last])
        runs: list[tuple[tuple[int, ...], list[Record]]] = [(next(iter(maps.values())), [])]
        for index, item in enumerate(items):
            here = maps.get(index, runs[-1][0]) if index <= end else ()
            if here != runs[-1][0]:
                runs.append((here, []))
            runs[-1][1].append(item)
        times: dict[str, int] = {}
        for size, run in runs:
            name = "x".join(map(str, size)) or HEAD
            number = times[name] = times.get(name, -1) + 1
            self._stage(run, f"{name}@{number}" if number else name, stages)
        return stages

    def _is_next(self, last: Record | Scope, item: Record | Scope) -> bool:
        """Whether a stage ends between two items: behind a block, where a layer follows or the resolution changes."""
        if isinstance(last, Record):
            return False
        return isinstance(item, Record) or self._resolution(last) != self._resolution(item)

    def _resolution(self, scope: Scope) -> tuple[int, ...]:
        """The spatial sizes of what a scope gives."""
        there = [record for record in scope.records() if id(record) in self._needed]
        return there[-1].outputs[0].shape[2:] if there and there[-1].outputs else ()

    def _stage(self, items: Sequence[Record | Scope], name: str, stages: list[Group]) -> None:
        self.maker.open("stage", name)
        for item in items:
            if isinstance(item, Scope) and item.is_container and clean(item.path) == name:
                # The stage is this one list: what is in it stands right below.
                self._items(item)
            else:
                self._item(item)
        group = self.maker.close()
        if group is not None:
            stages.append(group)

    def _items(self, scope: Scope) -> None:
        """The items of a scope; those of one list of modules, and what runs between them, are a part of their own."""
        items = [item for item in scope.items if self._is_there(item)]
        opened = ""
        for item, listed in zip(items, _listed(items, scope.path), strict=True):
            if opened != (listed or ""):
                if opened:
                    self.maker.add(self.maker.close())
                opened = listed or ""
                if opened:
                    self.maker.open("list", opened)
            self._item(item)
        if opened:
            self.maker.add(self.maker.close())

    def _item(self, item: Record | Scope) -> None:
        if isinstance(item, Record):
            self._record(item)
            return
        there = [record for record in item.records() if id(record) in self._needed]
        if len(there) == 1 and not there[0].path:
            # A module that runs one function is that function, under its own name.
            self._record(there[0], path=item.path)
            return
        path = clean(item.path) + (f"@{item.call}" if item.call else "")
        if item.is_container:
            self.maker.open("list", path)
        else:
            self.maker.open("block", path, item.kind, ((), item.kind, None))
        self._items(item)
        self.maker.add(self.maker.close())

    def _is_there(self, item: Record | Scope) -> bool:
        if isinstance(item, Record):
            return id(item) in self._needed and not item.is_alias and not item.is_side
        return any(self._is_there(inner) for inner in item.items)

    # --- nodes ---

    def _record(self, record: Record, path: str = "") -> None:
        inputs = tuple(self._value(made) for made in record.values)
        for made in record.slots:
            # What multiplies on the way to a weight is a node of its own.
            if not made.weight and any(item.macs() != 0 for item in self._uncounted(made)):
                self._value(made)
        held, frozen = self._held(record)
        module = clean(record.path)
        name = self.maker.name_of_call(module) if module else self._function_name(record, path)
        if module and name != module and held is None:
            # The first call counted its weights.
            held = ()
        self.maker.call(name, record.op, inputs, module=module, held=held, is_frozen=frozen)
        self.records[name] = record
        for made, value in zip(record.outputs, self.maker.nodes[-1].values(), strict=False):
            self._keep(made, value)

    def _keep(self, made: Made, value: str) -> None:
        # Kept alive, so that its identity stays its own.
        self._kept.append(made)
        self._values[id(made)] = value

    def _function_name(self, record: Record, path: str) -> str:
        """The path of the module that it runs in, with its own name, a number where that has run before."""
        scope = record.scope
        if path:
            return self.maker.name_of_call(clean(path))
        before = f"{clean(scope.path)}." if scope.path else ""
        key = id(scope), record.name
        number = self._numbers[key] = self._numbers.get(key, -1) + 1
        name = f"{before}{record.name}" + (f"_{number}" if number else "")
        while name in self.paths or name in self._taken:
            number = self._numbers[key] = self._numbers[key] + 1
            name = f"{before}{record.name}_{number}"
        return self.maker.name_of_call(name)

    # --- values ---

    def _value(self, made: Made) -> str:
        """The name of a value; one that is made of weights alone is made right here."""
        made = _through(made)
        known = self._values.get(id(made))
        if known is not None:
            return known
        if made.name:
            return self._input_names[made.name]
        if made.record is not None and not made.record.is_side:
            for output in made.record.outputs:
                if output.index == made.index and id(output) in self._values:
                    return self._values[id(output)]
        return self._weight_value(made)

    def _weight_value(self, made: Made) -> str:
        known = self._weight_nodes.get(made.weight)
        if known is not None:
            self._keep(made, known)
            return known
        records = self._uncounted(made)
        self._counted.update(map(id, records))
        held, frozen = self._new_weights(_weights_of([made]))
        if made.weight:
            weight = self.weights[made.weight]
            op: Op = Computed("", made.shape, made.dtype) if weight.is_buffer else LearnedTensor(made.shape)
            name = module = clean(made.weight)
        else:
            last = made.record
            assert last is not None  # it is no weight as it is
            counted = sum_known(record.macs() for record in records)
            op = Computed(last.name or type(last.op).__name__, made.shape, made.dtype, counted)
            name, module = self._function_name(last, ""), ""
        if module:
            name = self.maker.name_of_call(name)
        self.maker.call(name, op, (), module="" if name != module else module, held=held, is_frozen=frozen)
        if made.record is not None:
            self.records[name] = made.record
        self._keep(made, name)
        if made.weight:
            self._weight_nodes[made.weight] = name
        return name

    def _uncounted(self, made: Made) -> list[Record]:
        """The records that a value of weights alone is made by, but those of another such value before it."""
        return [record for record in _side_records(made) if id(record) not in self._counted]

    # --- weights ---

    def _held(self, record: Record) -> tuple[tuple[Held, ...] | None, bool]:
        """(the weights that a record is the first to read, None where they are just what its op says; whether none of
        them is trained)"""
        paths = _weights_of(record.slots)
        says = record.op.weights(tuple(made.shape for made in record.values)) if record.values else ()
        bare = all(made.weight for made in record.slots) and len(paths) == len(record.slots)
        home = f"{record.path}." if record.path else ""
        plain = (
            bool(record.path)
            and bare
            and [f"{home}{weight.name}" for weight in says] == paths
            and self._read.isdisjoint(paths)
        )
        held, frozen = self._new_weights(paths)
        if plain or (not paths and not says):
            return None, frozen
        return held, frozen

    def _new_weights(self, paths: Sequence[str]) -> tuple[tuple[Held, ...], bool]:
        """Of weights by their paths those that nobody has read before."""
        new = [self.weights[path] for path in dict.fromkeys(self._with_counters(paths)) if path not in self._read]
        self._read.update(weight.path for weight in new)
        held = tuple(
            Held(
                clean(weight.path),
                weight.shape,
                trained=not weight.is_buffer,
                counter=weight.is_buffer and weight.dtype == "int64" and not weight.shape,
                indices=weight.is_buffer and weight.dtype == "int64" and bool(weight.shape),
                persistent=weight.persistent,
            )
            for weight in new
        )
        parameters = [weight for weight in new if not weight.is_buffer]
        return held, bool(parameters) and not any(weight.is_trained for weight in parameters)

    def _with_counters(self, paths: Sequence[str]) -> Iterator[str]:
        """With statistics the counter that is kept beside them, which no forward at inference reads."""
        for path in paths:
            yield path
            if self.weights[path].is_buffer:
                counter = self.weights.get(f"{path.rpartition('.')[0]}.num_batches_tracked".lstrip("."))
                if counter is not None:
                    yield counter.path

    def _unreached(self) -> Iterator[Unreached]:
        """The parameters that this run never read, by the module they lie in."""
        found: dict[str, int] = {}
        for path, weight in self.weights.items():
            if not weight.is_buffer and path not in self._read:
                home = clean(path).rpartition(".")[0] or clean(path)
                found[home] = found.get(home, 0) + weight.scalars
        return (Unreached(name, params) for name, params in found.items())

    # --- what is returned ---

    def _outputs(self, found: Sequence[tuple[str, Made]], names_outputs: bool) -> list[Output]:
        outputs: list[Output] = []
        main = next((place for place, _ in found if place in ("out", "logits", "output")), found[0][0])
        ordered = sorted(found, key=lambda pair: pair[0] != main)
        for place, made in ordered:
            value = self._value(made)
            name = place if names_outputs and place else OUTPUT if not outputs else f"{OUTPUT}.{place}"
            outputs.append(Output(name, value))
        return outputs


def clean(path: str) -> str:
    """A path without the names of wrappers, and without what names of values mean something by."""
    if "_" not in path and ":" not in path and "@" not in path:
        return path
    parts = [part for part in path.split(".") if part not in _WRAPPERS]
    return ".".join(parts).replace(":", "_").replace("@", "_")


def _named_apart(inputs: Sequence[Value], paths: set[str]) -> list[Value]:
    """Inputs by names that no module and no weight has."""
    return [
        Value(f"input.{value.name}", value.shape, value.dtype) if value.name in paths else value for value in inputs
    ]


def _through(made: Made) -> Made:
    """The value itself, where it is another name of one."""
    while made.record is not None and made.record.is_alias and not made.overwritten:
        made = made.record.values[0]
    return made


def _side_records(made: Made) -> list[Record]:
    """The records that a value made of weights alone is made by, in their order."""
    found: dict[int, Record] = {}
    waiting = [made.record]
    while waiting:
        record = waiting.pop()
        if record is not None and id(record) not in found:
            found[id(record)] = record
            waiting += [value.record for value in (*record.values, *record.slots)]
    return list(found.values())[::-1]


def _weights_of(values: Sequence[Made]) -> list[str]:
    """The paths of the weights that values are made of."""
    found: dict[str, None] = {}
    seen: set[int] = set()
    waiting = list(values)[::-1]
    while waiting:
        made = waiting.pop()
        if made.weight:
            found[made.weight] = None
        record = made.record
        if record is not None and record.is_side and id(record) not in seen:
            seen.add(id(record))
            waiting += [*record.values, *record.slots][::-1]
    return list(found)


def _listed(items: Sequence[Record | Scope], path: str) -> list[str | None]:
    """For each item of a scope the list of modules it stands in, by its path; functions between two members of one list
    belong to it."""
    before = f"{path}." if path else ""
    found: list[str | None] = []
    for item in items:
        relative = item.path.removeprefix(before) if item.path else ""
        steps = clean(relative).split(".")
        found.append(clean(before + steps[0]) if len(steps) > 1 else None)
    last: tuple[int, str] | None = None
    for index, (item, listed) in enumerate(zip(items, found, strict=True)):
        if listed is not None:
            if last is not None and last[1] == listed:
                found[last[0] : index] = [listed] * (index - last[0])
            last = index, listed
        elif item.path:
            last = None
    return found


def _run_name(run: Sequence[Record | Scope]) -> str:
    """What a run of layers is called: by its first and its last."""
    names = [clean(item.path) or (item.name if isinstance(item, Record) else "") for item in run]
    return names[0] if names[0] == names[-1] else f"{names[0]}..{names[-1]}"


def _joined(stages: Sequence[Group]) -> list[Group]:
    """Stages of different names: one that comes again right behind itself is one, one that comes later has a number."""
    found: list[tuple[str, list[Group | int]]] = []
    seen: dict[str, int] = {}
    for stage in stages:
        if found and found[-1][0].partition("@")[0] == stage.name:
            found[-1][1].extend(stage.children)
            continue
        number = seen[stage.name] = seen.get(stage.name, -1) + 1
        found.append((f"{stage.name}@{number}" if number else stage.name, list(stage.children)))
    return [Group("stage", name, tuple(children)) for name, children in found]
