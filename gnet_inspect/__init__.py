"""Architecture analysis and shape tracing for convolutional networks.

    >>> from gnet_inspect import build_graph, load_spec, summarize
    >>> graph = build_graph(load_spec("googlenet"))
    >>> summary = summarize(graph)
    >>> summary.totals.params, summary.totals.macs
    (6998552, 1582671872)

A torch module takes the place of a graph: `summarize(module, (1, 3, 224, 224))`, and `trace` gives its graph.

Importing the package imports neither torch nor the command line; `build_module`, `trace`, `load_weights`, `fit` and
`optimized_module` import torch when they are first used.
"""

from gnet_inspect import display as _display
from gnet_inspect.conversion import CONVERTERS as _CONVERTERS

# Nothing else is imported before it is needed, not even `typing`: until the command line has put its handlers in place,
# a signal is answered with a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gnet_inspect.analysis.comparison import Comparison as Comparison
    from gnet_inspect.analysis.comparison import compare_models as compare_models
    from gnet_inspect.analysis.conventions import FlopCounts as FlopCounts
    from gnet_inspect.analysis.conventions import count_flops as count_flops
    from gnet_inspect.analysis.summary import Coverage as Coverage
    from gnet_inspect.analysis.summary import LayerSummary as LayerSummary
    from gnet_inspect.analysis.summary import StageSummary as StageSummary
    from gnet_inspect.analysis.summary import Summary as Summary
    from gnet_inspect.analysis.summary import Totals as Totals
    from gnet_inspect.analysis.summary import TrainingMemory as TrainingMemory
    from gnet_inspect.analysis.summary import summarize as summarize
    from gnet_inspect.analysis.training import training_memory as training_memory
    from gnet_inspect.errors import GnetError as GnetError
    from gnet_inspect.errors import MissingError as MissingError
    from gnet_inspect.errors import SpecError as SpecError
    from gnet_inspect.errors import UsageError as UsageError
    from gnet_inspect.graph import Graph as Graph
    from gnet_inspect.graph import Node as Node
    from gnet_inspect.graph.cutting import cut as cut
    from gnet_inspect.graph.freezing import freeze as freeze
    from gnet_inspect.graph.optimize import optimize as optimize
    from gnet_inspect.language import Spec as Spec
    from gnet_inspect.language import catalogue as catalogue
    from gnet_inspect.language import load_spec as load_spec
    from gnet_inspect.language import parse_spec as parse_spec
    from gnet_inspect.ops import AxisWindow as AxisWindow
    from gnet_inspect.ops import Family as Family
    from gnet_inspect.ops import Look as Look
    from gnet_inspect.ops import Op as Op
    from gnet_inspect.ops import Saved as Saved
    from gnet_inspect.ops import Temporaries as Temporaries
    from gnet_inspect.ops import Term as Term
    from gnet_inspect.ops import Traffic as Traffic
    from gnet_inspect.ops import Weight as Weight
    from gnet_inspect.ops import register as register
    from gnet_inspect.records.weights import LoadedWeights as LoadedWeights
    from gnet_inspect.runtime.module import Outputs as Outputs
    from gnet_inspect.runtime.module import build_module as build_module
    from gnet_inspect.runtime.optimize import optimized_module as optimized_module
    from gnet_inspect.runtime.tracing import TraceError as TraceError
    from gnet_inspect.runtime.tracing import trace as trace
    from gnet_inspect.runtime.training.fitting import Fitted as Fitted
    from gnet_inspect.runtime.training.fitting import fit as fit
    from gnet_inspect.runtime.weights import load_weights as load_weights
    from gnet_inspect.sources.spec import build_graph as build_graph

__version__ = "0.1.0"

# Where each public name lives: looked up on first use, so that `import gnet_inspect` stays light.
_HOMES = {
    "Comparison": "analysis.comparison",
    "compare_models": "analysis.comparison",
    "FlopCounts": "analysis.conventions",
    "count_flops": "analysis.conventions",
    "Coverage": "analysis.summary",
    "LayerSummary": "analysis.summary",
    "StageSummary": "analysis.summary",
    "Summary": "analysis.summary",
    "Totals": "analysis.summary",
    "TrainingMemory": "analysis.summary",
    "summarize": "analysis.summary",
    "training_memory": "analysis.training",
    "LoadedWeights": "records.weights",
    "GnetError": "errors",
    "MissingError": "errors",
    "SpecError": "errors",
    "UsageError": "errors",
    "Graph": "graph",
    "Node": "graph",
    "build_graph": "sources.spec",
    "cut": "graph.cutting",
    "freeze": "graph.freezing",
    "optimize": "graph.optimize",
    "Outputs": "runtime.module",
    "build_module": "runtime.module",
    "optimized_module": "runtime.optimize",
    "load_weights": "runtime.weights",
    "fit": "runtime.training.fitting",
    "Fitted": "runtime.training.fitting",
    "TraceError": "runtime.tracing",
    "trace": "runtime.tracing",
    "Spec": "language",
    "catalogue": "language",
    "load_spec": "language",
    "parse_spec": "language",
    # What a layer kind of one's own is made of.
    "register": "ops",
    "Op": "ops",
    "Weight": "ops",
    "Family": "ops",
    "Look": "ops",
    "AxisWindow": "ops",
    "Traffic": "ops",
    "Saved": "ops",
    "Temporaries": "ops",
    "Term": "ops",
}

# What shows the values that are printed, or that a notebook's cell ends with: rooms above theirs.
_display.TABLES.update(
    (name, f"{__name__}.views.tables.results:{function}")
    for name, function in (
        ("Summary", "summary_tables"),
        ("Comparison", "comparison_tables"),
        ("FlopCounts", "flops_tables"),
        ("TrainingMemory", "training_tables"),
        ("LoadedWeights", "weights_tables"),
        ("Taps", "taps_tables"),
        ("Explanation", "explanation_tables"),
        ("Listing", "listing_tables"),
        ("Roofline", "roofline_tables"),
        ("Verification", "verification_tables"),
        ("TimingRecord", "timing_tables"),
        ("Examination", "examination_tables"),
        ("TrainedRun", "run_tables"),
        ("Evaluation", "evaluation_tables"),
    )
)
_display.DRAWERS["text"] = f"{__name__}.views.tables.results:draw_tables"
_display.DRAWERS["html"] = f"{__name__}.views.pages.html:draw_cell"
_display.PICTURES["Graph"] = f"{__name__}.views.pages.notebook:graph_svg"

# What makes a Graph of what is none: a room above those that need one.
_CONVERTERS["torch.nn.modules.module.Module"] = f"{__name__}.runtime.tracing:trace_given"

__all__ = [*_HOMES]  # noqa: PLE0604  # the table above is the one list of public names


def __getattr__(name: str) -> "Any":
    from importlib import import_module
    from importlib.util import find_spec

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOMES[name].startswith("runtime") and find_spec("torch") is None:
        return _without_torch(name)
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def _without_torch(name: str) -> "Any":
    """What stands for a name that needs torch where torch is missing: it can be imported, and says so when used."""

    def missing(*_: object, **__: object) -> "Any":
        from gnet_inspect.errors import INSTALL_TORCH, MissingError

        raise MissingError(f"{name} needs torch, which is not installed. Install it with: {INSTALL_TORCH}")

    return missing


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])
