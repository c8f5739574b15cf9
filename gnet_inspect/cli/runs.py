"""RUN/: the folder of a training run as a MODEL of any command: its network, and what it came to."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError, show

if TYPE_CHECKING:
    from gnet_inspect.cli.models import Opened, Variant
    from gnet_inspect.cli.options import Flags
    from gnet_inspect.records.runs import Run


def is_run_folder(model: str) -> bool:
    """Whether MODEL is the folder of a run. A built-in name is that, whatever lies beside it."""
    # What reads runs is not imported for a model that is none.
    if not os.path.isdir(model):
        return False
    from gnet_inspect.language import catalogue
    from gnet_inspect.records.runs import is_run

    return is_run(Path(model)) and model not in catalogue()


def run_spec(model: str) -> Path:
    """The file of a run's spec. Raises UsageError where its network is none."""
    from gnet_inspect.records.runs import read_recipe
    from gnet_inspect.records.training import SPEC_FILE

    path = Path(model) / SPEC_FILE
    if not path.is_file():
        raise UsageError(
            f"expected a run of a spec, got {show(model)}, whose network is {show(read_recipe(Path(model)).model)}. "
            "(give that)"
        )
    return path


def run_text(model: str) -> tuple[bytes, str]:
    """(the text of a run's spec, the name errors give it). Raises UsageError where that is not all of the network."""
    from gnet_inspect.language import spec_text
    from gnet_inspect.records.runs import read_recipe

    path = run_spec(model)
    left = read_recipe(Path(model)).left_edits
    if left:
        edits = " ".join(left)
        raise UsageError(
            f"expected a run whose spec is all of its network, got {show(model)}, with {edits} beside it. "
            f"(give {path} and --set. summary, compare and others read it)"
        )
    return spec_text(str(path))


def open_run(model: str) -> "Opened":
    """The network that was trained, at the input that it was trained at. Flags that make another network of it leave
    what the run came to behind."""
    from gnet_inspect.records.runs import read_run

    path = run_spec(model)
    run = read_run(Path(model))
    spec = options.read_spec(str(path))

    def made(asked: "Flags") -> "Variant":
        from gnet_inspect.cli.models import Variant
        from gnet_inspect.sources.spec import build_graph
        from gnet_inspect.sources.spec.overrides import parse_overrides

        left = run.recipe.left_edits
        given = asked.inputs or ["x".join(map(str, run.recipe.input))]
        # Where the spec says not all that was edited, it says another input, too.
        resize = asked.resize or bool(left)
        shapes = options.read_inputs(spec.inputs, given, asked.batch, resize)
        edits = parse_overrides([*left, *(asked.edits or ())])
        graph = build_graph(spec, shapes, overrides=edits, mode=asked.mode, resize=resize)
        trained: Run | None = None if asked.edits or asked.until else run
        return Variant(spec, graph, run=trained)

    return made
