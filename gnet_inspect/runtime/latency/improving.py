"""A network made faster step by step, each step kept only where it helps and the output stays."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from gnet_inspect.errors import GnetError, UsageError, brief
from gnet_inspect.graph import Graph
from gnet_inspect.graph.optimize import fold_batch_norm, merge_parallel_convolutions, write_concat_in_place
from gnet_inspect.graph.rewriting import functions_as_layers
from gnet_inspect.records.timing import Measurement, ratio_of
from gnet_inspect.runtime.latency.candidate import Candidate, laid_out, named
from gnet_inspect.runtime.latency.own import own_module
from gnet_inspect.runtime.latency.protocol import Progress, Protocol, measure
from gnet_inspect.runtime.latency.result import Bounds, Job, measurement_of
from gnet_inspect.runtime.latency.session import explain_out_of_memory, forget_compiled, release
from gnet_inspect.runtime.latency.setting import Setting
from gnet_inspect.runtime.module import build_module
from gnet_inspect.runtime.optimize import optimized_module
from gnet_inspect.runtime.proving import give_signal, load_weights_of

# The largest difference of an output, over the largest of the eager fp32 module's outputs. bf16 has 8 bits of
# significand, and a network rounds to them some dozens of times one after the other.
TOLERANCE = {"fp32": 1e-4, "tf32": 5e-3, "fp16": 5e-3, "bf16": 3e-2}
# A step that saves less than this share is noise, and is not kept.
LEAST_GAIN = 0.01


class Step(NamedTuple):
    """One step: a pass over the graph, or what is changed in the setting."""

    name: str
    rewrite: Callable[[Graph], Graph] | None = None
    change: dict[str, Any] | None = None


class _Variant(NamedTuple):
    graph: Graph
    setting: Setting
    steps: tuple[str, ...]
    candidate: Candidate


def steps_of(setting: Setting) -> list[Step]:
    """What can be tried from a setting on, in order."""
    steps = [
        Step("fold batch norm", fold_batch_norm),
        Step("merge parallel convolutions", merge_parallel_convolutions),
        Step("write concat in place", write_concat_in_place),
    ]
    changes: list[tuple[str, dict[str, Any]]] = [
        ("channels last", {"channels_last": True}),
        ("bf16", {"dtype": "bf16"}),
        ("compile", {"compiled": "default"}),
    ]
    if setting.device.startswith("cuda"):
        changes.append(("cuda graph", {"cuda_graph": True}))
    for name, change in changes:
        already = setting.dtype in ("fp16", "bf16") if "dtype" in change else replace(setting, **change) == setting
        if not already:
            steps.append(Step(name, None, change))
    return steps


# Of a step three variants take turns: eager, what was best before, and the step's own.
TURNS = 3


def planned_seconds(setting: Setting, protocol: Protocol) -> float:
    """How long the timing of all steps takes: each variant of a step in turns, and eager before them alone."""
    return protocol.min_time * (1 + TURNS * len(steps_of(setting)))


def improve(
    job: Job, protocol: Protocol, progress: Progress, bounds: Bounds | None, results: list[Measurement]
) -> None:
    """Add the eager network's measurement to the results, and one for each step tried."""
    improver = _Improver(job, protocol, progress, bounds)
    results.append(improver.eager_measurement())
    for step in steps_of(job.setting):
        progress(0.0, f"{step.name}: {job.graph.variant} at batch {job.graph.batch}")
        turns = TURNS - 1 if improver.best is improver.eager else TURNS
        found = improver.attempt(step)
        timed = turns if found is not None and found.median_s is not None else 0
        # What was planned for this step and is not to come.
        progress(protocol.min_time * (TURNS - timed), "")
        if found is not None:
            results.append(found)


