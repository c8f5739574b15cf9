"""What a run of a module recorded -> its Graph, with the record of each node, and how the run held its values."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from gnet_inspect.graph import Graph, Value
from gnet_inspect.graph.assembling import Assembler
from gnet_inspect.graph.nodes import Run
from gnet_inspect.graph.recording import Made, Record
from gnet_inspect.runtime.tracing.recorder import Recorder


class Assembled(NamedTuple):
    """A graph, with the record of each of its nodes by name; what is computed of weights has the last one."""

    graph: Graph
    records: dict[str, Record]
    recorder: Recorder
    outputs: tuple[Made, ...]
    # Their places among all tensors that the forward returns: a constant among these is none of the network's.
    places: tuple[int, ...]


class RunAssembler(Assembler):
    """Makes one graph of what one run recorded."""

    def __init__(self, recorder: Recorder, inputs: Sequence[Value], title: str) -> None:
        paths = [path for path, _ in recorder.module.named_modules()]
        super().__init__(recorder.root, recorder.weights, paths, inputs, title)
        self.recorder = recorder

    def assembled(
        self, outputs: Sequence[tuple[str, Made | None]], mode: str, name: str, *, names_outputs: bool
    ) -> Assembled:
        """The graph of the run that returned `outputs`, by their places in what it returned."""
        found = [(place, made) for place, made in outputs if made is not None]
        graph = self.assemble(found, name=name, mode=mode, names_outputs=names_outputs)
        places = tuple(place for place, (_, made) in enumerate(outputs) if made is not None)
        return Assembled(graph, self.records, self.recorder, tuple(made for _, made in found), places)

    def run(self) -> Run:
        """How long the run held which memory, by the value that it was made for."""
        times: list[int] = []
        for node in self.maker.nodes:
            record = self.records.get(node.name)
            # What is computed of weights stands right before what reads it.
            times.append(max(record.time if record is not None else 0, times[-1] if times else 0))
        # What lies in a weight is held as the network's input is, by the caller.
        owners = {id(self.recorder.weight_memory): self.inputs[0].name} if self.inputs else {}
        until: dict[str, int] = {}
        shares: dict[str, str] = {}
        for made in self.recorder.inputs:
            owners[id(made.memory)] = self._input_names[made.name]
        for made in self._kept:
            name = self._values[id(made)]
            owner = owners.setdefault(id(made.memory), name)
            if owner != name:
                shares[name] = owner
            elif owner in self.maker.shapes:
                died = made.memory.died
                until[name] = len(times) if died < 0 else bisect_right(times, died) - 1
        is_side = any(record.is_side and not record.is_alias for record in self.recorder.root.records())
        uncounted = tuple(sorted(self.recorder.uncounted))
        return Run(until, shares, not (is_side or self.recorder.holds_more), uncounted)
