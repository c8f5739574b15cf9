"""`gnet-inspect sweep`: the best networks of a design space."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from gnet_inspect.cli import options
from gnet_inspect.cli.measuring import Measuring, Talk
from gnet_inspect.errors import MissingError, UsageError
from gnet_inspect.units import count

if TYPE_CHECKING:
    from gnet_inspect.search.cluster import Cluster
    from gnet_inspect.search.result import Objective, Sweep
    from gnet_inspect.search.store import Store
    from gnet_inspect.search.sweeping import Run, Sweeper

# The kinds of file that rows go into, by the ending.
ENDINGS = (".db", ".parquet", ".csv")


def sweep(
    model: options.Model,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="PATH=VALUES",
            help="What varies: inception3a.c1=32:96:16 (start, stop and step, the stop included), "
            "inception4a.c2=[96,208],[64,96], 'inception4*.c1'=96,128,160, width=0.5,0.75,1.0, input=160:224:32.",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="What networks must meet: 'macs <= 1G and receptive_field >= 224'. Totals by their JSON names; and, "
            "or, not, arithmetic.",
            show_default=False,
        ),
    ] = None,
    minimize: Annotated[
        str | None,
        typer.Option("--minimize", metavar="A,B,...", help="Totals that are to be small.", show_default=False),
    ] = None,
    maximize: Annotated[
        str | None,
        typer.Option("--maximize", metavar="A,B,...", help="Totals that are to be large.", show_default=False),
    ] = None,
    ties: Annotated[
        list[str] | None,
        typer.Option(
            "--tie",
            metavar="A=B",
            help="Paths that are given one value: inception4b.c1=inception4c.c1, or inception4b.c1='inception4*.c1'.",
            show_default=False,
        ),
    ] = None,
    gap: Annotated[
        str,
        typer.Option("--gap", metavar="P", help="How far from the best a proof may leave a network of a large space."),
    ] = "1%",
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", help="Draw so many networks in place of all.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="What they are drawn with.")] = 0,
    inputs: options.Input = None,
    batch: options.Batch = None,
    mode: options.Mode = "eval",
    edits: options.Set = None,
    dtype: options.Dtype = "fp32",
    device: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="DEVICE",
            help="The device of layers_s, the roofline's time (see roofline --devices).",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the file of -o where it ended.")] = False,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", help="Processes that count. The rows are the same.")
    ] = 1,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="ADDRESS",
            help="The scheduler of a Dask cluster, whose workers count: tcp://127.0.0.1:8786. The rows are the same.",
            show_default=False,
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            "--measure",
            metavar="latency",
            help="Time the networks of the front that --points has, in turns with the spec itself; latency_s is then "
            "something to minimize.",
            show_default=False,
        ),
    ] = None,
    propose: Annotated[
        int | None,
        typer.Option(
            "--propose",
            metavar="N",
            help="Measure so many networks that Optuna proposes, and no front. With -o FILE.db its journal is "
            "FILE.db.journal.",
            show_default=False,
        ),
    ] = None,
    where_measured: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda[:N]|mps", help="What is measured on.")
    ] = "auto",
    threads: options.Threads = None,
    min_time: Annotated[
        float, typer.Option("--min-time", metavar="SECONDS", help="How long each network is timed, at least.")
    ] = 2.0,
    points: Annotated[
        int,
        typer.Option(
            "--points", metavar="N", help="How many networks of the front the table shows, and --measure times."
        ),
    ] = 16,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.svg|.png", help="A plot of the front.", show_default=False),
    ] = None,
    style: options.Format = "table",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Networks that are kept go into FILE.db (SQLite), .parquet or .csv, a row each; the result into any "
            "other file.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """The best networks of a design space: each argument may take several values, and all networks that this makes are
    counted, or, where they are too many, the best are found and proved.

    Any row becomes a network: gnet-inspect summary FILE.db#17, show FILE.db#17 > variant.yaml.

    What its columns mean: gnet-inspect glossary --of sweep

    Example: gnet-inspect sweep googlenet --vary 'inception4*.c1=96:256:32' --minimize macs --maximize params
    """
    from gnet_inspect.cli.models import need_specs
    from gnet_inspect.cli.output import emit, emit_result, say
    from gnet_inspect.views.tables.sweep import sweep_grid, sweep_rows

    file = output if output is not None and output.suffix.lower() in ENDINGS else None
    result_file = output if file is None else None
    options.table_format(style, result_file)
    if plot is not None:
        from gnet_inspect.views.charts.front import front_form

        form = front_form(plot)
    need_specs([model], "sweep", "whose arguments vary")
    options.positive("--sample", sample)
    options.positive("--workers", workers)
    options.positive("--points", points)
    if cluster is not None and workers > 1:
        raise UsageError("--cluster: expected no --workers, because the cluster's own are taken")
    if resume and file is None:
        raise UsageError(f"--resume: expected -o FILE{' or '.join(ENDINGS)}, which it goes on with")
    _need_numpy(file)
    flags = options.Flags(inputs, batch, mode, edits, True)
    objectives = _objectives(minimize, maximize)
    measuring = Measuring(measure, propose, where_measured, threads, min_time, points)
    measuring.check([each.name for each in objectives], dtype, here=cluster is None)
    result, rows = _swept(
        model,
        flags,
        _Question(
            tuple(vary or ()),
            tuple(ties or ()),
            where,
            objectives,
            _part("--gap", gap),
            sample,
            seed,
            dtype,
            device,
        ),
        file,
        resume,
        workers,
        cluster,
        measuring,
    )
    if plot is not None:
        from gnet_inspect.views.charts.front import draw_front

        emit(draw_front(result, form), plot)
    emit_result(result, style, result_file, lambda: sweep_grid(result, points), lambda: sweep_rows(result))
    if file is not None:
        say(f"{file}: {rows:,} rows")
    if result.interrupted:
        kept = f", which is in {_spool(file)}: --resume goes on" if file is not None else ""
        say(f"interrupted: above is what was counted by then{kept}")
        raise typer.Exit(130)
    if not result.front:
        raise typer.Exit(1)


class _Question(NamedTuple):
    """What the flags ask."""

    vary: tuple[str, ...]
    ties: tuple[str, ...]
    where: str | None
    objectives: "tuple[Objective, ...]"
    gap: float
    sample: int | None
    seed: int
    dtype: str
    device: str | None


def _need_numpy(file: Path | None) -> None:
    from importlib.util import find_spec

    needed = ["numpy"] + (["pyarrow"] if file is not None and file.suffix.lower() == ".parquet" else [])
    for name in needed:
        if find_spec(name) is None:
            raise MissingError(
                f"sweep needs {name}, which is not installed. Install it with: pip install 'gnet-inspect[search]'"
            )


def _objectives(minimize: str | None, maximize: str | None) -> "tuple[Objective, ...]":
    from gnet_inspect.budgets.limits import SHORT
    from gnet_inspect.errors import nearest
    from gnet_inspect.search.result import LATENCY, TOTALS, Objective

    found: list[Objective] = []
    for flag, text, larger in (("--minimize", minimize, False), ("--maximize", maximize, True)):
        for word in options.split_words(text):
            name = SHORT.get(word, word)
            if name not in (*TOTALS, LATENCY):
                raise UsageError(
                    f"{flag}: expected totals, got {word!r}. ({nearest(word, (*TOTALS, LATENCY, *SHORT))})"
                )
            if name in [each.name for each in found]:
                raise UsageError(f"{flag}: expected each total once, got {word!r} again")
            found.append(Objective(name, larger))
    return tuple(found)


def _part(flag: str, text: str) -> float:
    """A percentage, as a part: "1%", "0.3 %", "0.01"."""
    number, percent = text.strip(), text.strip().endswith("%")
    try:
        found = float(number.rstrip("% ")) / (100 if percent else 1)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1:
        raise UsageError(f"{flag}: expected a part from 0 % to 100 %, as 1%, got {text!r}")
    return found


def _swept(
    model: str,
    flags: options.Flags,
    question: _Question,
    file: Path | None,
    resume: bool,
    workers: int,
    address: str | None,
    measuring: Measuring,
) -> "tuple[Sweep, int]":
    """The result, and how many rows the file has."""
    from gnet_inspect.budgets.conditions import parse_condition
    from gnet_inspect.cli.output import say
    from gnet_inspect.graph import Value
    from gnet_inspect.search.counting import Asked
    from gnet_inspect.search.measuring import counted_objectives
    from gnet_inspect.search.program import Setting
    from gnet_inspect.search.result import TOTALS
    from gnet_inspect.search.space import read_space
    from gnet_inspect.search.sweeping import Sweeper
    from gnet_inspect.sources.spec.following import follow_edits
    from gnet_inspect.sources.spec.overrides import parse_overrides
    from gnet_inspect.units import DTYPE_BYTES

    options.one_of("--mode", flags.mode, options.MODES)
    options.one_of("--dtype", question.dtype, tuple(DTYPE_BYTES))
    spec = options.read_model(model)
    shapes = options.read_inputs(spec.inputs, flags.inputs, flags.batch, flags.resize)
    dtypes = {value.name: value.dtype for value in spec.inputs}
    given = tuple(Value(name, tuple(shape), dtypes[name]) for name, shape in shapes.items())
    fixed = parse_overrides(flags.edits or [])
    followed = follow_edits(spec, given, fixed, flags.mode)
    space = read_space(spec, followed.graph, followed.arguments, question.vary, question.ties, fixed)
    condition = parse_condition(question.where, TOTALS) if question.where else None
    found = None
    needed = {each.name for each in question.objectives} | set(condition.names if condition is not None else ())
    if question.device is not None:
        from gnet_inspect.analysis.devices import load_device

        found = load_device(question.device)
    elif "layers_s" in needed:
        raise UsageError("layers_s: expected --on DEVICE, on which that time is. (roofline --devices lists them)")
    counted = counted_objectives(question.objectives, on_device=found is not None)
    asked = Asked(counted, condition, Setting(question.dtype, found), question.sample, question.seed)
    sweeper = Sweeper(space, asked, question.gap, spec.title or spec.name)
    for sentence in sweeper.foretell():
        say(sentence)
    with _cluster(address) as cluster:
        store = None
        if file is not None:
            store = _open_store(file, resume, sweeper, model, flags, question, measuring)
        try:
            result = _answered(sweeper, question, flags.mode, store, _journal(file), workers, cluster, measuring)
            if file is not None and not result.interrupted:
                _write_rows(file, store)
            rows = store.rows if store is not None else 0
        finally:
            if store is not None:
                store.close()
    if file is not None and not result.interrupted and _spool(file) != file:
        _spool(file).unlink()
    return result, rows


def _answered(
    sweeper: "Sweeper",
    question: _Question,
    mode: str,
    store: "Store | None",
    journal: Path | None,
    workers: int,
    cluster: "Cluster | None",
    measuring: Measuring,
) -> "Sweep":
    """What is counted, and what is measured of it."""
    from gnet_inspect.cli.output import say
    from gnet_inspect.cli.progress import show_work
    from gnet_inspect.search.measuring import measure_front, propose

    objectives = question.objectives
    if measuring.propose is None:
        with show_work(1.0) as tell:
            result = sweeper.run(_Talk(tell, say, sweeper.counter.total), store, _runner(workers, cluster))
        if cluster is not None and result.method == "proved":
            say("--cluster: this was proved here; a cluster counts what --sample draws")
        if measuring.measure is None or result.interrupted or not result.front:
            return result
    with measuring.progress() as tell:
        meter = measuring.meter(question.dtype, mode, cluster, tell)
        if measuring.propose is None:
            return measure_front(sweeper, result, objectives, meter, measuring.points, store)
        talk = Talk(say, tell)
        return propose(sweeper, objectives, measuring.propose, meter, talk, measuring.points, store, journal)


@contextmanager
def _cluster(address: str | None) -> "Iterator[Cluster | None]":
    """A connection to the cluster at an address, with what is to be known of it said; None without one."""
    if address is None:
        yield None
        return
    from gnet_inspect.cli.output import say
    from gnet_inspect.search.cluster import Cluster

    with Cluster(address) as cluster:
        for sentence in cluster.differences():
            say(sentence)
        if not cluster.threads:
            say(f"--cluster {address}: no worker is there yet; waiting for one")
        yield cluster


def _runner(workers: int, cluster: "Cluster | None") -> "Run":
    """Who counts."""
    from gnet_inspect.search.runners import run_cluster, run_here, run_processes

    if cluster is not None:
        return lambda counter, indexes: run_cluster(cluster, counter.space, counter.asked, indexes)
    if workers == 1:
        return run_here
    return lambda counter, indexes: run_processes(counter.space, counter.asked, indexes, workers)


class _Talk:
    """Sentences go to standard error, and how far it is to the bar, with how many networks are counted a second."""

    def __init__(self, tell: Any, say: Any, total: int) -> None:
        self._tell, self.say, self._total = tell, say, total
        self._started, self._done = perf_counter(), 0.0

    def tell(self, amount: float, what: str) -> None:
        """So much of it is done, and what is said of that."""
        self._done += amount
        rate = self._done * self._total / max(perf_counter() - self._started, 1e-9)
        self._tell(amount, f"{what}, {count(round(rate))} a second" if what else "")


def _open_store(
    file: Path, resume: bool, sweeper: Any, model: str, flags: options.Flags, question: _Question, measuring: Measuring
) -> Any:
    from gnet_inspect.search.store import Store

    if model == "-":
        raise UsageError(
            f"-o {file}: expected a spec that has a name, got one on standard input, which rows cannot name"
        )
    text, name = options.read_text(model)
    asked = {
        "spec": text.decode("utf-8-sig"),
        "file": name,
        "input": {value.name: list(value.shape) for value in sweeper.space.inputs},
        "mode": flags.mode,
        "set": list(flags.edits or ()),
        "where": question.where or "",
        "objectives": [[each.name, each.maximize] for each in question.objectives],
        "gap": question.gap,
        "sample": question.sample,
        "seed": question.seed,
        "dtype": question.dtype,
        "device": question.device or "",
    }
    if measuring.propose is not None:
        # Its rows are those that were measured.
        asked["measure"] = measuring.measure
    return Store(_spool(file), sweeper.space, sweeper.asked.names, asked, resume)


def _spool(file: Path) -> Path:
    """The database that rows are counted into: the file itself, or one beside it until it is written."""
    return file if file.suffix.lower() == ".db" else file.with_name(f"{file.name}.part.db")


def _journal(file: Path | None) -> Path | None:
    """What Optuna keeps of its trials; a file of another kind has no room beside it to go on from."""
    return None if file is None or file != _spool(file) else file.with_name(f"{file.name}.journal")


def _write_rows(file: Path, store: Any) -> None:
    """Rows that were counted as CSV or Parquet."""
    from gnet_inspect.search.store import write_csv, write_parquet

    if file.suffix.lower() == ".csv":
        write_csv(store, file)
    elif file.suffix.lower() == ".parquet":
        write_parquet(store, file)
