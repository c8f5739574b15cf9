"""The tables of a result by itself: what is printed of it, and what a notebook's cell shows.

A result has no graph at hand: tables that the command line makes along a graph are made of the result alone.
"""

from gnet_inspect.analysis.comparison import Comparison
from gnet_inspect.analysis.conventions import FlopCounts
from gnet_inspect.analysis.explanation import Explanation
from gnet_inspect.analysis.listing import Listing
from gnet_inspect.analysis.roofline import Roofline
from gnet_inspect.analysis.summary import Summary, TrainingMemory
from gnet_inspect.analysis.taps import Taps
from gnet_inspect.records.environment import Examination
from gnet_inspect.records.timing import TimingRecord
from gnet_inspect.records.training import Evaluation, TrainedRun
from gnet_inspect.records.verification import Verification
from gnet_inspect.records.weights import LoadedWeights
from gnet_inspect.views.grid import Grid, draw_text
from gnet_inspect.views.tables.comparison import comparison_grids
from gnet_inspect.views.tables.difference import difference_grid
from gnet_inspect.views.tables.doctor import doctor_grid
from gnet_inspect.views.tables.evaluation import evaluation_grids
from gnet_inspect.views.tables.explain import explanation_grids
from gnet_inspect.views.tables.flops import flops_grid
from gnet_inspect.views.tables.latency import latency_grids
from gnet_inspect.views.tables.listing import listing_grid
from gnet_inspect.views.tables.roofline import roofline_table
from gnet_inspect.views.tables.run import run_grids
from gnet_inspect.views.tables.summary import summary_table
from gnet_inspect.views.tables.taps import taps_grid
from gnet_inspect.views.tables.training import training_grid
from gnet_inspect.views.tables.verification import verification_grid
from gnet_inspect.views.tables.weights import weights_grid
from gnet_inspect.views.text import terminal_width


def draw_tables(*grids: Grid) -> str:
    """Tables one below the other, as wide as a terminal that they are printed on, else as wide as they take."""
    cells = terminal_width()
    # No flags are at hand in Python.
    return "\n\n".join("\n".join(text for text, _ in draw_text(grid, cells, ways=())) for grid in grids)


def summary_tables(summary: Summary) -> list[Grid]:
    """Stage by stage and block by block; below it what a training step keeps, where that was asked for."""
    return [summary_table(summary), *([training_grid(summary.training)] if summary.training else [])]


def comparison_tables(comparison: Comparison) -> list[Grid]:
    """The models beside each other; of a difference its parts."""
    return [*comparison_grids(comparison)] if comparison.diff is None else [difference_grid(comparison)]


def flops_tables(counts: FlopCounts) -> list[Grid]:
    """Kind by kind, as each tool counts them."""
    return [flops_grid(counts)]


def explanation_tables(result: Explanation) -> list[Grid]:
    """The parts, how the numbers of layers are worked out, and what is saved."""
    return explanation_grids(result)


def training_tables(memory: TrainingMemory) -> list[Grid]:
    """The parts that a training step keeps."""
    return [training_grid(memory)]


def weights_tables(loaded: LoadedWeights) -> list[Grid]:
    """What came of the tensors of a file and of a module."""
    return [weights_grid(loaded)]


def taps_tables(taps: Taps) -> list[Grid]:
    """One row for each tap."""
    return [taps_grid(taps)]


def listing_tables(listing: Listing) -> list[Grid]:
    """One row for each model."""
    return [listing_grid(listing)]


def roofline_tables(found: Roofline) -> list[Grid]:
    """Stage by stage and block by block."""
    return [roofline_table(found)]


def verification_tables(result: Verification) -> list[Grid]:
    """The checks, and the audit of published figures."""
    return [verification_grid(result)]


def timing_tables(record: TimingRecord) -> list[Grid]:
    """All results, and the layers of those whose layers were timed."""
    return [*latency_grids(record, None)]


def examination_tables(result: Examination) -> list[Grid]:
    """What is there and what is missing."""
    return [doctor_grid(result)]


def run_tables(run: TrainedRun) -> list[Grid]:
    """The epochs, the best of them marked."""
    return run_grids(run)


def evaluation_tables(evaluation: Evaluation) -> list[Grid]:
    """Class by class, what is taken for what, and the images of the greatest loss."""
    return evaluation_grids(evaluation)
