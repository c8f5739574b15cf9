"""What a report shows: models side by side, and of each all that is known of it."""

from collections.abc import Sequence

from msgspec import Struct

from gnet_inspect.analysis.audit import audit, verification_of
from gnet_inspect.analysis.comparison import Comparison, side_by_side
from gnet_inspect.analysis.listing import Listing, list_catalogue
from gnet_inspect.analysis.memory import live_activation_bytes
from gnet_inspect.analysis.summary import Summary, summarize
from gnet_inspect.graph import Graph
from gnet_inspect.language import Spec
from gnet_inspect.records.runs import Run
from gnet_inspect.records.timing import Measurement, TimingRecord
from gnet_inspect.records.verification import Verification
from gnet_inspect.units import DTYPE_BYTES


class ReportedMeasurement(Struct, frozen=True):
    """What was measured of a model, with the record it stands in."""

    record: TimingRecord
    measured: Measurement


class ReportedModel(Struct, frozen=True):
    """One model. `live_bytes` are those that torch's forward pass holds while each layer runs; `audit` has the
    published figures alone; `run` is what training came to, where it is a run."""

    label: str
    graph: Graph
    summary: Summary
    live_bytes: tuple[int, ...]
    audit: Verification
    measurements: tuple[ReportedMeasurement, ...]
    run: Run | None = None


class Report(Struct, frozen=True):
    """All that one page shows. `catalogue` is there to stand the models beside."""

    comparison: Comparison
    models: tuple[ReportedModel, ...]
    catalogue: Listing


def make_report(
    variants: Sequence[tuple[Spec | None, Graph]],
    dtype: str,
    names: Sequence[str],
    records: Sequence[TimingRecord] = (),
    runs: Sequence[Run | None] = (),
) -> Report:
    """The report of one model or more, of one mode, with what was measured of them, and what training came to."""
    comparison = side_by_side(variants, dtype, names, runs=runs)
    models = []
    trained = runs or [None] * len(variants)
    for compared, (spec, graph), run in zip(comparison.models, variants, trained, strict=True):
        models.append(
            ReportedModel(
                compared.label,
                graph,
                summarize(graph, dtype),
                tuple(live_activation_bytes(graph, DTYPE_BYTES[dtype])),
                verification_of(spec, graph, audit(spec) if spec else ()),
                tuple(
                    ReportedMeasurement(record, result)
                    for record in records
                    for result in record.results
                    if result.model == graph.variant
                ),
                run,
            )
        )
    return Report(comparison, tuple(models), list_catalogue())
