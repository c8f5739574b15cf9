"""What tests of measured times share: a short protocol, a small network, and no progress."""

from typing import Any

from gnet_inspect.language import load_spec
from gnet_inspect.runtime.latency import Protocol
from gnet_inspect.sources.spec import build_graph

QUICK = Protocol(min_time=0.05, repeat=2, warmup=1)
FAST = ("--min-time", "0.05", "--repeat", "2", "--warmup", "1", "--device", "cpu")


def silent(_: float, __: str) -> None:
    """No progress."""


def lenet(batch: int = 1, mode: str = "eval") -> Any:
    """A network that runs in no time."""
    return build_graph(load_spec("lenet5"), (batch, 1, 32, 32), mode=mode)
