"""What a notebook shows of a result that is the last line of a cell: the table of the command line, as HTML.

A result has no graph at hand: tables that the command line makes along a graph are made of the result alone.
"""

from gnet_inspect.analysis.comparison import Comparison
from gnet_inspect.analysis.conventions import FlopCounts
from gnet_inspect.analysis.listing import Listing
from gnet_inspect.analysis.roofline import Roofline
from gnet_inspect.analysis.summary import Summary, TrainingMemory
from gnet_inspect.analysis.taps import Taps
from gnet_inspect.records.environment import Examination
from gnet_inspect.records.timing import TimingRecord
from gnet_inspect.records.verification import Verification
from gnet_inspect.records.weights import LoadedWeights
from gnet_inspect.views.pages.html import draw_cell
from gnet_inspect.views.tables.comparison import comparison_grids
from gnet_inspect.views.tables.difference import difference_grid
from gnet_inspect.views.tables.doctor import doctor_grid
from gnet_inspect.views.tables.flops import flops_grid
from gnet_inspect.views.tables.latency import latency_grids
from gnet_inspect.views.tables.listing import listing_grid
from gnet_inspect.views.tables.roofline import roofline_table
from gnet_inspect.views.tables.summary import summary_table
from gnet_inspect.views.tables.taps import taps_grid
from gnet_inspect.views.tables.training import training_grid
from gnet_inspect.views.tables.verification import verification_grid
from gnet_inspect.views.tables.weights import weights_grid


def summary_html(summary: Summary) -> str:
    """Stage by stage and block by block; below it what a training step keeps, where that was asked for."""
    return draw_cell(summary_table(summary), *([training_grid(summary.training)] if summary.training else []))


def comparison_html(comparison: Comparison) -> str:
    """The models beside each other; of a difference its parts."""
    if comparison.diff is not None:
        return draw_cell(difference_grid(comparison))
    return draw_cell(*comparison_grids(comparison))


def flops_html(counts: FlopCounts) -> str:
    """Kind by kind, as each tool counts them."""
    return draw_cell(flops_grid(counts))


def training_html(memory: TrainingMemory) -> str:
    """The parts that a training step keeps."""
    return draw_cell(training_grid(memory))


def weights_html(loaded: LoadedWeights) -> str:
    """What came of the tensors of a file and of a module."""
    return draw_cell(weights_grid(loaded))


def taps_html(taps: Taps) -> str:
    """One row for each tap."""
    return draw_cell(taps_grid(taps))


def listing_html(listing: Listing) -> str:
    """One row for each model."""
    return draw_cell(listing_grid(listing))


def roofline_html(found: Roofline) -> str:
    """Stage by stage and block by block."""
    return draw_cell(roofline_table(found))


def verification_html(result: Verification) -> str:
    """The checks, and the audit of published figures."""
    return draw_cell(verification_grid(result))


def timing_html(record: TimingRecord) -> str:
    """All results, and the layers of those whose layers were timed."""
    return draw_cell(*latency_grids(record, None))


def examination_html(result: Examination) -> str:
    """What is there and what is missing."""
    return draw_cell(doctor_grid(result))
