"""Design spaces: beside Optuna with fvcore on the same question, and what bounds a search on a cluster.

`python -m benchmarks.search --save` keeps what docs/clusters.md quotes.
"""

import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from benchmarks import spaces
from benchmarks.measure import HEADER, Ratio, milliseconds, run_once
from gnet_inspect.units import duration

RESULTS = Path(__file__).with_name("search.txt")
# The most parameters at no more than so many MACs, of 349,920 GoogLeNets.
VARIED = (
    *(f"inception4{letter}.c1=96:256:32" for letter in "abcde"),
    "inception5a.c1=128:256:16",
    "inception5b.c1=128:256:32",
)
MOST_MACS = 1_580_000_000
TRIALS = 100
# Tasks that do nothing: what is left is the scheduler.
TASKS = 2_000
# What is asked on paper: so many measured candidates on so many machines.
CANDIDATES, MACHINES = 10**12, 1_000
YEAR_S = 365.25 * 86_400


class Answer(NamedTuple):
    """The most parameters that were found, in so many seconds, and of how many networks."""

    params: int
    seconds: float
    networks: int


class Costs(NamedTuple):
    """What one candidate costs: seconds of the scheduler for a task, bytes of the file for a row, seconds of a
    processor to be counted, seconds of a device to be measured, and the median of a run there."""

    task_s: float
    row_bytes: float
    counted_s: float
    measured_s: float
    run_s: float


def measure() -> list[Ratio]:
    """The same question to Optuna with fvcore, in seconds and in parameters."""
    with tempfile.TemporaryDirectory() as folder:
        ours = _sweep(Path(folder, "all.db"))
    theirs = _optuna()
    _say(f"{ours.networks:,} networks in {ours.seconds:.1f} s: {ours.params:,} parameters, and none has more")
    _say(f"{theirs.networks:,} trials of Optuna with fvcore in {theirs.seconds:.1f} s: {theirs.params:,} parameters")
    return [
        Ratio(
            f"{TRIALS} trials of Optuna and fvcore / sweep of all",
            milliseconds(ours.seconds),
            milliseconds(theirs.seconds),
            theirs.seconds / ours.seconds,
            "at least",
            1,
        ),
        Ratio(
            "params that these find at most / the most there are",
            f"{ours.params / 1e6:.3f} M",
            f"{theirs.params / 1e6:.3f} M",
            theirs.params / ours.params,
            "at most",
            1,
        ),
    ]


def _command(*more: str) -> list[str]:
    varied = [part for item in VARIED for part in ("--vary", item)]
    return [sys.executable, "-m", "gnet_inspect", "sweep", "googlenet", *varied, *more]


def _sweep(file: Path) -> Answer:
    """All networks of the space, counted by the command, with a row of the file for each that is within the limit."""
    import sqlite3
    from contextlib import closing

    limit = ("--where", f"macs <= {MOST_MACS}", "--maximize", "params")
    cost = run_once(_command(*limit))
    run_once(_command(*limit, "-o", str(file)))
    with closing(sqlite3.connect(file)) as db:
        most = db.execute("SELECT max(params) FROM candidates").fetchone()[0]
    return Answer(most, cost.seconds, _networks())


def _networks() -> int:
    """How many the space has."""
    from math import prod

    ranges = (tuple(map(int, item.split("=")[1].split(":"))) for item in VARIED)
    return prod((high - low) // step + 1 for low, high, step in ranges)


def _optuna() -> Answer:
    """As its tutorial does it: a module for each trial, which fvcore runs once to count it (it cannot on meta)."""
    import optuna
    import torch
    from fvcore.nn.flop_count import FlopCountAnalysis

    from gnet_inspect import build_graph, build_module, load_spec
    from gnet_inspect.sources.spec.overrides import parse_overrides

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Threads that wait for each other on a machine that does other work would be charged to the peer.
    torch.set_num_threads(1)
    spec = load_spec("googlenet")
    ranges = {path: tuple(map(int, text.split(":"))) for path, text in (item.split("=") for item in VARIED)}
    best = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal best
        chosen = {path: trial.suggest_int(path, low, high, step=step) for path, (low, high, step) in ranges.items()}
        overrides = parse_overrides([f"{path}={value}" for path, value in chosen.items()])
        module = build_module(build_graph(spec, overrides=overrides)).eval()
        flops = FlopCountAnalysis(module, torch.zeros(1, 3, 224, 224))
        macs = int(flops.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())
        params = sum(parameter.numel() for parameter in module.parameters())
        trial.set_constraint("macs", macs - MOST_MACS)
        if macs <= MOST_MACS:
            best = max(best, params)
        return params

    start = time.perf_counter()
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=TRIALS)
    return Answer(best, time.perf_counter() - start, TRIALS)


