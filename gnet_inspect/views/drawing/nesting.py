"""The nesting of a diagram's boxes, found from its wires alone: what follows what, and what runs beside what.

Most networks are series-parallel (Valdes, Tarjan and Lawler 1982): vertices that every path passes make a series, and
what lies between two of them falls into branches, which nest. What does not nest is a Tangle: its parts are still found
by the reductions of such graphs, so that only the core of it is drawn without structure.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct

# Branches nested deeper are drawn as a tangle: nobody could read them, and nothing may recurse without a bound.
DEEPEST = 60

# What all inputs come from, and all outputs go to; no box is called like it.
_SOURCE, _SINK = "", "\0"


class Series(Struct, eq=False):
    """Items that follow each other: one value, or the branches of one parallel, is handed from each to the next."""

    items: "list[Item]"


class Branch(Struct, eq=False):
    """One way beside others; without a series it is a wire alone. One that does not start at the fork has sources of
    its own (a learned tensor), and one that does not end at the join has outputs of its own (an auxiliary head)."""

    series: Series | None
    starts: bool = True
    ends: bool = True

    @property
    def is_aside(self) -> bool:
        return not (self.starts and self.ends)


class Parallel(Struct, eq=False):
    """Branches between a fork and a join."""

    branches: list[Branch]


class Framed(Struct, eq=False):
    """A run of a series that is exactly what one frame holds; `frame` is its key."""

    frame: str
    series: Series


class Tangle(Struct, eq=False):
    """What is not series-parallel: its parts in the order in which they run, and which of them read which.

    In `edges` -1 is what comes before, and the number of parts what comes behind.
    """

    parts: list[Series]
    edges: list[tuple[int, int]]

    @property
    def is_chain(self) -> bool:
        """Whether every part reads the one before it: a dense block. Or values go round, and there are no rows."""
        direct = {tail for tail, head in self.edges if head == tail + 1}
        goes_round = any(head <= tail for tail, head in self.edges)
        return goes_round or all(tail in direct for tail in range(len(self.parts) - 1))


Item = str | Parallel | Framed | Tangle


def boxes_in(item: Item | Series) -> Iterator[str]:
    """The keys of all boxes, in the order in which they run."""
    if isinstance(item, str):
        yield item
    elif isinstance(item, Series):
        for inner in item.items:
            yield from boxes_in(inner)
    elif isinstance(item, Parallel):
        for branch in item.branches:
            if branch.series is not None:
                yield from boxes_in(branch.series)
    elif isinstance(item, Framed):
        yield from boxes_in(item.series)
    else:
        for part in item.parts:
            yield from boxes_in(part)


def length_of(item: Item | Series) -> int:
    """How many boxes stand below each other on the longest way through."""
    if isinstance(item, str):
        return 1
    if isinstance(item, Series):
        return sum(map(length_of, item.items))
    if isinstance(item, Parallel):
        return max((length_of(branch.series) for branch in item.branches if branch.series is not None), default=0)
    return length_of(item.series) if isinstance(item, Framed) else sum(map(length_of, item.parts))


def nest_boxes(keys: Sequence[str], edges: Collection[tuple[str, str]], inputs: Collection[str]) -> Series:
    """The nesting of all keys. `inputs` are those that values come into the network by."""
    order = _order(keys, edges)
    if order is None:
        # A value goes round: parts whose layers interleave read each other.
        places = {key: index for index, key in enumerate(keys)}
        return Series([Tangle([Series([key]) for key in keys], [(places[tail], places[head]) for tail, head in edges])])
    graph = _Edges(order, edges)
    aside = _Asides(graph, inputs)
    found = _nest(graph, [key for key in order if key not in aside.members])
    if aside.members and not aside.attach(found):
        found = _nest(graph, order)
    return found


def frame_runs(series: Series, frames: Mapping[str, Collection[str]]) -> set[str]:
    """Put Framed items around what is exactly one frame's, outer frames (which come first) before inner ones.

    Gives the keys of the frames that are drawn: the boxes of another one do not stand together.
    """
    drawn: set[str] = set()
    _frame(series, [(key, set(boxes)) for key, boxes in frames.items() if boxes], drawn)
    return drawn


# --- order and edges ---


def _order(keys: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[str] | None:
    """The keys with every one behind those that it reads, else in the order given; None where values go round."""
    heads: dict[str, list[str]] = {key: [] for key in keys}
    waits = dict.fromkeys(keys, 0)
    for tail, head in edges:
        heads[tail].append(head)
        waits[head] += 1
    places = {key: index for index, key in enumerate(keys)}
    from heapq import heapify, heappop, heappush

    ready = [places[key] for key in keys if not waits[key]]
    heapify(ready)
    found = []
    while ready:
        key = keys[heappop(ready)]
        found.append(key)
        for head in heads[key]:
            waits[head] -= 1
            if not waits[head]:
                heappush(ready, places[head])
    return found if len(found) == len(keys) else None


class _Edges:
    """Who reads whom among keys that stand in an order."""

    def __init__(self, order: Sequence[str], edges: Iterable[tuple[str, str]]) -> None:
        self.order = order
        self.place = {key: index for index, key in enumerate(order)}
        self.heads: dict[str, list[str]] = {key: [] for key in order}
        self.tails: dict[str, list[str]] = {key: [] for key in order}
        for tail, head in edges:
            self.heads[tail].append(head)
            self.tails[head].append(tail)


# --- series and parallels ---


def _nest(graph: _Edges, keys: Sequence[str], before: str = "", behind: str = "") -> Series:
    """The series of keys that stand between two others, or nothing: all that has no tail or head among them is linked,
    and what reads the one before them or is read by the one behind them."""
    inside = set(keys)
    edges = {key: [head for head in graph.heads[key] if head in inside] for key in keys}
    entered = {head for heads in edges.values() for head in heads}
    first = {key for key in graph.heads.get(before, ()) if key in inside}
    last = {key for key in graph.tails.get(behind, ()) if key in inside}
    edges[_SOURCE] = [key for key in keys if key not in entered or key in first]
    for key in keys:
        if not edges[key] or key in last:
            edges[key].append(_SINK)
    return _region(edges, list(keys), _SOURCE, _SINK, 0)


def _region(edges: dict[str, list[str]], keys: list[str], start: str, end: str, depth: int) -> Series:
    """The series of all keys between two; `edges` may lead to more than these. A wire from the one to the other is a
    branch beside these keys, and none of theirs."""
    place = {key: index for index, key in enumerate(keys)}
    # A key that no wire jumps over is on every way.
    reach = max((place[head] for head in edges[start] if head in place), default=-1)
    place[end] = len(keys)
    cuts = []
    for index, key in enumerate(keys):
        if reach <= index:
            cuts.append(key)
        reach = max(reach, max((place[head] for head in edges[key] if head in place), default=-1))
    items: list[Item] = []
    bounds = [start, *cuts, end]
    first = 0
    for before, behind in pairwise(bounds):
        between = keys[first : place[behind]]
        whole = before == start and behind == end
        items += _between(edges, between, before, behind, depth, whole=whole)
        first = place[behind] + 1
        if behind != end:
            items.append(behind)
    return Series(items)


def _between(
    edges: dict[str, list[str]], keys: list[str], start: str, end: str, depth: int, *, whole: bool
) -> list[Item]:
    """What lies between two keys that follow each other on every way: nothing, branches, or a tangle. Of the `whole` of
    a region the wire from its start to its end is no branch."""
    if not keys:
        return []
    parts = _components(edges, keys)
    direct = end in edges[start] and not whole
    if len(parts) == 1 and not direct:
        return [_tangle(edges, keys, start, end, depth)]
    if depth > DEEPEST:
        return [_flat(edges, keys, start, end)]
    owner = {key: index for index, part in enumerate(parts) for key in part}
    # In the order in which the fork is read: the order in which they are written.
    branches: list[Branch] = []
    seen: set[int] = set()
    for head in edges[start]:
        if head == end:
            branches += [Branch(None)] if direct else []
            continue
        index = owner.get(head, -1)
        if index >= 0 and index not in seen:
            seen.add(index)
            branches.append(Branch(_region(edges, parts[index], start, end, depth + 1)))
    return [Parallel(branches)]


def _components(edges: dict[str, list[str]], keys: list[str]) -> list[list[str]]:
    """The keys in groups that no wire joins, each in the order of the keys."""
    group = {key: key for key in keys}

    def find(key: str) -> str:
        while group[key] != key:
            group[key] = group[group[key]]
            key = group[key]
        return key

    for key in keys:
        for head in edges[key]:
            if head in group:
                group[find(head)] = find(key)
    found: dict[str, list[str]] = {}
    for key in keys:
        found.setdefault(find(key), []).append(key)
    return list(found.values())


# --- tangles ---


def _flat(edges: dict[str, list[str]], keys: list[str], start: str, end: str) -> Tangle:
    """All keys as parts of their own."""
    place = {key: index for index, key in enumerate(keys)}
    place[end] = len(keys)
    found = [(-1, place[head]) for head in edges[start] if head in place]
    found += [(place[key], place[head]) for key in keys for head in edges[key] if head in place]
    return Tangle([Series([key]) for key in keys], found)


def _tangle(edges: dict[str, list[str]], keys: list[str], start: str, end: str, depth: int) -> Tangle:
    """A tangle of as few parts as can be: chains are one part, and branches between two parts are one."""
    if depth > DEEPEST:
        return _flat(edges, keys, start, end)
    reducer = _Reducer(_flat(edges, keys, start, end), DEEPEST - depth)
    reducer.reduce()
    return reducer.tangle()


class _Reducer:
    """Reduces a tangle: a part with one tail joins it where that has one head; parts with the same tail and head become
    the branches of one, unless these then nest deeper than wanted."""

    def __init__(self, flat: Tangle, deepest: int) -> None:
        self.end = len(flat.parts)
        self.deepest = deepest
        self.parts: dict[int, Series] = dict(enumerate(flat.parts))
        self.depth = dict.fromkeys(self.parts, 0)
        self.place = {key: index for index, part in self.parts.items() for key in boxes_in(part)}
        ends = [-1, *self.parts, self.end]
        # As dicts, which are sets in order.
        self.heads: dict[int, dict[int, None]] = {index: {} for index in ends}
        self.tails: dict[int, dict[int, None]] = {index: {} for index in ends}
        for tail, head in flat.edges:
            self.heads[tail][head] = self.tails[head][tail] = None
        # The part that its values come from, where several are one.
        self.exit = {index: index for index in ends}
        # By exit and head the part that has these alone.
        self.only: dict[tuple[int, int], int] = {}
        self.made: list[Parallel] = []

    def reduce(self) -> None:
        waiting = list(self.parts)
        while waiting:
            index = waiting.pop()
            if index not in self.parts:
                continue
            if len(self.heads[index]) == 1 and len(self.tails[index]) == 1:
                (tail,), (head,) = self.tails[index], self.heads[index]
                kept = self._join_branches(index, tail, head)
                if kept >= 0:
                    waiting += [other for other in (head, tail, kept) if other in self.parts]
                    continue
            if len(self.tails[index]) == 1:
                (before,) = self.tails[index]
                if before != -1 and len(self.heads[before]) == 1:
                    self._join_chain(before, index)
                    waiting.append(before)
        for parallel in self.made:
            # In the order in which they run, a wire alone behind them.
            parallel.branches.sort(key=lambda branch: self._first(branch.series))

    def _first(self, series: Series | None) -> int:
        """The place of the first box of a branch."""
        return self.place[next(boxes_in(series))] if series is not None else self.end

    def _join_chain(self, before: int, index: int) -> None:
        self.parts[before] = Series([*self.parts[before].items, *self.parts.pop(index).items])
        self.depth[before] = max(self.depth[before], self.depth[index])
        self.heads[before], self.exit[before] = self.heads.pop(index), self.exit[index]
        del self.tails[index]
        for head in self.heads[before]:
            del self.tails[head][index]
            self.tails[head][before] = None

    def _join_branches(self, index: int, tail: int, head: int) -> int:
        """Join a part with the one between the same two, and with the wire between these; gives the part that stands
        for both, -1 where there is neither."""
        between = self.exit[tail], head
        other = self.only.get(between, index)
        if other not in self.parts or list(self.tails[other]) != [tail] or list(self.heads[other]) != [head]:
            other = index
        self.only[between] = index
        direct = head in self.heads[tail]
        found = [self.parts[part] for part in dict.fromkeys((other, index))]
        depth = max(self.depth[part] + (not _is_parallel(self.parts[part])) for part in (other, index))
        if len(found) + direct < 2 or depth > self.deepest:
            return -1
        # The branches of branches stand beside the others, too.
        into, *more = sorted(map(_as_branches, found), key=len, reverse=True)
        for branches in more:
            into += branches
        if direct:
            into.append(Branch(None))
            del self.heads[tail][head], self.tails[head][tail]
        parallel = Parallel(into)
        self.made.append(parallel)
        if other != index:
            del self.parts[other], self.heads[other], self.tails[other]
            del self.heads[tail][other], self.tails[head][other]
        self.parts[index], self.depth[index] = Series([parallel]), depth
        return index

    def tangle(self) -> Tangle:
        place = {index: number for number, index in enumerate(sorted(self.parts))}
        place |= {-1: -1, self.end: len(place)}
        found = [(place[tail], place[head]) for tail in self.heads for head in self.heads[tail]]
        return Tangle([self.parts[index] for index in sorted(self.parts)], found)


def _is_parallel(series: Series) -> bool:
    return len(series.items) == 1 and isinstance(series.items[0], Parallel)


def _as_branches(series: Series) -> list[Branch]:
    """A part as ways beside others."""
    first = series.items[0]
    return first.branches if isinstance(first, Parallel) and len(series.items) == 1 else [Branch(series)]


# --- what begins or ends beside the network ---


class _Asides:
    """What reads no input of the network, and what no main output is made of: each stands beside the rest.

    As ways from the network's first box to its last they would make branches of all that lies between.
    """

    def __init__(self, graph: _Edges, inputs: Collection[str]) -> None:
        self.graph = graph
        self.members: set[str] = set()
        self.found: list[tuple[list[str], str, bool]] = []
        sinks = [key for key in graph.order if not graph.heads[key]]
        if not sinks:
            return
        # What a key is made of, as a bit for each.
        made_of: dict[str, int] = {}
        for key in graph.order:
            bits = 1 << graph.place[key]
            for tail in graph.tails[key]:
                bits |= made_of[tail]
            made_of[key] = bits
        main = max(sinks, key=lambda sink: (made_of[sink].bit_count(), graph.place[sink]))
        ancestors = self._walk([main], graph.tails)
        given = self._walk([key for key in inputs if key in graph.place], graph.heads)
        self._separate([key for key in graph.order if key not in given], leads_in=True)
        self._separate([key for key in graph.order if key not in ancestors], leads_in=False)

    def _walk(self, first: list[str], ways: Mapping[str, Sequence[str]]) -> set[str]:
        seen, waiting = set(first), list(first)
        while waiting:
            for key in ways[waiting.pop()]:
                if key not in seen:
                    seen.add(key)
                    waiting.append(key)
        return seen

    def _separate(self, keys: list[str], leads_in: bool) -> None:
        for part in _components(self.graph.heads, [key for key in keys if key not in self.members]):
            inside = set(part)
            ways = self.graph.heads if leads_in else self.graph.tails
            ends = {key for member in part for key in ways[member] if key not in inside}
            if len(ends) == 1:
                self.found.append((part, ends.pop(), leads_in))
                self.members |= inside

    def attach(self, series: Series) -> bool:
        """Put every aside beside the box that it leads to or comes from; whether all of these stand in a series."""
        hosts = dict(_hosts(series))
        # The last first: what is wrapped then keeps its place.
        for part, anchor, leads_in in sorted(self.found, key=lambda item: -self.graph.place[item[1]]):
            if anchor not in hosts:
                return False
            host = hosts[anchor]
            index = host.items.index(anchor)
            if leads_in:
                _attach_source(host, index, Branch(_nest(self.graph, part, behind=anchor), starts=False))
            else:
                _attach_sink(host, index, Branch(_nest(self.graph, part, before=anchor), ends=False))
        return True


def _attach_source(host: Series, index: int, branch: Branch) -> None:
    before = host.items[index - 1] if index else None
    if isinstance(before, Parallel):
        aside = all(other.series is None or other.is_aside for other in before.branches)
        if aside or any(other.is_aside for other in before.branches):
            before.branches.append(branch)
        else:
            host.items[index - 1] = Parallel([Branch(Series([before])), branch])
        return
    if isinstance(before, Tangle):
        host.items[index - 1] = Parallel([Branch(Series([before])), branch])
        return
    host.items.insert(index, Parallel([Branch(None), branch]))


def _attach_sink(host: Series, index: int, branch: Branch) -> None:
    """Beside so much of what follows that both are about as long."""
    assert branch.series is not None
    wanted, behind = length_of(branch.series), index + 1
    so_far = 0
    while behind < len(host.items) and (so_far < wanted or not isinstance(host.items[behind - 1], str)):
        # What follows must end at one box, and leave one to go on with.
        if behind + 1 == len(host.items):
            break
        so_far += length_of(host.items[behind])
        behind += 1
    while behind > index + 1 and not isinstance(host.items[behind - 1], str):
        behind -= 1
    run = host.items[index + 1 : behind]
    host.items[index + 1 : behind] = [Parallel([Branch(Series(run) if run else None), branch])]


def _hosts(series: Series) -> Iterator[tuple[str, Series]]:
    """By key the series that it stands in, but for those in a tangle."""
    for item in series.items:
        if isinstance(item, str):
            yield item, series
        elif isinstance(item, Parallel):
            for branch in item.branches:
                if branch.series is not None:
                    yield from _hosts(branch.series)


# --- frames ---


def _frame(series: Series, frames: list[tuple[str, set[str]]], drawn: set[str]) -> None:
    """Frame the runs of one series, and then what lies inside of its items."""
    if not frames:
        return
    items = list(series.items)
    held = [list(boxes_in(item)) for item in items]
    owner = {key: index for index, keys in enumerate(held) for key in keys}
    inner: dict[int, list[tuple[str, set[str]]]] = {}
    # By place, which run goes over it.
    runs: dict[int, _Run] = {}
    for frame, keys in frames:
        places = {owner[key] for key in keys if key in owner}
        if not places or any(key not in owner for key in keys):
            continue
        first, last = min(places), max(places)
        around = runs.get(first)
        if around is not None and around.last >= last:
            around.nested.append((frame, keys))
        elif first == last and len(_series_in(items[first])) == 1:
            # What skips a branch is no part of what the branch is.
            inner.setdefault(first, []).append((frame, keys))
        elif sum(len(held[index]) for index in range(first, last + 1)) == len(keys):
            run = _Run(first, last, frame, [])
            runs |= dict.fromkeys(range(first, last + 1), run)
        elif first == last:
            inner.setdefault(first, []).append((frame, keys))
    for run in sorted({run.first: run for run in runs.values()}.values(), key=lambda run: -run.first):
        inside = Series(series.items[run.first : run.last + 1])
        _frame(inside, run.nested, drawn)
        series.items[run.first : run.last + 1] = [Framed(run.frame, inside)]
        drawn.add(run.frame)
    for index, found in inner.items():
        parts = _series_in(items[index])
        part_of = {key: number for number, part in enumerate(parts) for key in boxes_in(part)}
        shared: dict[int, list[tuple[str, set[str]]]] = {}
        for frame, keys in found:
            numbers = {part_of[key] for key in keys}
            if len(numbers) == 1:
                shared.setdefault(numbers.pop(), []).append((frame, keys))
        for number, theirs in shared.items():
            _frame(parts[number], theirs, drawn)


class _Run(Struct, eq=False):
    """Items that are exactly what a frame holds, with the frames inside of it."""

    first: int
    last: int
    frame: str
    nested: list[tuple[str, set[str]]]


def _series_in(item: Item) -> list[Series]:
    if isinstance(item, Parallel):
        return [branch.series for branch in item.branches if branch.series is not None]
    return item.parts if isinstance(item, Tangle) else []
