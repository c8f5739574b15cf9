"""FILE.db#17: a network that a sweep kept, as a MODEL of any command."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError, show

if TYPE_CHECKING:
    from gnet_inspect.cli.models import Opened
    from gnet_inspect.cli.options import Flags
    from gnet_inspect.graph import Graph
    from gnet_inspect.language import Spec

_ROW = re.compile(r"(.+\.db)#([0-9]{1,15})")


def is_row(model: str) -> bool:
    """Whether MODEL names a row of a sweep's file."""
    return bool(_ROW.fullmatch(model))


def open_row(model: str) -> "Opened":
    """The spec that was varied, with the edits of a row; further edits are made on top of them."""
    from gnet_inspect.cli.models import Variant

    row = _Row(model)

    def made(asked: "Flags") -> Variant:
        from gnet_inspect.sources.spec.overrides import parse_overrides

        more = parse_overrides(asked.edits or [])
        inputs = asked.inputs
        shapes = row.shapes if inputs is None else options.read_inputs(row.spec.inputs, inputs, asked.batch, True)
        if asked.batch is not None:
            shapes = {name: (asked.batch, *shape[1:]) for name, shape in shapes.items()}
        return Variant(row.spec, row.graph(shapes, asked.mode, more))

    return made


def row_text(model: str) -> tuple[bytes, str]:
    """A row as a spec of its own, with the name errors give it. Raises UsageError where it cannot be written."""
    from gnet_inspect.analysis.summary import summarize
    from gnet_inspect.authoring.spec_text import spec_text
    from gnet_inspect.authoring.writing import write_program
    from gnet_inspect.errors import CannotWriteError
    from gnet_inspect.language.parse import parse_spec
    from gnet_inspect.sources.spec import build_graph

    row = _Row(model)
    # With its heads where it has any.
    graph = row.graph(row.shapes, "train" if row.spec.heads else "eval", {})
    name = f"{row.spec.name}_{_ROW.fullmatch(model)[2]}"  # type: ignore[index]  # it is a row's name
    edits = " ".join(f"{path}={text}" for path, text in row.edits.items())
    try:
        text = spec_text(write_program(graph, name), f"{row.spec.name} with {edits}")
    except CannotWriteError as error:
        raise UsageError(f"{show(model)} cannot be written as a spec: {error}. (summary and others read it)") from None
    written = summarize(build_graph(parse_spec(text.encode(), model))).totals
    own = summarize(row.graph(row.shapes, "eval", {})).totals
    if (written.params, written.macs) != (own.params, own.macs):
        raise UsageError(f"{show(model)} cannot be written as a spec: what was written has other totals")
    return text.encode(), model


class _Row:
    """A row that was read: its spec, its edits as YAML, and the shapes of its inputs."""

    def __init__(self, model: str) -> None:
        from gnet_inspect.language import parse_spec
        from gnet_inspect.search.rows import read_row

        match = _ROW.fullmatch(model)
        assert match is not None
        found = read_row(Path(match[1]), int(match[2]))
        self.spec: Spec = parse_spec(found.spec.encode(), found.file)
        names = {value.name for value in self.spec.inputs}
        self.shapes = {name: tuple(shape) for name, shape in found.question["input"].items()}
        self._fixed: list[str] = list(found.question["set"])
        for name in names & set(found.edits):
            given = options.read_inputs(self.spec.inputs, [f"{name}={found.edits[name]}"], self.shapes[name][0], True)
            self.shapes[name] = given[name]
        self.edits = {path: text for path, text in found.edits.items() if path not in names}

    def graph(self, shapes: Mapping[str, tuple[int, ...]], mode: str, more: Mapping[str, Any]) -> "Graph":
        from gnet_inspect.sources.spec import build_graph
        from gnet_inspect.sources.spec.overrides import parse_overrides

        edits = parse_overrides([*self._fixed, *(f"{path}={text}" for path, text in self.edits.items())])
        return build_graph(self.spec, dict(shapes), overrides={**edits, **more}, mode=mode, resize=True)
