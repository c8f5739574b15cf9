"""The tools that `gnet-inspect flops` reproduces, run for real: each takes a module and an input, and gives its total.

Every tool runs on a module of its own, because some leave hooks and buffers behind.
"""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gnet_inspect.graph import Graph
from gnet_inspect.ops import TOOLS
from gnet_inspect.runtime.module import build_module
from gnet_inspect.runtime.references import define_operators
from gnet_inspect.runtime.verify import prepared


def run_torch(module: nn.Module, *given: Tensor) -> int:
    """FlopCounterMode's total."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        module(*given)
    return int(counter.get_total_flops())


def run_fvcore(module: nn.Module, *given: Tensor) -> int:
    """FlopCountAnalysis's total."""
    from fvcore.nn.flop_count import FlopCountAnalysis

    analysis = FlopCountAnalysis(module, given)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    return int(analysis.total())


def run_torchinfo(module: nn.Module, *given: Tensor) -> int:
    """summary's total_mult_adds, in the module's own mode: torchinfo sets one of its own otherwise, BatchNorm's too."""
    import torchinfo

    device = given[0].device
    stats = torchinfo.summary(_Kept(module), input_data=given, verbose=0, device=device, cache_forward_pass=False)
    return int(stats.total_mult_adds)


class _Kept(nn.Module):
    """A network whose mode stays what it is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> "_Kept":
        return self

    def forward(self, *given: Tensor) -> Any:
        return self.network(*given)


def run_ptflops_pytorch(module: nn.Module, *given: Tensor) -> int:
    """get_model_complexity_info with the backend "pytorch"."""
    return run_ptflops(module, given, "pytorch")


def run_ptflops_aten(module: nn.Module, *given: Tensor) -> int:
    """get_model_complexity_info with the backend "aten"."""
    return run_ptflops(module, given, "aten")


def run_ptflops(
    module: nn.Module, given: Sequence[Tensor], backend: str, constructor: Callable[[Any], Any] | None = None
) -> int:
    """ptflops by one backend; a batch is handed over as a dict of arguments unless a constructor gives it, and so are
    several inputs, and what ptflops makes no tensor of itself."""
    import ptflops

    first = given[0]
    plain = len(given) == 1 and first.shape[0] == 1 and first.device.type == "cpu" and first.is_floating_point()
    macs, _ = ptflops.get_model_complexity_info(
        module,
        tuple(first.shape[1:]) or (1,),
        as_strings=False,
        print_per_layer_stat=False,
        backend=backend,
        input_constructor=constructor or (None if plain else lambda _: _by_name(module, given)),
    )
    assert macs is not None, "ptflops failed"
    return int(macs)


def _by_name(module: nn.Module, given: Sequence[Tensor]) -> dict[str, Tensor]:
    """The inputs of a network by the names of its arguments."""
    network: Any = module
    names = ("x",) if len(given) == 1 else network._interface.inputs
    return dict(zip(names, given, strict=True))


def run_thop(module: nn.Module, *given: Tensor) -> int:
    """profile's first number."""
    from thop.profile import profile

    total = profile(module, given, verbose=False)[0]
    assert total == int(total)
    return int(total)


# By the key of its column: the package, what runs it, and the device. fvcore's tracer takes no tensors of the device
# meta, and there ptflops counts linear layers twice: torch computes them in Python, by functions it has patched.
RUNNERS: dict[str, tuple[str, Callable[..., int], str]] = {
    "torch": ("torch", run_torch, "meta"),
    "fvcore": ("fvcore", run_fvcore, "cpu"),
    "torchinfo": ("torchinfo", run_torchinfo, "meta"),
    "ptflops_pytorch": ("ptflops", run_ptflops_pytorch, "cpu"),
    "ptflops_aten": ("ptflops", run_ptflops_aten, "meta"),
    "thop": ("thop", run_thop, "meta"),
}
assert tuple(RUNNERS) == TOOLS


@contextmanager
def ready(package: str) -> Iterator[None]:
    """Where a tool can run: imported, or the test is skipped; what it prints and says of deprecations is dropped."""
    define_operators()  # ptflops imports torchvision where it is installed
    threads = torch.get_num_threads()
    # On a machine that others use, torch's threads wait for each other: one alone is three times as fast.
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            # fvcore traces with torch.jit, thop compares versions by distutils, and timm, which ptflops imports, has
            # old paths.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            # thop says of its own PReLU that it is old.
            warnings.filterwarnings("ignore", "This API is being deprecated", UserWarning)
            # torch says of an even kernel with the padding "same" that it copies the input.
            warnings.filterwarnings("ignore", "Using padding='same'", UserWarning)
            pytest.importorskip(package)
            yield
    finally:
        torch.set_num_threads(threads)


def printed(tool: str, make: Callable[[str], nn.Module], shape: tuple[int, ...]) -> int:
    """What a tool prints of the module that `make` gives for a device; the test is skipped where it is missing."""
    package, run, device = RUNNERS[tool]
    with ready(package):
        return run(make(device), torch.zeros(shape, device=device))


def built(graph: Graph) -> Callable[[str], nn.Module]:
    """What makes the module of a graph on a device, in the graph's mode."""
    return lambda device: on(device, prepared(build_module(graph, device="meta"), graph.mode))


def on(device: str, module: nn.Module) -> nn.Module:
    """A module of the device meta on another one, with zeros for weights: no tool's number depends on them."""
    if device == "meta":
        return module
    module = module.to_empty(device=device)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.zero_()
    return module


def printed_by_all(graph: Graph) -> dict[str, int]:
    """What every tool prints of a graph's module."""
    return {tool: printed(tool, built(graph), graph.input_shape) for tool in TOOLS}
