"""Drawn specs and networks by hand being written down: each is written, or refused in words."""

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
import yaml
from hypothesis import given, settings

from gnet_inspect import build_graph, parse_spec, trace
from gnet_inspect.errors import CannotWriteError, GnetError
from gnet_inspect.graph import Graph
from tests.own_networks import cases
from tests.strategies import specs


def share_of_drawn(write: Callable[[Graph], object]) -> float:
    """How many of a hundred drawn specs are written; the others are refused by CannotWriteError, or the test fails.

    Of the same specs each time, because what is drawn at random is drawn of few at a time; as many others are tried.
    """
    counted: Counter[bool] = Counter()

    def tried(document: Any) -> None:
        try:
            graph = build_graph(parse_spec(yaml.safe_dump(document, sort_keys=False)))
        except GnetError:
            return
        try:
            write(graph)
            counted[True] += 1
        except CannotWriteError:
            counted[False] += 1

    @settings(max_examples=60, derandomize=True, database=None)
    @given(specs(faults=False))
    def same_each_time(document: Any) -> None:
        tried(document)

    @settings(max_examples=60)
    @given(specs(faults=False))
    def others(document: Any) -> None:
        tried(document)

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # torch has words for some of what is drawn: a dropout behind the last LSTM, padding "same" of an even kernel.
        warnings.simplefilter("ignore", UserWarning)
        same_each_time()
        share = 100 * counted[True] / counted.total()
        others()
    return share


def written_by_hand(write: Callable[[Graph], object]) -> set[str]:
    """The networks by hand that are written; each of the others is refused with the layer that cannot be said."""
    written, refused = set(), {}
    for case in cases():
        graph = trace(case.module, *case.args, **case.kwargs)
        try:
            write(graph)
            written.add(case.name)
        except CannotWriteError as error:
            refused[case.name] = str(error)
    assert {name: why for name, why in refused.items() if "`" not in why} == {}
    return written
