"""A worker: reads jobs, one on a line, and answers each on a line; `python -m gnet_inspect.serving.worker`."""

import gc
import os
import sys
from contextlib import suppress

import msgspec

from gnet_inspect.serving.answers import answer
from gnet_inspect.serving.messages import Answer, Job, Wrong


def work() -> None:
    """Until standard input ends. What a library prints must not come between the answers: it goes to standard error."""
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    read, write = msgspec.json.Decoder(Job), msgspec.json.Encoder()
    # What was there at the start stays: only what jobs make is looked through for cycles.
    gc.freeze()
    # The server was ended: nobody is left to be told.
    with suppress(BrokenPipeError, KeyboardInterrupt):
        for line in jobs:
            answers.write(write.encode(_safe(read.decode(line))) + b"\n")
            answers.flush()


def _safe(job: Job) -> Answer:
    """A defect ends one answer, not the worker."""
    try:
        return answer(job)
    except Exception as error:
        return Wrong(f"a defect of gnet-inspect: {type(error).__name__}: {error}", "the numbers are those of before")


if __name__ == "__main__":
    work()
