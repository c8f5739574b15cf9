"""Time and memory are linear in the number of layers, and small for each."""

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Ratio, commands, milliseconds

SPEC = """
name: growing
input: [3, 32, 32]
blocks:
  conv:
    params: [out]
    layers: {{conv: {{Conv2d: {{out_channels: $out, kernel_size: 3, padding: 1}}}}, bn: BatchNorm2d, relu: ReLU}}
stages: {{body: {{features: [{{repeat: {{times: {times}, layer: {{conv: {{out: 8}}}}}}}}], last: ReLU}}}}
"""
FEW, MANY = 50_000, 100_000
MICROSECONDS = 25


def measure() -> list[Ratio]:
    """`summary` of 50,000 and of 100,000 layers."""
    with tempfile.TemporaryDirectory() as folder:
        command = {}
        for name, layers in (("few", FEW), ("many", MANY)):
            path = Path(folder, f"{name}.yaml")
            path.write_text(SPEC.format(times=layers // 3))
            command[name] = [sys.executable, "-m", "gnet_inspect", "summary", str(path)]
        empty = [sys.executable, "-m", "gnet_inspect", "summary", "googlenet"]
        cost = commands(9, empty=empty, **command)
    few, many, base = cost["few"], cost["many"], cost["empty"]
    growth = (many.seconds - base.seconds) / (few.seconds - base.seconds)
    memory = (many.memory - base.memory) / (few.memory - base.memory)
    each = (many.seconds - base.seconds) / MANY * 1e6
    return [
        Ratio(
            "seconds for 100,000 layers / 3 s", milliseconds(many.seconds), "3,000 ms", many.seconds / 3, "at most", 1
        ),
        Ratio("microseconds a layer / 25", f"{each:.1f} us", "25.0 us", each / MICROSECONDS, "at most", 1),
        Ratio("time of twice the layers / twice the time", milliseconds(many.seconds), "", growth / 2, "at most", 1.25),
        Ratio(
            "memory of twice the layers / twice the memory",
            f"{many.memory / 1e6:.0f} MB",
            "",
            memory / 2,
            "at most",
            1.25,
        ),
    ]
