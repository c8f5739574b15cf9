"""A worker as the server has it: a child process that is asked one job at a time, and ended where it takes too long."""

import asyncio
import os
import sys
from contextlib import suppress

import msgspec

from gnet_inspect.serving.messages import Answer, Job, Wrong

# In seconds. The largest network that a spec can say is counted in three; a picture of 2,000 boxes takes one.
LIMIT = 15.0
# An answer of a large picture is some megabytes on one line.
MOST_BYTES = 64_000_000
_COMMAND = (sys.executable, "-P", "-m", "gnet_inspect.serving.worker")


class Worker:
    """Asks a child process, and starts another one where that ended or had to be ended."""

    def __init__(self, limit: float = LIMIT, command: tuple[str, ...] = _COMMAND) -> None:
        self._limit, self._command = limit, command
        self._process: asyncio.subprocess.Process | None = None
        self._busy = asyncio.Lock()
        self._decoder = msgspec.json.Decoder(Answer)

    @property
    def pid(self) -> int | None:
        """Of the process that works now."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start the process before it is needed."""
        async with self._busy:
            await self._started()

    async def ask(self, job: Job) -> Answer:
        """The answer to a job; what has no answer in time is answered with that."""
        async with self._busy:
            process = await self._started()
            try:
                line = await asyncio.wait_for(self._exchange(process, job), self._limit)
            except TimeoutError:
                await self._end()
                return Wrong(
                    f"expected a network that is counted and drawn within {self._limit:g} s, got one that was not",
                    "the numbers and the picture are those of before",
                )
            except OSError:
                line = b""
            except BaseException:
                # Nobody waits any more: what the process still says would be taken for the next answer.
                await self._end()
                raise
            if not line.endswith(b"\n"):
                # It ended before its answer did.
                await self._end()
                return Wrong(
                    "expected a network that fits into memory, got one that ended the process that counts",
                    "the numbers and the picture are those of before",
                )
            answer: Answer = self._decoder.decode(line)
            return answer

    async def close(self) -> None:
        """End the process."""
        async with self._busy:
            await self._end()

    async def _exchange(self, process: asyncio.subprocess.Process, job: Job) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        await process.stdin.drain()
        return await process.stdout.readline()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            path = os.pathsep.join(path or os.getcwd() for path in sys.path)
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=MOST_BYTES,
                # Ctrl-C is the server's to answer.
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": path},
            )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
