"""The graph of a network in Python against that network: its recorded calls run again on real tensors, its parameters,
and what other tools print of it, where they are right and where they are wrong.
"""

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from gnet_inspect.analysis.conventions import FlopCounts, count_flops
from gnet_inspect.analysis.memory import activation_peak
from gnet_inspect.errors import GnetError, MissingError, brief
from gnet_inspect.records.verification import Check, Difference
from gnet_inspect.runtime.module import check_memory
from gnet_inspect.runtime.references import Network, Traced
from gnet_inspect.runtime.tracing import traced
from gnet_inspect.runtime.tracing.assembling import Assembled
from gnet_inspect.runtime.tracing.examples import Examples, flattened, mapped
from gnet_inspect.runtime.tracing.replay import Replay
from gnet_inspect.runtime.tracing.twin import Twin, unwrapped

SEED = 0
# How a note begins of a tool that ran, whose number is not what ours says, or not known.
PRINTS = "prints"
# The checks of a network in Python: what is compared, against what, and the package that it needs.
CHECKS = (
    ("outputs and shapes", "its recorded calls, run again on real tensors", "torch"),
    ("parameters", "module.parameters()", "torch"),
    ("multiply-accumulates", "torch FlopCounterMode (2 x MACs)", "torch"),
    ("totals", "torchinfo", "torchinfo"),
    ("totals", "fvcore", "fvcore"),
)


def run_network_checks(
    found: Traced, mode: str, progress: Callable[[str], None] = lambda _: None
) -> tuple[Assembled, list[Check]]:
    """(the trace that was verified, its checks). The module is made anew for them, with real weights."""
    network, given = found.network, found.given
    module = unwrapped(network.build())
    _check_room(network, module)
    made = traced(
        module, given.args, given.kwargs, name=network.reference.name, title=type(module).__name__, mode=mode, tape=True
    )
    checked = Checked(module, made, Examples(module, given.args, given.kwargs), mode)
    runners = (checked.replay, checked.parameters, checked.flop_counter, checked.torchinfo, checked.fvcore)
    checks = []
    for (what, against, needs), run in zip(CHECKS, runners, strict=True):
        if find_spec(needs) is None:
            checks.append(Check(what, against, None, 0, note=f"{needs} is not installed"))
            continue
        progress(f"{what} against {against}")
        try:
            checks.append(run(what, against))
        except MissingError as error:
            checks.append(Check(what, against, None, 0, note=str(error)))
    return made, checks


def _check_room(network: Network, module: nn.Module) -> None:
    """Raise MissingError where real weights are not there, or a copy of them would not fit."""
    if any(weight.is_meta for weight in module.parameters()):
        raise MissingError(
            f"{network.reference.text}: expected real weights to verify it with, got some on the meta device"
        )
    held = sum(tensor.numel() * tensor.element_size() for tensor in [*module.parameters(), *module.buffers()])
    check_memory(f"a copy of {network.reference.text}", 2 * held, torch.device("cpu"))


