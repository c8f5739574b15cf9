"""How much of other libraries the tracer covers: `python -m benchmarks.coverage` writes docs/coverage.md.

Every network is traced at its own size, on the meta device; its parameters are compared with torch's own sum, its
multiply-accumulates with torch's FlopCounterMode, and its recorded calls are run again on real tensors, which must give
the module's own outputs bit by bit. Then it is written down as a spec, and torchvision's classifiers as source for
torch, each of which is proved before it counts.
"""

import argparse
import copy
import importlib
import json
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from msgspec import Struct, convert, to_builtins
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gnet_inspect.errors import CannotWriteError
from gnet_inspect.graph import Graph
from gnet_inspect.runtime.exporting import export_source
from gnet_inspect.runtime.importing import import_graph, import_module
from gnet_inspect.runtime.references import Given, Network, Reference, import_library, maker_of
from gnet_inspect.runtime.tracing import TraceError, traced
from gnet_inspect.runtime.tracing.examples import Examples, flattened
from gnet_inspect.runtime.tracing.replay import Replay

PAGE = Path(__file__).parent.parent / "docs" / "coverage.md"
COMMAND = "python -m benchmarks.coverage"
# What is larger is not run on real tensors, only traced and counted.
LARGEST_PARAMS, LARGEST_MACS = 15_000_000, 1_500_000_000
# Of timm at least so many, and one of each of its files.
TIMM = 300
# Networks for one child process, and the seconds that one of them may take.
TOGETHER, LONGEST = 20, 240

CLASSIFIERS = "torchvision, classification"
# What is larger is proved by its layers, without its weights.
LARGEST_WRITTEN = 200_000_000

_MOST = f"{LARGEST_PARAMS // 10**6} M parameters or {LARGEST_MACS / 10**9:g} GMACs"

Make = Callable[[], tuple[nn.Module, tuple[int, ...]]]


class Result(Struct, frozen=True):
    """What came of one network: `refused` says why it was not traced; the others are None where that was not tried.
    `spec` and `source` are "" where it was written and proved, else why not."""

    name: str
    group: str
    refused: str = ""
    params: bool | None = None
    macs: bool | None = None
    replay: bool | None = None
    note: str = ""
    spec: str | None = None
    source: str | None = None

    @property
    def is_right(self) -> bool:
        """Whether all that was compared came out equal."""
        return not self.refused and False not in (self.params, self.macs, self.replay)


# --- the networks ---


def networks() -> Iterator[tuple[str, str]]:
    """(group, reference) of every network."""
    import_library("torchvision")
    models: Any = importlib.import_module("torchvision.models")

    for name in models.list_models(module=models):
        yield CLASSIFIERS, f"torchvision:{name}"
    for name in models.list_models(module=models.segmentation):
        yield "torchvision, segmentation", f"torchvision:{name}"
    for name in BACKBONES:
        yield "torchvision, detection backbones", name
    for name in timm_names():
        yield "timm", f"timm:{name}"


def timm_names() -> list[str]:
    """The first architectures of each of timm's files by their names' lengths, evenly, until there are enough."""
    timm: Any = import_library("timm")
    left = {
        module: sorted(timm.list_models(module=module), key=lambda name: (_size(name), name))
        for module in timm.list_modules()
    }
    found: list[str] = []
    while len(found) < TIMM and any(left.values()):
        found += [names.pop(0) for names in left.values() if names]
    return sorted(found)


# What a name says of a size, the smallest first.
_SIZES = ("test", "femto", "atto", "pico", "nano", "tiny", "mini", "xxs", "xs", "_s", "small", "18", "_0", "b0", "base")


def _size(name: str) -> int:
    return next((place for place, word in enumerate(_SIZES) if word in name), len(_SIZES)) + 50 * (
        any(word in name for word in ("large", "huge", "giant", "gigantic", "xl"))
    )


def _fpn(name: str) -> Make:
    def make() -> tuple[nn.Module, tuple[int, ...]]:
        from torchvision.models.detection import backbone_utils

        build: Any = getattr(backbone_utils, "mobilenet_backbone" if "mobilenet" in name else "resnet_fpn_backbone")
        if "mobilenet" in name:
            return build(backbone_name=name, weights=None, fpn=True), (1, 3, 224, 224)
        return build(backbone_name=name, weights=None), (1, 3, 224, 224)

    return make


def _ssd() -> tuple[nn.Module, tuple[int, ...]]:
    from torchvision.models.detection import ssd300_vgg16

    return ssd300_vgg16(weights=None, weights_backbone=None).backbone, (1, 3, 300, 300)


def _ssdlite() -> tuple[nn.Module, tuple[int, ...]]:
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).backbone, (1, 3, 320, 320)


