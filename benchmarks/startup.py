"""Commands against the bare import of their own libraries, and against torchinfo on torchvision's model."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Ratio, commands, milliseconds
from gnet_inspect.language import catalogue

PYTHON = sys.executable
GNET = [PYTHON, "-m", "gnet_inspect"]
BARE = [PYTHON, "-c", "import typer, rich, yaml, msgspec"]
TORCHINFO = """
import torch
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import torchinfo, torchvision
with torch.device("{device}"):
    model = torchvision.models.{model}(weights=None, init_weights={init}{more})
print(torchinfo.summary(model, (1, 3, 224, 224), device="{device}"))
"""
MEMORY_LIMIT = 45_000_000
LARGEST_S, MOST_BOXES_S, BUDGETS_S = 1.0, 15.0, 1.0
# As many boxes as a picture may have: 1,000 blocks of a layer and of what skips it.
_MANY = """
name: many
input: [4, 8, 8]
blocks:
  skip: {layers: {sum: {add: [{}, {conv: {Conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}}]}}}
stages: {body: {all: [{repeat: {times: 1000, layer: skip}}]}}
"""


def _torchinfo(model: str, device: str, more: str) -> list[str]:
    """torchinfo on torchvision's model, built with its weights initialised where it has memory for them."""
    code = TORCHINFO.format(model=model, device=device, init=device != "meta", more=more)
    return [PYTHON, "-W", "ignore", "-c", code]


def measure() -> list[Ratio]:
    """Cold commands, interleaved with what they are compared with."""
    ours = commands(
        bare=BARE,
        summary=[*GNET, "summary", "googlenet"],
        vgg=[*GNET, "summary", "vgg16"],
        layer=[*GNET, "summary", "googlenet", "--depth", "layer"],
        compare=[*GNET, "compare", "googlenet", "alexnet", "vgg16"],
        flops=[*GNET, "flops", "googlenet"],
        diagram=[*GNET, "diagram", "googlenet", "-o", os.devnull, "--format", "svg"],
        list=[*GNET, "list"],
        help=[*GNET, "--help"],
        package=[PYTHON, "-c", "import gnet_inspect"],
        libraries=[PYTHON, "-c", "import msgspec, yaml"],
    )
    peers = commands(
        3,
        meta=_torchinfo("googlenet", "meta", ", aux_logits=False"),
        usual=_torchinfo("googlenet", "cpu", ", aux_logits=False"),
        usual_vgg=_torchinfo("vgg16", "cpu", ""),
    )
    drawn = ["--depth", "layer", "--no-collapse", "--format", "svg", "-o", os.devnull]
    with TemporaryDirectory() as folder:
        many = Path(folder) / "many.yaml"
        many.write_text(_MANY, encoding="utf-8")
        budgets = Path(folder) / "gnet-inspect.toml"
        tables = (f'[[check]]\nmodel = "{name}"\nmacs = "<= 1 T"\n' for name in catalogue())
        budgets.write_text("\n".join(tables), encoding="utf-8")
        files = commands(
            largest=[*GNET, "diagram", "inception_resnet_v2", *drawn],
            many=[*GNET, "diagram", str(many), *drawn],
            check=[*GNET, "check", "--config", str(budgets)],
        )
    cost = ours | peers | files

    def times(what: str, mine: str, other: str, bound: str, limit: float) -> Ratio:
        a, b = cost[mine].seconds, cost[other].seconds
        ratio = a / b if bound == "at most" else b / a
        return Ratio(what, milliseconds(a), milliseconds(b), ratio, bound, limit)

    def within(what: str, mine: str, limit: float) -> Ratio:
        taken = cost[mine].seconds
        name, peer = f"{what} / {limit:g} s", f"{limit:.1f} s"
        return Ratio(name, milliseconds(taken), peer, taken / limit, "at most", 1)

    memory = cost["summary"].memory
    return [
        times("summary / import of typer, rich, PyYAML, msgspec", "summary", "bare", "at most", 2),
        times("summary vgg16 / the same import", "vgg", "bare", "at most", 2),
        times("summary --depth layer / the same import", "layer", "bare", "at most", 3),
        times("list, the whole catalogue / summary", "list", "summary", "at most", 2.5),
        times("compare googlenet alexnet vgg16 / summary", "compare", "summary", "at most", 2.5),
        times("flops googlenet / summary", "flops", "summary", "at most", 2.5),
        times("diagram googlenet as svg / summary", "diagram", "summary", "at most", 3),
        times("--help / summary", "help", "summary", "at most", 1),
        times("import gnet_inspect / import of msgspec, PyYAML", "package", "libraries", "at most", 1.5),
        times("torchinfo on the meta device / summary", "summary", "meta", "at least", 12),
        times("torchinfo the usual way / summary", "summary", "usual", "at least", 12),
        times("torchinfo on VGG-16 the usual way / summary vgg16", "vgg", "usual_vgg", "at least", 25),
        within("diagram of inception_resnet_v2 by layers", "largest", LARGEST_S),
        within("diagram of 2,000 boxes", "many", MOST_BOXES_S),
        within("check of the whole catalogue", "check", BUDGETS_S),
        Ratio(
            "resident memory of summary / 45 MB",
            f"{memory / 1e6:.0f} MB",
            "45 MB",
            memory / MEMORY_LIMIT,
            "at most",
            1,
        ),
        Ratio(
            "torchinfo's resident memory / summary's",
            f"{memory / 1e6:.0f} MB",
            f"{cost['meta'].memory / 1e6:.0f} MB",
            cost["meta"].memory / memory,
            "at least",
            5,
        ),
    ]