class Checked:
    """A module with its trace, and what both are run on."""

    def __init__(self, module: nn.Module, made: Assembled, examples: Examples, mode: str) -> None:
        self.module, self.made, self.examples, self.mode = module, made, examples, mode
        self.graph = made.graph
        self.counts: FlopCounts = count_flops(made.graph)
        generator = torch.Generator().manual_seed(SEED)

        def real(tensor: Tensor) -> Tensor:
            return tensor.detach().clone() if not tensor.is_meta else _drawn(tensor, generator)

        self.args = [mapped(item, real) for item in examples.args]
        self.kwargs = {name: mapped(item, real) for name, item in examples.kwargs.items()}

    def _copy(self) -> nn.Module:
        """The module in the mode; a run may change its statistics, and a lazy one becomes another."""
        return copy.deepcopy(self.module).train(self.mode == "train")

    def _given(self) -> tuple[list[Any], dict[str, Any]]:
        return copy.deepcopy(self.args), copy.deepcopy(self.kwargs)

    # --- the network itself ---

    def replay(self, what: str, against: str) -> Check:
        """Every recorded call on real tensors: its shapes, and in the end the module's own outputs, bit by bit."""
        args, kwargs = self._given()
        torch.manual_seed(SEED)
        with torch.no_grad(), _layer_by_layer():
            expected = [tensor for _, tensor in flattened(self._copy()(*args, **kwargs))]
        args, kwargs = self._given()
        inputs = {value.name: tensor for value, tensor in self.examples.named(args, kwargs)}
        replay = Replay(self.made.recorder, self._copy(), inputs)
        torch.manual_seed(SEED)
        with _layer_by_layer():
            found = replay.run(self.made.outputs)
        differences = [
            Difference(record.path or record.name, shapes, now)
            for record, shapes, now in replay.shapes
            if shapes != now
        ]
        differences += [
            Difference(f"output {place}", "the module's own, bit by bit", "another one")
            for place, tensor in zip(self.made.places, found, strict=True)
            if not _same(tensor, expected[place])
        ]
        compared = len(replay.shapes) + len(found)
        return Check(what, against, not differences, compared, tuple(differences))

    def parameters(self, what: str, against: str) -> Check:
        """The sum over the layers, and of what no layer reads, each tensor once."""
        module = self.made.recorder.module
        ours = sum(node.params for node in self.graph.nodes) + sum(item.params for item in self.graph.unreached)
        theirs = sum(weight.numel() for weight in module.parameters())
        found = () if ours == theirs else (Difference("total", ours, theirs),)
        return Check(what, against, not found, 1, found)

    # --- other tools ---

    def flop_counter(self, what: str, against: str) -> Check:
        """torch's counter on the meta device, where every operator tells of itself."""
        from torch.utils.flop_counter import FlopCounterMode

        args, kwargs, _ = self.examples.as_meta()
        counter = FlopCounterMode(display=False)
        # Its hooks fail on a weight that takes a gradient, and that a module is given as a value.
        module = Twin(self.module).module.train(self.mode == "train").requires_grad_(False)
        try:
            with torch.no_grad(), counter:
                module(*args, **kwargs)
        except Exception as error:
            return _failed(what, against, error)
        return _compared(what, against, self.counts, "torch", counter.get_total_flops())

    def torchinfo(self, what: str, against: str) -> Check:
        """torchinfo's total of mult-adds."""
        import torchinfo

        args, kwargs, _ = self.examples.as_meta()
        try:
            stats = torchinfo.summary(
                Twin(self.module).module,
                input_data=args,
                mode=self.mode,
                verbose=0,
                device=torch.device("meta"),
                cache_forward_pass=False,
                **kwargs,
            )
        except Exception as error:
            return _failed(what, against, error)
        return _compared(what, against, self.counts, "torchinfo", int(stats.total_mult_adds))

    def fvcore(self, what: str, against: str) -> Check:
        """fvcore's total, which traces the module."""
        args, kwargs = self._given()
        if kwargs or not all(isinstance(item, Tensor) for item in args):
            return Check(what, against, None, 0, note=f"{PRINTS} nothing: it takes tensors by their places alone")
        needed = 4 * sum(node.params + node.buffers for node in self.graph.nodes) + activation_peak(self.graph, 4).bytes
        check_memory("tracing it for fvcore", needed, torch.device("cpu"))
        try:
            with warnings.catch_warnings(), torch.no_grad():
                # It traces with torch.jit, which warns of what it cannot know.
                warnings.simplefilter("ignore")
                from fvcore.nn.flop_count import FlopCountAnalysis

                analysis = FlopCountAnalysis(self._copy(), tuple(args))
                analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
                total = int(analysis.total())
        except Exception as error:
            return _failed(what, against, error)
        return _compared(what, against, self.counts, "fvcore", total)


@contextlib.contextmanager
def _layer_by_layer() -> Iterator[None]:
    """torch's transformers as their layers say it, not by one kernel for all of them, which rounds otherwise."""
    backend = torch.backends.mha
    was = backend.get_fastpath_enabled()
    backend.set_fastpath_enabled(False)
    try:
        yield
    finally:
        backend.set_fastpath_enabled(was)


def _drawn(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """A real tensor of the shape and dtype: numbers at random, or zeros where they are indices or masks."""
    if tensor.is_floating_point():
        return torch.randn(tensor.shape, generator=generator).to(tensor.dtype)
    return torch.zeros(tensor.shape, dtype=tensor.dtype)


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())


def _failed(what: str, against: str, error: Exception) -> Check:
    """A tool that fails on a module says nothing of our numbers."""
    if isinstance(error, GnetError):
        raise error
    why = brief(" ".join(str(error).split()), 160)
    return Check(
        what, against, None, 0, note=f"{PRINTS} nothing of this module: it fails with {type(error).__name__}: {why}"
    )


def _compared(what: str, against: str, counts: FlopCounts, tool: str, printed: int) -> Check:
    """What a tool prints beside what the graph says that it does; and by how much that is off the truth, and why."""
    expected = getattr(counts.totals, tool)
    wrong = _wrong(counts, tool, printed)
    if expected is None:
        return Check(
            what, against, None, 0, note=f"{PRINTS} {printed:,}{wrong}; what it counts of some layers is not known"
        )
    found = () if expected == printed else (Difference("total", expected, printed),)
    return Check(what, against, not found, 1, found, note=f"{PRINTS} {printed:,}{wrong}" if wrong else "")


def _wrong(counts: FlopCounts, tool: str, printed: int) -> str:
    """What it prints less than the multiply-accumulates: what it adds to them is its convention."""
    macs = counts.totals.macs
    below = macs - (printed // 2 if tool == "torch" else printed)
    if below <= 0 or counts.coverage.unknown:
        return ""
    reasons = [item.why for item in counts.differences if item.tool == tool and item.amount < 0]
    return f", {below:,} MACs too few{': ' + '; '.join(reasons) if reasons else ''}"
