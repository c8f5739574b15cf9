"""The catalogue as a table."""

from gnet_inspect.analysis.listing import ListedModel, Listing, PublishedAccuracy
from gnet_inspect.units import column_unit, dimensions, in_unit
from gnet_inspect.views.grid import Column, Grid, Line


def listing_grid(listing: Listing) -> Grid:
    """One row for each model; the accuracy is the best single-crop one that is published."""
    units = [
        column_unit(values) for values in zip(*((m.totals.params, m.totals.macs) for m in listing.models), strict=True)
    ]
    params, macs = units or [("", 1), ("", 1)]
    columns = (
        Column("model", "model"),
        Column("title", "title", keep=3),
        Column("year", "year", number=True, keep=6),
        Column("input", "input", keep=5),
        Column("params", f"params ({params[0]})" if params[0] else "params", number=True, keep=9),
        Column("macs", f"MACs ({macs[0]})" if macs[0] else "MACs", number=True, keep=9),
        Column("top1_error", "top-1 err %", number=True, keep=4),
        Column("top5_error", "top-5 err %", number=True, keep=8),
        Column("source", "source of the accuracy", keep=1),
    )
    lines = []
    for model in listing.models:
        best = _best(model)
        top1, top5, source = (best.top1_error, best.top5_error, best.source) if best else (None, None, "")
        totals = model.totals
        lines.append(
            Line(
                (
                    model.model,
                    model.title,
                    str(model.year or ""),
                    dimensions(model.input),
                    in_unit(totals.params, params),
                    in_unit(totals.macs, macs),
                    "" if top1 is None else f"{top1:.2f}",
                    "" if top5 is None else f"{top5:.2f}",
                    source,
                ),
                (
                    model.model,
                    model.title,
                    model.year,
                    dimensions(model.input),
                    totals.params,
                    totals.macs,
                    top1,
                    top5,
                    source,
                ),
            )
        )
    return Grid(columns, tuple(lines))


def _best(model: ListedModel) -> PublishedAccuracy | None:
    single = [item for item in model.published if item.models == item.crops == 1]
    return min(single, key=lambda item: item.top5_error or 100.0, default=None)
