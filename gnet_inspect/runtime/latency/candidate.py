"""One network ready to be run: its module on its device, its inputs, and what one run is."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn

from gnet_inspect.analysis.memory import activation_peak
from gnet_inspect.analysis.training import training_memory
from gnet_inspect.errors import MissingError, UsageError
from gnet_inspect.graph import Graph, Value
from gnet_inspect.runtime.latency.own import Own, drawn_input
from gnet_inspect.runtime.latency.session import is_short_of_memory
from gnet_inspect.runtime.latency.setting import Setting
from gnet_inspect.runtime.module import Outputs, build_module, check_memory
from gnet_inspect.units import DTYPE_BYTES

# Inputs take turns, so that none is in the cache from the run before; more of them than this help nothing.
MOST_INPUTS = 512
# What a network is given for one run: a tensor for each of its inputs.
Given = tuple[Tensor, ...]
LEARNING_RATE = 1e-6
SEED = 0


class Candidate:
    """A network under one setting. `run()` is one inference or one training step; it does not wait for a GPU."""

    def __init__(
        self, graph: Graph, setting: Setting, module: nn.Module | None = None, *, own: Own | None = None
    ) -> None:
        """`module` is what is run instead of what is built; `own` says of one of the user's what is called how."""
        self.graph, self.setting, self.own = graph, setting, own
        if module is None and own is not None:
            module = own.module
        self.estimated_bytes = estimated_bytes(graph, setting)
        check_memory(named(graph, setting), self.estimated_bytes, torch.device(setting.device))
        torch.manual_seed(SEED)
        self.module = place(module if module is not None else build_module(graph), setting)
        self.inputs = _given(own.given, setting) if own is not None and own.given else _inputs(graph, setting)
        self.compile_s: float | None = None
        self.warm = False
        self._replay: Callable[..., Any] | None = None
        self._called = self._compiled() if setting.compiled is not None else self.module
        self._turn: Iterator[Given] = cycle(self.inputs)
        self.run: Callable[[], object] = self._infer if setting.mode == "eval" else self._trainer()
        if setting.compiled is not None:
            self._compile()
        if setting.cuda_graph:
            self._capture()

    def _infer(self) -> object:
        return self.answer(*next(self._turn))

    def answer(self, *given: Tensor) -> Any:
        """The network's output for a tensor of each input, on its device and in its dtype."""
        if self._replay is not None:
            return self._replay(*given)
        with torch.inference_mode():
            return self._called(*given)

    def _compiled(self) -> Callable[..., Any]:
        mode = self.setting.compiled
        # One shape each, in one piece: torch would otherwise give up in silence, and eager would be called compiled.
        called: Callable[..., Any] = torch.compile(
            self.module, mode=None if mode == "default" else mode, dynamic=False, fullgraph=True
        )
        return called

    def _compile(self) -> None:
        """The first run compiles; its time is told apart."""
        started = time.perf_counter()
        try:
            with warnings.catch_warnings():
                # Inductor advises tf32, but the setting says on purpose how fp32 is multiplied. Where warnings are
                # errors, the advice would end the compiling and be taken for a network that cannot be compiled.
                warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
                self.run()
                synchronize(self.setting.device)
        except Exception as error:
            if is_short_of_memory(error) or not type(error).__module__.startswith("torch._"):
                raise
            needed = "Triton (pip install triton)" if self.setting.device.startswith("cuda") else "a C++ compiler"
            raise MissingError(
                f"torch.compile cannot compile {self.graph.variant} here: {str(error).strip().splitlines()[0][:200]}. "
                f"It needs {needed}; without it, leave --compile out"
            ) from error
        self.compile_s = time.perf_counter() - started

    def _capture(self) -> None:
        """One run as a CUDA graph: replaying it costs one launch.

        https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs: warm up on a side stream, then capture; the
        graph reads the tensors it was captured with, so inputs are copied into those.
        """
        held = [x.clone() for x in self.inputs[0]]
        with torch.inference_mode():
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            captured = torch.cuda.CUDAGraph()
            # The stream around both is left again, also where the capture fails.
            with torch.cuda.stream(side):
                for _ in range(3):
                    self._called(*held)
                with torch.cuda.graph(captured, stream=side):
                    output = self._called(*held)
            torch.cuda.current_stream().wait_stream(side)

        def replay(*given: Tensor) -> Any:
            for mine, x in zip(held, given, strict=True):
                mine.copy_(x)
            captured.replay()
            return output

        self._replay = replay

    def _trainer(self) -> Callable[[], object]:
        """A whole step: forward with the heads, the loss as the paper weighs it, backward, the optimizer's step."""
        # One class for each image, or for each place of a map of scores.
        batch, classes, *places = self.graph.shapes()[self.graph.output]
        self.labels = labels = torch.randint(0, classes, (batch, *places), device=self.setting.device)
        optimizer = _optimizer(self.setting.optimizer, self.module)
        weights = {head.name: head.weight or 0.0 for head in self.graph.heads}

        def step() -> object:
            optimizer.zero_grad(set_to_none=True)
            output = self._called(*next(self._turn))
            loss = _loss(output, labels)
            if isinstance(output, Outputs):
                for name, logits in output.heads.items():
                    loss = loss + weights[name] * nn.functional.cross_entropy(logits, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            return loss

        return step


def _loss(output: Any, labels: Tensor) -> Tensor:
    """The cross entropy of the network's scores; of further outputs that are no scores their mean, so that the backward
    pass goes through all."""
    if isinstance(output, Outputs):
        output = output.logits
    if isinstance(output, Tensor):
        return nn.functional.cross_entropy(output, labels)
    main, *others = output
    loss = nn.functional.cross_entropy(main, labels)
    for other in others:
        alike = other.shape == main.shape
        loss = loss + (nn.functional.cross_entropy(other, labels) if alike else other.float().mean())
    return loss


def place(module: nn.Module, setting: Setting) -> nn.Module:
    """A module on its device, in its dtype, layout and mode."""
    module = module.to(setting.device, setting.torch_dtype)
    if setting.channels_last:
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it alone
    return module.train(setting.mode == "train")


def named(graph: Graph, setting: Setting) -> str:
    """What is run, in words."""
    doing = "a training step of" if setting.mode == "train" else "running"
    return f"{doing} {graph.variant} at batch {graph.batch} in {setting.dtype}"


def synchronize(device: str) -> None:
    """Wait for what a device was told to do."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def estimated_bytes(graph: Graph, setting: Setting) -> int:
    """What the tensors of a run take by the rules: weights, one input and the peak of activations; in training those of
    a step."""
    stored = "fp32" if setting.dtype == "tf32" else setting.dtype
    if setting.mode == "train":
        return training_memory(graph, setting.optimizer, stored).total_bytes
    width = DTYPE_BYTES[stored]
    weights = sum(node.params + node.buffers for node in graph.nodes) * width
    return weights + graph.input_bytes(width) + activation_peak(graph, width).bytes


def _inputs(graph: Graph, setting: Setting) -> list[Given]:
    """Random images, or whatever a network reads; on a GPU so many that they do not fit its second-level cache
    together."""
    size = graph.input_bytes(torch.empty((), dtype=setting.torch_dtype).element_size())
    number = 1
    if setting.device.startswith("cuda"):
        # torch 2.4 does not tell; no cache is larger than this.
        cache = getattr(torch.cuda.get_device_properties(setting.device), "L2_cache_size", 2**27)
        number = min(2 * cache // size + 1, MOST_INPUTS)
    generator = torch.Generator().manual_seed(SEED)
    return [tuple(_input(value, setting, generator) for value in graph.inputs) for _ in range(number)]


def _given(tensors: Sequence[Tensor], setting: Setting) -> list[Given]:
    """The user's own tensors, on the device and in the dtype."""
    dtype = setting.torch_dtype
    placed = [x.to(setting.device, dtype if x.is_floating_point() else None) for x in tensors]
    return [tuple(laid_out(x, setting) for x in placed)]


def _input(value: Value, setting: Setting, generator: torch.Generator) -> Tensor:
    fixed = drawn_input(value.shape, value.dtype, setting.device)
    if fixed is not None:
        return fixed
    x = torch.randn(value.shape, generator=generator)
    return laid_out(x.to(setting.device, setting.torch_dtype), setting)


def laid_out(x: Tensor, setting: Setting) -> Tensor:
    """An input in the setting's layout, which images alone have."""
    last = setting.channels_last and x.dim() == 4
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _optimizer(name: str, module: nn.Module) -> torch.optim.Optimizer:
    # So small a rate that many steps on the same images change nothing that costs time.
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        frozen = "none that is not frozen" if any(True for _ in module.parameters()) else "one without"
        raise UsageError(f"--mode train: expected a network with parameters to train, got {frozen}")
    if name == "adam":
        # The default eps is 0 in fp16.
        return torch.optim.Adam(parameters, lr=LEARNING_RATE, eps=1e-4)
    return torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=0.9 if name == "momentum" else 0.0)
