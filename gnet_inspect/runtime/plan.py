"""Calls by name -> plans by slot: plain tuples of which child runs on which values, and which are then dropped."""

from collections.abc import Sequence
from typing import NamedTuple

from gnet_inspect.graph.scopes import Call, Scopes


class Step(NamedTuple):
    """Run the child at `path` on the values in the slots `inputs`, keep its results in `outputs`, then empty `drop`."""

    path: tuple[str, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    drop: tuple[int, ...]


class Plan(NamedTuple):
    """Steps over `slots` values; the first `inputs` of them are given, `outputs` are the slots handed back."""

    steps: tuple[Step, ...]
    inputs: int
    slots: int
    outputs: tuple[int, ...]


def network_plan(scopes: Scopes, heads: bool) -> Plan:
    """The plan of the whole network, with its heads or without; the main output comes first."""
    return _with_slots(scopes.network(heads), [value.name for value in scopes.graph.inputs], scopes.outputs(heads))


def scope_plan(scopes: Scopes, path: str) -> Plan | None:
    """The plan of one scope; None where it does not run as one."""
    sources = scopes.sources(path)
    if sources is None:
        return None
    calls = scopes.scope(path)
    return _with_slots(calls, sources, [calls[-1].outputs[0]])


def _with_slots(calls: Sequence[Call], sources: Sequence[str], outputs: Sequence[str]) -> Plan:
    """A slot is emptied after its last reader, so that its tensor can be freed."""
    slots = {name: slot for slot, name in enumerate(sources)}
    steps = []
    for call in calls:
        for name in call.outputs:
            slots[name] = len(slots)
        inputs, made, drop = (
            tuple(slots[name] for name in names) for names in (call.inputs, call.outputs, call.dropped)
        )
        steps.append(Step(call.path, inputs, made, drop))
    return Plan(tuple(steps), len(sources), len(slots), tuple(slots[name] for name in outputs))