BACKBONES: dict[str, Make] = {
    "fpn of resnet50": _fpn("resnet50"),
    "fpn of resnet18": _fpn("resnet18"),
    "fpn of mobilenet_v3_large": _fpn("mobilenet_v3_large"),
    "ssd300_vgg16's": _ssd,
    "ssdlite320_mobilenet_v3_large's": _ssdlite,
}


def _made(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    if name in BACKBONES:
        return BACKBONES[name]()
    make, shape = maker_of(Reference(name, {}))
    return make(), (1, *(shape or (3, 224, 224)))


def _without_weights(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A network on the meta device, where its code lets it be made there."""
    try:
        with torch.device("meta"):
            module, shape = _made(name)
            traced(module.eval(), (shape,), {})
    except Exception:
        module, shape = _made(name)
    return module.eval(), shape


# --- what is compared ---


def examined(name: str, group: str) -> Result:
    """One network: traced, and compared with what torch says and does."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    module, shape = _without_weights(name)
    try:
        made = traced(module, (shape,), {})
    except TraceError as error:
        return Result(name, group, refused=_short(error))
    graph = made.graph
    params = sum(node.params for node in graph.nodes) + sum(item.params for item in graph.unreached)
    unknown = [node.name for node in graph.nodes if node.macs is None]
    macs = sum(node.macs or 0 for node in graph.nodes)
    expected = sum(weight.numel() for weight in made.recorder.module.parameters())
    counted, note = _counted(module, shape)
    if unknown:
        note = f"unknown: {', '.join(sorted({node.op.kind for node in graph.nodes if node.macs is None}))}"
    spec, source = _written(name, group, graph, expected)
    small = expected <= LARGEST_PARAMS and macs <= LARGEST_MACS and name not in BACKBONES
    return Result(
        name,
        group,
        params=params == expected,
        macs=None if counted is None or unknown else 2 * macs == counted,
        replay=_replays(name) if small else None,
        note=note
        or (f"ours {macs:,}, torch's {counted // 2:,}" if counted is not None and 2 * macs != counted else ""),
        spec=spec,
        source=source,
    )


def _written(name: str, group: str, graph: Graph, params: int) -> tuple[str | None, str | None]:
    """Why a network could not be written as a spec, and as source for torch; "" where it was, and None of what is not
    tried."""
    if group == "timm":
        return None, None
    if group != CLASSIFIERS or params > LARGEST_WRITTEN:
        return _refusal(lambda: import_graph(graph, "network", name)), None
    network = Network(Reference(name, {}))
    assert network.own_shape is not None
    found = network.trace(Given(((1, *network.own_shape),), {}), "eval")
    return (
        _refusal(lambda: import_module(found.made.graph, found, "network", name)),
        _refusal(lambda: export_source(found.made.graph, found, "network")),
    )


def _refusal(write: Callable[[], object]) -> str:
    try:
        write()
    except CannotWriteError as error:
        return _short(error)
    return ""


def _counted(module: nn.Module, shape: tuple[int, ...]) -> tuple[int | None, str]:
    """(what torch's counter counts on the meta device; why it could not)"""
    counter = FlopCounterMode(display=False)
    try:
        twin = copy.deepcopy(module).to("meta").requires_grad_(False)
        with torch.no_grad(), counter:
            twin(torch.empty(shape, device="meta"))
    except Exception as error:
        return None, f"torch's counter fails on the meta device: {_short(error)}"
    return counter.get_total_flops(), ""


def _replays(name: str) -> bool:
    """Whether the recorded calls give the module's own outputs bit by bit, and every shape."""
    module, shape = _made(name)
    module.eval()
    made = traced(module, (shape,), {}, tape=True)
    x = torch.randn(shape)
    with torch.no_grad():
        expected = [tensor for _, tensor in flattened(module(x.clone()))]
    inputs = {value.name: tensor for value, tensor in Examples(module, (x,), {}).named([x], {})}
    replay = Replay(made.recorder, module, inputs)
    found = replay.run(made.outputs)
    same = all(
        torch.equal(one.nan_to_num(), expected[place].nan_to_num())
        for one, place in zip(found, made.places, strict=True)
    )
    return same and all(was == now for _, was, now in replay.shapes)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160].replace("|", "/")


# --- the run ---


def _child(group_names: list[tuple[str, str]]) -> None:
    """Examine some networks, a line of JSON for each."""
    torch.set_num_threads(1)

    def stop(*_: object) -> None:
        raise TimeoutError(f"took more than {LONGEST} s")

    signal.signal(signal.SIGALRM, stop)
    for group, name in group_names:
        signal.alarm(LONGEST)
        try:
            result = examined(name, group)
        except Exception as error:
            result = Result(name, group, refused=f"{type(error).__name__}: {_short(error)}")
        signal.alarm(0)
        print(json.dumps(to_builtins(result)), flush=True)


def run(cache: Path) -> list[Result]:
    """Every network; those that the cache has are not run again."""
    known = _read(cache)
    everything = list(networks())
    left = [pair for pair in everything if pair[1] not in known]
    for start in range(0, len(left), TOGETHER):
        part = left[start : start + TOGETHER]
        print(f"{start + len(known)} of {len(everything)}: {part[0][1]} ...", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.coverage", "--child", json.dumps(part)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        with cache.open("a") as file:
            file.write("".join(f"{line}\n" for line in done.stdout.splitlines() if line.startswith("{")))
    known = _read(cache)
    return [
        known[name] if name in known else Result(name, group, refused="its process ended") for group, name in everything
    ]


def _read(cache: Path) -> dict[str, Result]:
    if not cache.is_file():
        return {}
    found = [convert(json.loads(line), Result) for line in cache.read_text().splitlines()]
    return {result.name: result for result in found}


# --- the page ---


def page(results: list[Result]) -> str:
    """The page: totals by group, then what is not all right, with the reason."""
    groups = list(dict.fromkeys(result.group for result in results))
    lines = [
        "# What is covered",
        "",
        "Networks of other libraries, traced by shapes alone at their own size and compared with torch: parameters",
        "with its own sum, multiply-accumulates with half of what `FlopCounterMode` counts on the meta device; and the",
        "recorded calls run again on real tensors, which must give the module's own outputs bit by bit, with every",
        f"call's shapes. Not run on real tensors are detection backbones, and networks of more than {_MOST}.",
        "",
        "| group | networks | traced | parameters equal | MACs equal | outputs equal |",
        "|---|---|---|---|---|---|",
    ]
    for group in [*groups, "all"]:
        of = [result for result in results if group in (result.group, "all")]
        ran = [result for result in of if not result.refused]
        parts = [_share(sum(not result.refused for result in of), len(of))]
        for field in ("params", "macs", "replay"):
            tried = [getattr(result, field) for result in ran if getattr(result, field) is not None]
            parts.append(_share(sum(tried), len(tried)))
        lines.append(f"| {group} | {len(of)} | {' | '.join(parts)} |")
    wrong = [
        f"| {result.name} | {_what(result)} | {result.refused or result.note} |" for result in results if _what(result)
    ]
    table = ["| network | what | why |", "|---|---|---|", *wrong] if wrong else ["Nothing of these."]
    lines += ["", "## What is not all right", "", *table]
    lines += _written_down(results)
    versions = ", ".join(f"{name} {version(name).partition('+')[0]}" for name in ("torch", "torchvision", "timm"))
    return "\n".join([*lines, "", f"Written by `{COMMAND}` with {versions}.", ""])


def _written_down(results: list[Result]) -> list[str]:
    """The part about what is written down: shares, torchvision's that are not, and the reasons of the others."""
    tried = [result for result in results if result.spec is not None and result.group != "timm"]
    if not tried:
        return []
    lines = [
        "",
        "## What is written down",
        "",
        "As a spec by `import`, and torchvision's classifiers as torch.nn source by `export`, each proved before it",
        f"counts: classifiers of up to {LARGEST_WRITTEN // 10**6} M parameters by their own weights and outputs, all",
        "others by their layers, shapes, parameters and multiply-accumulates.",
        "",
        "| group | networks | specs | source |",
        "|---|---|---|---|",
    ]
    for group in dict.fromkeys(result.group for result in tried):
        of = [result for result in tried if result.group == group]
        exported = [result for result in of if result.source is not None]
        shares = [
            _share(sum(not result.spec for result in of), len(of)),
            _share(sum(not result.source for result in exported), len(exported)),
        ]
        lines.append(f"| {group} | {len(of)} | {' | '.join(shares)} |")
    lines += ["", "| network | why it is not written |", "|---|---|"]
    for result in tried:
        reason = result.spec or result.source
        if reason:
            what = "" if result.spec else "as source: "
            lines.append(f"| {result.name} | {what}{reason} |")
    return lines


def _share(number: int, of: int) -> str:
    return f"{number} of {of} ({100 * number / of:.1f} %)" if of else "-"


def _what(result: Result) -> str:
    if result.refused:
        return "refused"
    wrong = [words for field, words in _WORDS.items() if getattr(result, field) is False]
    return ", ".join(wrong) or ("not compared" if result.note else "")


_WORDS = {"params": "parameters differ", "macs": "MACs differ", "replay": "outputs differ"}


def main() -> None:
    """Write the page; --cache keeps what was run, so that a run can go on."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="write docs/coverage.md")
    parser.add_argument("--cache", type=Path, default=Path(".coverage-of-libraries.jsonl"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child([(group, name) for group, name in json.loads(options.child)])
        return
    PAGE.write_text(page(run(options.cache)), encoding="utf-8")


if __name__ == "__main__":
    main()
