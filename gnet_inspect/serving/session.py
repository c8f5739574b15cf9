"""One tab: what it says, and what it is told. Of texts that come faster than they are counted, all but the last are
skipped; so are pictures of texts that are no more."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from msgspec.structs import replace

from gnet_inspect.errors import GnetError
from gnet_inspect.language import catalogue, spec_text
from gnet_inspect.serving.files import ChangedError, Opened
from gnet_inspect.serving.messages import (
    VIEWS,
    Ask,
    Choose,
    Counted,
    Drawn,
    Edit,
    Found,
    Hello,
    Job,
    Request,
    Said,
    Save,
    Saved,
    Select,
    View,
    Wrong,
)
from gnet_inspect.serving.workers import Worker

Send = Callable[[bytes], Awaitable[None]]
_REQUESTS = msgspec.json.Decoder(Request)


class Session:
    """Answers one tab. `job` holds what all its questions have in common: the setting, and what commands are told with;
    `others` are the texts of the models that may be chosen beside those of the catalogue."""

    def __init__(
        self, opened: Opened, job: Job, others: dict[str, str], counter: Worker, drawer: Worker, send: Send
    ) -> None:
        self.opened, self.others = opened, others
        self.counter, self.drawer, self._send = counter, drawer, send
        self.job = replace(job, start=opened.text, text=opened.text, saved="" if opened.is_new else opened.text)
        self.number = 0
        # The last text that was a network, by the number of its edit; None before there is one.
        self.good: tuple[int, str] | None = None
        # How the picture is seen: nothing is drawn before the page says how much room it has.
        self.view: View | None = None
        # The text of the picture that is seen.
        self._drawn = ""
        self.selected: Select | None = None
        self._asked: set[asyncio.Task[None]] = set()
        self._edited, self._viewed, self._pointed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def hello(self, version: str) -> Hello:
        """What the page begins with."""
        opened = self.opened
        models = [*self.others, *(name for name in catalogue() if name not in self.others)]
        chosen = self.job.other[0] if self.job.other is not None else ""
        is_named = opened.path is not None
        is_file = is_named and not opened.is_new
        return Hello(opened.name, opened.text, is_named, is_file, str(opened.folder), models, chosen, version)

    async def run(self, receive: Callable[[], Awaitable[bytes | None]]) -> None:
        """Until the tab is closed, which `receive` tells by None."""
        loops = [asyncio.create_task(loop()) for loop in (self._count, self._draw, self._point)]
        self._edited.set()
        try:
            while (message := await receive()) is not None:
                await self._meet(_REQUESTS.decode(message))
        finally:
            tasks = [*loops, *self._asked]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _meet(self, request: Request) -> None:
        if isinstance(request, Edit):
            self.number, self.job = request.number, replace(self.job, text=request.text)
            self._edited.set()
        elif isinstance(request, View):
            self.view = request if request.depth in VIEWS else View()
            self._viewed.set()
        elif isinstance(request, Select):
            self.selected = request
            self._pointed.set()
        elif isinstance(request, Ask):
            # What comes next is not kept waiting for it.
            asked = asyncio.create_task(self._complete(request))
            self._asked.add(asked)
            asked.add_done_callback(self._asked.discard)
        elif isinstance(request, Save):
            await self._say(self._saved(request))
        elif isinstance(request, Choose):
            self.job = replace(self.job, other=self._other(request.model))
            self._edited.set()
        else:
            self.job = replace(self.job, start=request.text)
            self._edited.set()

    async def _complete(self, request: Ask) -> None:
        job = replace(self.job, do="complete", text=request.text, offset=request.offset)
        await self._say(Said(request.number, await self.counter.ask(job)))

    async def _count(self) -> None:
        while True:
            await self._edited.wait()
            self._edited.clear()
            number, job = self.number, replace(self.job, do="count")
            answer = await self.counter.ask(job)
            await self._say(Said(number, answer))
            if isinstance(answer, Counted):
                self.good = number, job.text
                self._viewed.set()
                self._pointed.set()

    async def _draw(self) -> None:
        while True:
            await self._viewed.wait()
            self._viewed.clear()
            if self.good is None or self.view is None:
                continue
            number, text = self.good
            answer = await self.drawer.ask(replace(self.job, do="draw", text=text, view=self.view))
            if isinstance(answer, Wrong):
                # The text was counted: what took too long is its picture.
                answer = Drawn(note=answer.fact)
            await self._say(Said(number, answer))
            self._drawn = text

    async def _point(self) -> None:
        while True:
            await self._pointed.wait()
            self._pointed.clear()
            at = self.selected
            if self.good is None or at is None:
                continue
            number, text = self.good
            if at.layers and self._drawn != text:
                # Layers have the numbers of the picture that is seen.
                at = await self._named(at)
            found = await self.counter.ask(replace(self.job, do="find", text=text, at=at))
            await self._say(Said(number, found))
            if isinstance(found, Found) and found.path and not self._pointed.is_set():
                # From here on by its path: layers have other numbers after the next edit.
                self.selected = Select(found.path)

    async def _named(self, at: Select) -> Select:
        """The part of the picture that is seen, by its path."""
        found = await self.counter.ask(replace(self.job, do="find", text=self._drawn, at=at))
        return Select(found.path) if isinstance(found, Found) else Select()

    def _saved(self, request: Save) -> Saved:
        opened = self.opened
        try:
            if request.name:
                opened.save_as(request.name, request.text, overwrite=request.overwrite)
            else:
                opened.save(request.text, overwrite=request.overwrite)
        except ChangedError as error:
            return Saved(request.name or opened.name, request.text, str(error), asks=True)
        except GnetError as error:
            return Saved(request.name or opened.name, request.text, str(error))
        self.job = replace(self.job, file=opened.name, model=str(opened.path), saved=request.text)
        self._edited.set()
        return Saved(opened.name, request.text)

    def _other(self, name: str) -> tuple[str, str] | None:
        """A model of the catalogue, or one that the command line named: no other file is read."""
        if name in self.others:
            return name, self.others[name]
        if name not in catalogue():
            return None
        return name, spec_text(name)[0].decode()

    async def _say(self, message: msgspec.Struct) -> None:
        await self._send(msgspec.json.encode(message))
