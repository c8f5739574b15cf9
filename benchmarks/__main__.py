"""Run every benchmark and print the report; `--save` keeps it in benchmarks/results.txt, which the README quotes."""

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import editing, growing, latency, module, search, spaces, startup, tracing, training
from benchmarks.measure import HEADER

RESULTS = Path(__file__).with_name("results.txt")


def main() -> int:
    """The report on standard output; 1 where a budget is broken."""
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, torch {version('torch')}"
    lines = [f"{datetime.now(UTC):%Y-%m-%d}, {machine}", "", HEADER]
    print(*lines, sep="\n", flush=True)
    kept = True
    for part in (startup, growing, spaces, editing, tracing, module, latency, search, training):
        for ratio in part.measure():
            kept &= ratio.kept
            lines.append(str(ratio))
            print(ratio, flush=True)
    if "--save" in sys.argv[1:]:
        RESULTS.write_text("\n".join(lines) + "\n")
    return 0 if kept else 1


sys.exit(main())
