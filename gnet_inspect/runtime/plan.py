"""Calls by name -> plans by slot: plain tuples of which child runs on which values, and which are then dropped."""

from collections.abc import Sequence
from typing import NamedTuple

from gnet_inspect.graph import INPUT
from gnet_inspect.graph.scopes import Call, Scopes


class Step(NamedTuple):
    """Run the child at `path` on the values in the slots `inputs`, keep the result in `output`, then empty `drop`."""

    path: tuple[str, ...]
    inputs: tuple[int, ...]
    output: int
    drop: tuple[int, ...]


class Plan(NamedTuple):
    """Steps over `slots` values; slot 0 is the input, `outputs` are the slots handed back."""

    steps: tuple[Step, ...]
    slots: int
    outputs: tuple[int, ...]


def network_plan(scopes: Scopes, heads: bool) -> Plan:
    """The plan of the whole network, with its heads or without; the main output comes first."""
    return _with_slots(scopes.network(heads), INPUT, scopes.outputs(heads))


def scope_plan(scopes: Scopes, path: str) -> Plan | None:
    """The plan of one scope; None where it does not run as one."""
    source = scopes.source(path)
    if source is None:
        return None
    calls = scopes.scope(path)
    return _with_slots(calls, source, [calls[-1].output])


def _with_slots(calls: Sequence[Call], source: str, outputs: Sequence[str]) -> Plan:
    """A slot is emptied after its last reader, so that its tensor can be freed."""
    slots = {source: 0}
    steps = []
    for call in calls:
        slots[call.output] = len(slots)
        inputs, drop = (tuple(slots[name] for name in names) for names in (call.inputs, call.dropped))
        steps.append(Step(call.path, inputs, slots[call.output], drop))
    return Plan(tuple(steps), len(slots), tuple(slots[name] for name in outputs))