def costs() -> Costs:
    """What a candidate costs here, of all that bounds a search of many machines."""
    import sqlite3
    from contextlib import closing

    from gnet_inspect.search.result import size_text

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "all.db")
        cost = run_once(_command("--minimize", "macs", "--maximize", "params", "-o", str(file)))
        with closing(sqlite3.connect(file)) as db:
            rows = db.execute("SELECT count(*) FROM candidates").fetchone()[0]
        size = file.stat().st_size
    _say(f"{size_text(rows)} rows, {size:,} bytes, {cost.seconds:.1f} s")
    measured_s, run_s = _measured()
    return Costs(_task_seconds(), size / rows, cost.seconds / rows, measured_s, run_s)


def _task_seconds() -> float:
    """A task that does nothing, on two workers of this machine, with as many under way as a sweep has."""
    from distributed import LocalCluster

    from gnet_inspect.search.cluster import Cluster
    from gnet_inspect.search.runners import AHEAD, in_order

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,  # type: ignore[no-untyped-call]
        Cluster(local.scheduler_address) as cluster,
    ):

        def run(number: int) -> float:
            start = time.perf_counter()
            for _ in in_order(lambda index: cluster.submit(abs, index), range(number), lambda: AHEAD * 2):
                pass
            return (time.perf_counter() - start) / number

        run(TASKS // 10)
        return run(TASKS)


def _measured() -> tuple[float, float]:
    """The seconds that measuring GoogLeNet takes, warming up with it, and the median of its runs."""
    from gnet_inspect import build_graph, load_spec
    from gnet_inspect.cli.measuring import time_in_turns

    graph = build_graph(load_spec("googlenet"))
    start = time.perf_counter()
    times = time_in_turns([graph], device="cpu", dtype="fp32", mode="eval", threads=1, min_time=2.0)
    return time.perf_counter() - start, times.seconds[0]


def bounds(found: Costs) -> list[str]:
    """What each of them makes of so many candidates on so many machines."""
    stored = f"{found.row_bytes * CANDIDATES / 1e12:,.1f} TB"
    return [
        f"{'what bounds it':<34}{'of one candidate':>18}{f'of {CANDIDATES:.0e} on {MACHINES:,} machines':>32}",
        _line("devices: measuring a GoogLeNet", found.measured_s, MACHINES),
        _line("  of which one run", found.run_s, MACHINES),
        _line("one scheduler: a task", found.task_s, 1),
        f"{'one file: a row':<34}{f'{found.row_bytes:.1f} bytes':>18}{stored:>32}",
        _line("a processor: counting and storing", found.counted_s, MACHINES),
    ]


def _line(what: str, seconds: float, machines: int) -> str:
    each = duration(seconds)
    total = CANDIDATES * seconds / machines
    told = f"{total / YEAR_S:,.1f} years" if total > YEAR_S else f"{total / 3600:,.1f} hours"
    return f"{what:<34}{each:>18}{told:>32}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """The report on standard output; 1 where a budget is broken."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    machine = f"{system}, {os.cpu_count()} processors at a load of {os.getloadavg()[0]:.1f}"
    ratios = [*spaces.measure(), *measure()]
    lines = [f"{datetime.now(UTC):%Y-%m-%d}, {machine}", "", HEADER, *map(str, ratios), "", *bounds(costs())]
    print(*lines, sep="\n")
    if "--save" in sys.argv[1:]:
        RESULTS.write_text("\n".join(lines) + "\n")
    return 0 if all(ratio.kept for ratio in ratios) else 1


if __name__ == "__main__":
    sys.exit(main())