class _Improver:
    """The best variant of a network so far, and the eager one that all are compared with."""

    def __init__(self, job: Job, protocol: Protocol, progress: Progress, bounds: Bounds | None) -> None:
        self.job, self.protocol, self.progress, self.bounds = job, protocol, progress, bounds
        # A network in Python runs as its own code until a step rewrites it: then it is built anew, without the code.
        self.graph = job.graph if job.traced is None else functions_as_layers(job.graph)
        self.module = give_signal(
            build_module(job.graph) if job.traced is None else _copied(job.traced.network.build())
        )
        eager = self._candidate(self.graph, job.setting)
        self.given = [x.cpu().contiguous() for x in eager.inputs[0]]
        self.expected = output_of(self._candidate(self.graph, Setting(threads=job.setting.threads)), self.given)
        self.eager = self.best = _Variant(self.graph, job.setting, (), eager)

    def eager_measurement(self) -> Measurement:
        (timed,) = measure([self.eager.candidate], self.protocol, self.progress)
        return measurement_of(timed, None, None, self.bounds)

    def attempt(self, step: Step) -> Measurement | None:
        """The measurement of the best variant with one step more; None where the step has nothing to do."""
        best = self.best
        graph = step.rewrite(best.graph) if step.rewrite is not None else best.graph
        if step.rewrite is not None and graph == best.graph:
            return None
        setting = replace(best.setting, **step.change) if step.change is not None else best.setting
        steps = (*best.steps, step.name)
        try:
            release(setting.device)
            forget_compiled(setting, 1)
            with explain_out_of_memory(named(graph, setting), setting.device):
                candidate = self._candidate(graph, setting)
                error = output_error(output_of(candidate, self.given), self.expected)
        except (GnetError, RuntimeError, NotImplementedError) as failure:
            return self._failed(steps, setting, f"not possible: {brief(str(failure), 160)}")
        tolerance = TOLERANCE[setting.dtype]
        if not error <= tolerance:
            return self._failed(steps, setting, f"changes the output by {error:.2g} of its largest value", error)
        candidates = [self.eager.candidate, candidate]
        if best is not self.eager:
            candidates.insert(1, best.candidate)
        timed = measure(candidates, self.protocol, self.progress)
        measured = [measurement_of(one, None, None, self.bounds) for one in timed]
        eager, before, made = measured[0], measured[-2], measured[-1]
        gain = ratio_of(before, made)
        kept = gain is not None and gain.median >= 1 + LEAST_GAIN
        if kept:
            self.best = _Variant(graph, setting, steps, candidate)
        return replace(
            made,
            model=self.job.graph.variant,
            variant="+".join(steps),
            step=step.name,
            kept=kept,
            output_error=error,
            before_s=before.median_s,
            eager_s=eager.median_s,
            gain=gain,
            gain_in_all=ratio_of(eager, made),
        )

    def _candidate(self, graph: Graph, setting: Setting) -> Candidate:
        traced = self.job.traced
        if traced is None:
            module = self.module if graph == self.graph else optimized_module(self.graph, self.module, graph)
            return Candidate(graph, setting, deepcopy(module))
        if graph == self.graph:
            return Candidate(self.job.graph, setting, own=own_module(traced, _copied(self.module)))
        built = build_module(self.graph)
        load_weights_of(self.module, built, self.graph)
        # Of the module itself no more is taken than what it was called with.
        own = own_module(traced, self.module)
        return Candidate(graph, setting, optimized_module(self.graph, built, graph), own=own)

    def _failed(self, steps: tuple[str, ...], setting: Setting, note: str, error: float | None = None) -> Measurement:
        return Measurement(
            self.job.graph.variant,
            batch=self.job.graph.batch,
            dtype=setting.dtype,
            variant="+".join(steps),
            input=self.job.graph.input_shape,
            step=steps[-1],
            kept=False,
            output_error=error,
            note=note,
        )


def _copied(module: nn.Module) -> nn.Module:
    """A module of the user's, which is not to be changed."""
    try:
        return deepcopy(module)
    except Exception as error:
        raise UsageError(
            f"--optimize: expected a module that copy.deepcopy copies, got a {type(module).__name__}, of which it says "
            f"{brief(str(error), 160)}. (latency without --optimize runs it as it is)"
        ) from error


def module_with_signal(graph: Graph) -> nn.Module:
    """A graph's module for inference, whose weights are random and hand a signal on."""
    return give_signal(build_module(graph))


def output_of(candidate: Candidate, given: Sequence[Tensor]) -> Tensor:
    """What a candidate makes of a tensor for each input, in fp32 on the CPU; several outputs one behind the other."""
    setting = candidate.setting
    placed = [x.to(setting.device, setting.torch_dtype if x.is_floating_point() else None) for x in given]
    output: Tensor | dict[str, Tensor] | tuple[Tensor, ...] = candidate.answer(*(laid_out(x, setting) for x in placed))
    if isinstance(output, Tensor):
        return output.float().cpu()
    parts = output.values() if isinstance(output, dict) else output
    return torch.cat([part.float().cpu().flatten() for part in parts])


def output_error(output: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest value; infinite where either is not a number."""
    largest = float(expected.abs().max())
    difference = float((output - expected).abs().max())
    return difference / largest if largest else difference
