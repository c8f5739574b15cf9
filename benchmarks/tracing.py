"""Tracing torchvision's networks beside torchinfo on the same: the whole command, and the trace in process time."""

import sys
import time
import warnings
from collections.abc import Callable, Iterator

from benchmarks.measure import Ratio, commands

# At least so many times faster than torchinfo on the module as users build it.
LEAST = {"vgg16": 3.0, "vit_b_16": 3.0, "googlenet": 1.2, "efficientnet_b0": 1.2, "mobilenet_v2": 1.0, "resnet50": 1.2}
ROUNDS = 3
PEER = """
from gnet_inspect.runtime.references import Reference, maker_of
import torchinfo
make, shape = maker_of(Reference("torchvision:resnet50", {}))
print(torchinfo.summary(make(), (1, *shape), verbose=0))
"""


def measure() -> Iterator[Ratio]:
    """One line for the command, one for each network."""
    costs = commands(
        5,
        ours=[sys.executable, "-m", "gnet_inspect", "summary", "torchvision:resnet50"],
        peer=[sys.executable, "-c", PEER],
    )
    ours, peer = costs["ours"].seconds, costs["peer"].seconds
    yield Ratio(
        "summary torchvision:resnet50 / torchinfo's script",
        f"{ours:.2f} s",
        f"{peer:.2f} s",
        ours / peer,
        "at most",
        1.0,
    )
    for name, least in LEAST.items():
        yield _traced(name, least)


def _traced(name: str, least: float) -> Ratio:
    import torch
    import torchinfo

    from gnet_inspect import trace
    from gnet_inspect.runtime.references import Reference, maker_of

    torch.set_num_threads(1)
    make, _ = maker_of(Reference(f"torchvision:{name}", {}))
    shape = (1, 3, 224, 224)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = make().eval()
    times: dict[str, float] = {}
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: trace(module, shape),
        "peer": lambda: torchinfo.summary(module, shape, verbose=0, cache_forward_pass=False),
    }
    for _ in range(ROUNDS):
        for side, run in sides.items():
            start = time.process_time()
            run()
            times[side] = min(time.process_time() - start, times.get(side, float("inf")))
    ours, peer = (f"{1e3 * times[side]:.0f} ms" for side in ("ours", "peer"))
    return Ratio(
        f"torchinfo / trace of torchvision's {name}", ours, peer, times["peer"] / times["ours"], "at least", least
    )
