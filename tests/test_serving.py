"""The live editor's server: whom it answers, what it reads and writes, and what it does with texts that take long."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import msgspec
import pytest

from gnet_inspect.budgets.limits import parse_limit
from gnet_inspect.cli.output import write_whole
from gnet_inspect.errors import SpecError, UsageError
from gnet_inspect.language import spec_text
from gnet_inspect.serving.answers import MOST_ROWS, answer
from gnet_inspect.serving.files import ChangedError, Opened, digest_of
from gnet_inspect.serving.messages import Answer, Counted, Drawn, Found, Job, Offered, Select, View, Wrong
from gnet_inspect.serving.session import Session
from gnet_inspect.serving.workers import Worker
from tests.conftest import Run

for package in ("starlette", "uvicorn", "websockets"):
    pytest.importorskip(package, reason=f"the live editor needs {package}")

from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

import gnet_inspect.serving.page  # noqa: E402
from gnet_inspect.serving.app import Guard, bind  # noqa: E402

GOOGLENET = spec_text("googlenet")[0].decode()
SMALL = "name: small\ninput: [3, 8, 8]\nstages:\n  main:\n    a: {Conv2d: {out_channels: 4, kernel_size: 3}}\n"
BUILT = (Path(gnet_inspect.serving.page.__file__).parent / "editor.js").is_file()

needs_page = pytest.mark.skipif(not BUILT, reason="the page's script was not built (make editor)")


# --- what a worker answers ---


def job(do: str = "count", text: str = GOOGLENET, **more: Any) -> Job:
    return Job(do, text, "t.yaml", **more)


def counted(found: Answer) -> Counted:
    assert isinstance(found, Counted), found
    return found


def test_a_text_is_counted_beside_the_start() -> None:
    """Figures with their changes, rows that add up to the total, marks, and the command that prints the same."""
    now = GOOGLENET.replace("c1:  64, c2: [ 96, 128]", "c1:  64, c2: [ 96, 256]")
    found = counted(answer(job(text=now, start=GOOGLENET, model="googlenet", saved=GOOGLENET)))
    figures = {figure.key: figure for figure in found.figures}
    params = 6_998_552 + 128 * (9 * 96 + 1) + 128 * (128 + 128 + 32 + 64)
    assert figures["params"].exact == f"{params:,}"
    assert (figures["params"].now, figures["params"].was) == ("7.15 M", "7.00 M")
    assert (figures["params"].direction, figures["receptive_field"].direction) == ("more", "same")
    assert found.command == "gnet-inspect summary googlenet --set inception3a.c2.1=256"
    marks = {row.path: row.mark for row in found.rows if row.mark}
    assert marks == {"inception3": "changed", "inception3a": "changed", "inception3b": "affected"}
    assert found.rows[-1].cells[0] == "total"
    assert [change.name for change in found.changes] == ["inception3a", "inception3b"]


def test_the_command_is_of_what_the_file_has() -> None:
    """Not of the start, which may be another text; a file that nobody has written yet has none."""
    now = GOOGLENET.replace("c1:  64, c2: [ 96, 128]", "c1:  64, c2: [ 96, 256]")
    found = counted(answer(job(text=now, start=now, model="googlenet", saved=GOOGLENET)))
    assert found.command == "gnet-inspect summary googlenet --set inception3a.c2.1=256"
    assert counted(answer(job(text=now, start=GOOGLENET, model="mine.yaml", saved=now))).command == (
        "gnet-inspect summary mine.yaml"
    )
    for saved in ("", "name: x"):
        assert counted(answer(job(text=now, start=now, model="new.yaml", saved=saved))).command == ""


def test_another_model_stands_beside_it() -> None:
    """At its own input; one that is no network says so, and the text is counted all the same."""
    other = spec_text("resnet50")[0].decode()
    found = counted(answer(job(other=("resnet50", other)))).beside
    assert found is not None
    assert [(figure.now, figure.percent) for figure in found.figures[:2]] == [
        ("25.56 M", "0.274 x"),
        ("4.09 G", "0.387 x"),
    ]
    wrong = counted(answer(job(other=("x", "name: x")))).beside
    assert wrong is not None
    assert "expected" in wrong.wrong


def test_limits_of_the_project_are_lights() -> None:
    """Kept, broken, and what is said to whoever breaks one."""
    limits = ((parse_limit("params", "<= 7 M"), "smaller"), (parse_limit("field", ">= 1000"), ""))
    lights = counted(answer(job(limits=limits))).lights
    assert [(light.words, light.now, light.state, light.message) for light in lights] == [
        ("parameters <= 7.00 M", "7.00 M", "kept", "smaller"),
        ("receptive field >= 1000", "907", "broken", ""),
    ]


def test_a_start_that_was_no_network_has_nothing_to_tell_against() -> None:
    """Nothing is marked, and nothing stops."""
    found = counted(answer(job(start="name: x")))
    assert not found.marks


def test_a_text_that_is_no_network_is_answered_with_its_mistake() -> None:
    """Whatever was asked of it, but for words."""
    for do in ("count", "draw", "find"):
        found = answer(job(do, text=GOOGLENET.replace("classes: 1000", "classes: x")))
        assert isinstance(found, Wrong)
        assert found.place is not None
    assert isinstance(answer(job("complete", text="na", offset=2)), Offered)


def test_pictures_at_each_depth_and_of_an_opened_block() -> None:
    """Each with its size and its legend; a network of too many boxes says that instead."""
    boxes = {}
    for depth, opened in (("stage", ""), ("block", ""), ("block", "inception4a"), ("layer", "")):
        found = answer(job("draw", view=View(depth, opened)))
        assert isinstance(found, Drawn)
        assert found.width > 0
        boxes[depth, opened] = found.svg.count('class="box ')
        assert "style=" not in found.svg
        assert "<script" not in found.svg
    assert list(boxes.values()) == sorted(boxes.values())
    # Equal layers would be drawn once.
    layers = "".join(
        f"    a{index}: {{Conv2d: {{out_channels: {index}, kernel_size: 1}}}}\n" for index in range(1, 2100)
    )
    large = f"name: t\ninput: [3, 8, 8]\nstages:\n  main:\n{layers}"
    found = answer(job("draw", text=large, view=View("layer")))
    assert isinstance(found, Drawn)
    assert not found.svg
    assert found.note.startswith("A diagram can show")


def test_a_table_of_many_rows_is_cut() -> None:
    """With the number of those that are left out."""
    layers = "".join(f"    a{index}: ReLU\n" for index in range(1500))
    text = f"name: t\ninput: [3, 8, 8]\nstages:\n  main:\n{layers}"
    found = counted(answer(job(text=text)))
    assert (len(found.rows), found.left_rows) == (MOST_ROWS, 1502 - MOST_ROWS)


def test_a_part_is_found_three_ways() -> None:
    """By its path, the layers of its box, and a place in the text."""
    by_path = answer(job("find", at=Select("inception3a")))
    assert isinstance(by_path, Found)
    assert by_path == answer(job("find", at=Select(layers=tuple(by_path.layers))))
    assert by_path.place is not None
    assert by_path == answer(job("find", at=Select(line=by_path.place.line, column=by_path.place.column)))
    assert dict(by_path.facts)["output"] == "1x256x28x28"
    assert answer(job("find", at=Select("nobody"))) == Found()


def test_strange_words_are_shown_as_text() -> None:
    """Names with marks of HTML and of terminals: nothing of them is an element."""
    text = SMALL.replace("name: small", 'name: "<img src=x onerror=alert(1)>\\e[31m"')
    found = counted(answer(job(text=text)))
    assert "\x1b" not in found.title
    drawn = answer(job("draw", text=text))
    assert isinstance(drawn, Drawn)
    assert "<img" not in drawn.svg


# --- files ---


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL)
    return Opened("mine.yaml", SMALL, path, tmp_path, write_whole, digest_of(SMALL.encode()))


def test_saving_writes_the_file(opened: Opened) -> None:
    """As it is typed, again and again."""
    assert opened.path is not None
    for text in (SMALL + "# é\n", SMALL):
        opened.save(text)
        assert opened.path.read_text() == text


def test_what_somebody_else_wrote_is_not_overwritten_unasked(opened: Opened) -> None:
    """Another program, or another tab; asked for again, it is."""
    assert opened.path is not None
    opened.path.write_text("theirs")
    with pytest.raises(ChangedError, match="changed by another program"):
        opened.save(SMALL)
    assert opened.path.read_text() == "theirs"
    opened.save(SMALL, overwrite=True)
    assert opened.path.read_text() == SMALL
    opened.path.unlink()
    opened.save(SMALL)
    assert opened.path.read_text() == SMALL


def test_a_new_file_that_somebody_else_wrote_first_is_not_overwritten_unasked(tmp_path: Path) -> None:
    """Two tabs of a file that was not there; nor is one that is saved as itself."""
    new = Opened("new.yaml", SMALL, tmp_path / "new.yaml", tmp_path, write_whole)
    mine, theirs = new.again(), new.again()
    assert mine.is_new
    theirs.save("theirs")
    for save in (mine.save, lambda text: mine.save_as("new", text)):
        with pytest.raises(ChangedError, match=r"new\.yaml was written by another"):
            save(SMALL)
    assert (tmp_path / "new.yaml").read_text() == "theirs"
    assert mine.save_as("new", SMALL, overwrite=True) == "new.yaml"
    assert not mine.is_new
    assert (tmp_path / "new.yaml").read_text() == SMALL


def test_what_cannot_be_written_says_so_without_a_flag(opened: Opened) -> None:
    """Nobody gave one."""
    opened.folder = opened.folder / "gone"
    with pytest.raises(UsageError, match=r"^cannot write "):
        opened.save_as("x", SMALL)


def test_saving_under_another_name(opened: Opened, tmp_path: Path) -> None:
    """Beside it, with the ending of a spec; from then on that is the file."""
    first = opened.path
    assert opened.save_as("other", "a: 1\n") == "other.yaml"
    assert (tmp_path / "other.yaml").read_text() == "a: 1\n"
    opened.save("a: 2\n")
    assert (tmp_path / "other.yaml").read_text() == "a: 2\n"
    assert first is not None
    assert first.read_text() == SMALL
    with pytest.raises(ChangedError, match="is there already"):
        opened.save_as("mine.yaml", "a: 3\n")
    assert first.read_text() == SMALL
    opened.save_as("mine.yaml", "a: 3\n", overwrite=True)
    assert first.read_text() == "a: 3\n"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../x",
        "../x.yaml",
        "/etc/passwd",
        "a/b.yaml",
        "a\\b",
        ".hidden",
        "~/x",
        "x\x00",
        "x\n",
        "é",
        "C:x",
        "a" * 300,
    ],
)
def test_a_path_outside_is_refused(opened: Opened, tmp_path: Path, name: str) -> None:
    """Nothing is written anywhere."""
    before = sorted(tmp_path.parent.rglob("*"))
    with pytest.raises(UsageError, match="expected"):
        opened.save_as(name, "a: 1\n")
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_link_that_leads_elsewhere_is_refused(opened: Opened, tmp_path: Path) -> None:
    """Whether what it leads to is there or not; so is a folder."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside.yaml"
    outside.write_text("theirs")
    (tmp_path / "link.yaml").symlink_to(outside)
    (tmp_path / "dangling.yaml").symlink_to(tmp_path.parent / "nothing.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("link.yaml", "dangling.yaml", "folder.yaml"):
        with pytest.raises(UsageError, match="expected a file"):
            opened.save_as(name, "a: 1\n", overwrite=True)
    assert outside.read_text() == "theirs"
    assert not (tmp_path.parent / "nothing.yaml").exists()


def test_what_is_no_file_has_to_be_named(tmp_path: Path) -> None:
    """A built-in model; half a character and too long a text are refused, too."""
    built_in = Opened("googlenet", SMALL, None, tmp_path, write_whole)
    with pytest.raises(UsageError, match="expected a name"):
        built_in.save(SMALL)
    for text in ("\ud800", "#" * 2_000_001):
        with pytest.raises(UsageError, match="expected"):
            built_in.save_as("x", text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [SMALL.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + SMALL.encode()])
def test_a_file_keeps_its_ends_of_lines_and_its_mark(opened: Opened, content: bytes) -> None:
    """The text of the page has one way to end a line, and is what the file has as long as nobody types."""
    assert opened.path is not None
    opened.path.write_bytes(content)
    tab = opened.again()
    assert tab.text == SMALL
    tab.save(SMALL)
    assert opened.path.read_bytes() == content
    tab.save(SMALL + "# more\n")
    assert opened.path.read_bytes() == content + (b"# more\r\n" if b"\r" in content else b"# more\n")


def test_a_file_that_is_not_there_yet_is_no_file_and_has_a_name(tmp_path: Path) -> None:
    """What it holds is not saved, and can be."""
    opened = Opened("new.yaml", SMALL, tmp_path / "new.yaml", tmp_path, write_whole)
    session = Session(opened, job(), {}, Worker(), Worker(), None)  # type: ignore[arg-type]  # nothing is sent
    hello = session.hello("1")
    assert (hello.is_named, hello.is_file) == (True, False)
    opened.save(SMALL)
    hello = session.hello("1")
    assert (hello.is_named, hello.is_file) == (True, True)


def test_each_tab_reads_the_file_anew(opened: Opened) -> None:
    """And is refused where that is no text."""
    assert opened.path is not None
    opened.path.write_text("theirs: 1\n")
    tab = opened.again()
    assert (tab.text, opened.text) == ("theirs: 1\n", SMALL)
    tab.save("mine: 1\n")
    opened.path.write_bytes(b"\xff")
    with pytest.raises(SpecError, match="UTF-8"):
        opened.again()


# --- workers ---


def run_async(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        # Far above what anything here takes: a test ends.
        await asyncio.wait_for(work(), 120)

    asyncio.run(bounded())


def silent_worker(code: str, limit: float) -> Worker:
    return Worker(limit, (sys.executable, "-c", code))


def test_a_worker_answers_one_job_after_the_other() -> None:
    """From one process; what takes too long ends that process and nothing else."""

    async def work() -> None:
        worker = Worker()
        first = await worker.ask(job())
        pid = worker.pid
        second = await worker.ask(job(text="name: x"))
        assert isinstance(first, Counted)
        assert isinstance(second, Wrong)
        assert worker.pid == pid
        await worker.close()
        assert isinstance(await worker.ask(job()), Counted)
        assert worker.pid != pid
        await worker.close()

    run_async(work)


@pytest.mark.parametrize(
    ("code", "limit", "fact"),
    [
        ("import time\nwhile True: time.sleep(1)", 0.01, "within 0.01 s"),
        ("import os; os._exit(9)", 60, "ended the process"),
        ("import sys; sys.stdin.readline(); sys.exit(1)", 60, "ended the process"),
        ("import os; os.write(1, b'{\"is\":'); os._exit(9)", 60, "ended the process"),
    ],
)
def test_a_worker_that_does_not_answer_is_ended(code: str, limit: float, fact: str) -> None:
    """By the time limit, by itself; no process is left, and the next job has a new one."""

    async def work() -> None:
        worker = silent_worker(code, limit)
        pids = []
        for _ in range(2):
            await worker.start()
            pids.append(worker.pid)
            found = await worker.ask(job())
            assert isinstance(found, Wrong)
            assert fact in found.fact
            assert worker.pid is None
        assert pids[0] != pids[1]

    run_async(work)


def test_a_question_that_nobody_waits_for_leaves_no_answer_behind() -> None:
    """A tab that is closed while its text is counted: the next tab gets its own answer."""

    async def work() -> None:
        worker = Worker()
        await worker.start()
        asked = asyncio.create_task(worker.ask(job()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert isinstance(await worker.ask(job(text="name: x")), Wrong)
        await worker.close()

    run_async(work)


# --- a tab ---


class Gate:
    """A worker whose answers come when the test lets them."""

    def __init__(self) -> None:
        self.asked: list[Job] = []
        self.open = asyncio.Semaphore(0)
        self.met = asyncio.Event()

    async def ask(self, asked: Job) -> Answer:
        self.asked.append(asked)
        self.met.set()
        await self.open.acquire()
        return answer(asked)


def test_of_texts_that_come_faster_than_they_are_counted_the_last_is(tmp_path: Path) -> None:
    """While the first is counted a hundred come: one more is counted; pictures are drawn of what is a network."""

    async def work() -> None:
        counter, drawer = Gate(), Gate()
        sent: list[dict[str, Any]] = []
        told = asyncio.Event()

        async def send(content: bytes) -> None:
            sent.append(json.loads(content))
            told.set()

        requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        opened = Opened("mine.yaml", SMALL, None, tmp_path, write_whole)
        session = Session(opened, job(), {}, counter, drawer, send)  # type: ignore[arg-type]  # gates, not workers
        await requests.put(msgspec.json.encode({"is": "view"}))
        running = asyncio.create_task(session.run(requests.get))
        await counter.met.wait()
        for number in range(1, 101):
            text = SMALL.replace("out_channels: 4", f"out_channels: {number}")
            await requests.put(msgspec.json.encode({"is": "edit", "number": number, "text": text}))
        while session.number < 100:
            await asyncio.sleep(0)
        counter.met.clear()
        counter.open.release()
        await counter.met.wait()
        assert len(counter.asked) == 2
        assert "out_channels: 100" in counter.asked[1].text
        counter.open.release()
        drawer.open.release()
        drawer.open.release()
        while not any(message.get("number") == 100 and message["answer"]["is"] == "drawn" for message in sent):
            told.clear()
            await told.wait()
        numbers = [message["number"] for message in sent if message["answer"]["is"] == "counted"]
        assert numbers == [0, 100]
        # A broken text draws nothing, and the last that was a network stays the one that is drawn.
        await requests.put(msgspec.json.encode({"is": "edit", "number": 101, "text": "name: x"}))
        counter.open.release()
        while sent[-1]["number"] != 101:
            told.clear()
            await told.wait()
        assert sent[-1]["answer"]["is"] == "wrong"
        assert session.good is not None
        assert session.good[0] == 100
        await requests.put(None)
        await running

    run_async(work)


async def talk(session: Session, sent: list[dict[str, Any]], *requests: dict[str, Any]) -> None:
    """Say one thing after the other, each when what it leads to was told; then close the tab."""

    async def each() -> AsyncIterator[bytes]:
        for request in requests:
            while len(sent) < request["after"]:
                await asyncio.sleep(0)
            yield msgspec.json.encode({key: value for key, value in request.items() if key != "after"})

    words = each()

    async def receive() -> bytes | None:
        async for word in words:
            return word
        return None

    await session.run(receive)


def test_a_picture_that_takes_too_long_is_no_mistake_of_the_text(tmp_path: Path) -> None:
    """It says so where the picture is; the numbers are there."""

    async def work() -> None:
        sent: list[dict[str, Any]] = []

        async def send(content: bytes) -> None:
            sent.append(json.loads(content))

        drawer = silent_worker("import time\nwhile True: time.sleep(1)", 0.01)
        counter = Worker()
        opened = Opened("mine.yaml", SMALL, None, tmp_path, write_whole)
        session = Session(opened, job(text=SMALL), {}, counter, drawer, send)
        await talk(session, sent, {"is": "view", "after": 0}, {"is": "edit", "number": 1, "text": SMALL, "after": 2})
        answers = [message["answer"] for message in sent[:2]]
        assert [answer["is"] for answer in answers] == ["counted", "drawn"]
        assert "within 0.01 s" in answers[1]["note"]
        await counter.close()

    run_async(work)


def test_a_box_of_an_older_picture_is_the_part_that_it_shows(tmp_path: Path) -> None:
    """Although its layers have other numbers in the text by now."""

    async def work() -> None:
        sent: list[dict[str, Any]] = []

        async def send(content: bytes) -> None:
            sent.append(json.loads(content))

        class Slow(Gate):
            """Draws the first text, and no other while the test lasts."""

            async def ask(self, asked: Job) -> Answer:
                if self.asked:
                    await asyncio.Event().wait()
                self.asked.append(asked)
                return answer(asked)

        counter = Worker()
        text = SMALL.replace("    a:", "    first: ReLU\n    a:")
        opened = Opened("mine.yaml", SMALL, None, tmp_path, write_whole)
        session = Session(opened, job(text=SMALL), {}, counter, Slow(), send)  # type: ignore[arg-type]  # no worker
        await talk(
            session,
            sent,
            {"is": "view", "after": 0},
            {"is": "edit", "number": 1, "text": text, "after": 2},
            {"is": "select", "layers": [0], "after": 3},
            {"is": "choose", "model": "", "after": 4},
        )
        assert sent[3]["answer"]["path"] == "a"
        assert sent[3]["answer"]["layers"] == [1]
        await counter.close()

    run_async(work)


def test_saving_does_not_wait_for_words(tmp_path: Path) -> None:
    """Which are asked of a worker that counts for a long time."""

    async def work() -> None:
        sent: list[dict[str, Any]] = []

        async def send(content: bytes) -> None:
            sent.append(json.loads(content))

        path = tmp_path / "mine.yaml"
        opened = Opened("mine.yaml", SMALL, path, tmp_path, write_whole)
        session = Session(opened, job(), {}, Gate(), Gate(), send)  # type: ignore[arg-type]  # gates, not workers
        await talk(
            session,
            sent,
            {"is": "ask", "number": -1, "text": "na", "offset": 2, "after": 0},
            {"is": "save", "text": SMALL, "after": 0},
            {"is": "view", "after": 1},
        )
        assert [message["is"] for message in sent] == ["saved"]
        assert path.read_text() == SMALL

    run_async(work)


def test_only_models_of_the_catalogue_and_of_the_command_line_are_read(tmp_path: Path) -> None:
    """Not a file that the page names."""
    (tmp_path / "secret.yaml").write_text(SMALL)
    opened = Opened("mine.yaml", SMALL, None, tmp_path, write_whole)
    session = Session(opened, job(), {"other.yaml": SMALL}, Worker(), Worker(), None)  # type: ignore[arg-type]
    assert session._other("resnet50") is not None
    assert session._other("other.yaml") == ("other.yaml", SMALL)
    for name in ("secret.yaml", str(tmp_path / "secret.yaml"), "../../x", "", "googlenet.yaml"):
        assert session._other(name) is None


# --- the server ---


class Served:
    """A server that runs: its address, and what it was started with."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process, self.address = process, address
        self.parts = urlsplit(address)

    @property
    def origin(self) -> str:
        return f"http://{self.parts.netloc}"


# Signals are heeded also where whoever runs the tests ignores them: nohup, a job in the background.
HEEDING = (
    "import runpy, signal\n"
    "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_DFL)\n"
    "runpy.run_module('gnet_inspect', run_name='__main__', alter_sys=True)"
)


def start(*arguments: str, cwd: Path) -> Served:
    command = [sys.executable, "-c", HEEDING, "serve", "--no-browser", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)
    assert process.stdout is not None
    return Served(process, process.stdout.readline().strip())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if not BUILT:
        pytest.skip("the page's script was not built (make editor)")
    folder = tmp_path_factory.mktemp("served")
    (folder / "mine.yaml").write_text(SMALL)
    found = start("mine.yaml", cwd=folder)
    yield found
    found.process.terminate()
    found.process.communicate()


def get(url: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    try:
        with urlopen(Request(url, headers=headers)) as response:
            return response.status, response.read().decode(), dict(response.headers)
    except HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)


def test_the_page_and_its_files(served: Served) -> None:
    """With a policy that lets nothing else in, and a new nonce each time."""
    status, page, headers = get(served.address)
    assert status == 200
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["cache-control"] == "no-store"
    assert (headers["referrer-policy"], headers["x-frame-options"]) == ("no-referrer", "DENY")
    nonce = page.partition('name="nonce" content="')[2].partition('"')[0]
    assert f"'nonce-{nonce}'" in policy
    assert nonce not in get(served.address)[1]
    for name in ("editor.js", "page.css"):
        assert get(served.address + name)[0] == 200
    assert get(f"{served.address}nothing.js")[0] == 404


@pytest.mark.parametrize(
    "path", ["", "/", "/x", "/{half}/", "/{token}x/", "/{token}/../x", "//{token}/", "/%2e%2e/{token}/", "/tab"]
)
def test_without_the_token_nothing_answers(served: Served, path: str) -> None:
    """Nor with a part of it."""
    token = served.parts.path.strip("/")
    url = served.origin + path.format(token=token, half=token[:20])
    status, said, _ = get(url)
    assert status == (404 if path.startswith("/{token}/") else 403)
    assert "<html" not in said


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Host": "127.0.0.1:1"}, 400),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "localhost:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
    ],
)
def test_another_host_or_origin_is_refused(served: Served, headers: dict[str, str], status: int) -> None:
    """Also with the token: a name that leads here, a page of another place, one that is in a box."""
    named = {name: value.format(port=served.parts.port) for name, value in headers.items()}
    assert get(served.address, **named)[0] == status


def test_nothing_can_be_sent_to_the_page(served: Served) -> None:
    """It is read alone."""
    with pytest.raises(HTTPError, match="405"):
        urlopen(Request(served.address, data=b"x"))


@contextmanager
def socket_of(served: Served, path: str | None = None, origin: str | None = "own") -> Iterator[Any]:
    """A tab, which says how it is seen as the page does."""
    address = f"ws://{served.parts.netloc}{served.parts.path if path is None else path}tab"
    given = served.origin if origin == "own" else origin
    with connect(address, origin=given, max_size=None) as tab:  # type: ignore[arg-type]  # text, not its own type
        tab.send(json.dumps({"is": "view"}))
        yield tab


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("/", "own", 403),
        ("/x/", "own", 403),
        (None, None, 403),
        (None, "http://evil.example", 403),
        (None, "null", 403),
    ],
)
def test_a_socket_of_a_stranger_is_refused(served: Served, path: str | None, origin: str | None, status: int) -> None:
    """Without the token, without an origin, of another one."""
    with pytest.raises(InvalidStatus) as caught, socket_of(served, path, origin):
        pass
    assert caught.value.response.status_code == status


def test_a_tab_is_told_what_it_asks(served: Served) -> None:
    """The text, its numbers, its picture, words for it; what is none of its words ends it."""
    with socket_of(served) as tab:
        hello = json.loads(tab.recv())
        assert (hello["is"], hello["name"], hello["text"]) == ("hello", "mine.yaml", SMALL)
        found = {message["answer"]["is"] for message in (json.loads(tab.recv()) for _ in range(2))}
        assert found == {"counted", "drawn"}
        tab.send(json.dumps({"is": "ask", "number": -1, "text": "na", "offset": 2}))
        asked = json.loads(tab.recv())
        assert asked["number"] == -1
        assert [option["label"] for option in asked["answer"]["options"]] == ["name"]
        tab.send("{}")
        with pytest.raises(ConnectionClosed):
            tab.recv()


def test_two_tabs_have_a_text_each(served: Served) -> None:
    """Neither is told of the other's."""
    with socket_of(served) as one, socket_of(served) as other:
        for tab in (one, other):
            for _ in range(3):
                tab.recv()
        one.send(json.dumps({"is": "edit", "number": 1, "text": SMALL.replace("4", "400")}))
        other.send(json.dumps({"is": "edit", "number": 1, "text": SMALL.replace("4", "5")}))
        for tab, channels in ((one, "400"), (other, "5")):
            messages = [json.loads(tab.recv()) for _ in range(2)]
            (found,) = [message["answer"] for message in messages if message["answer"]["is"] == "counted"]
            assert f"1x{channels}x6x6" in found["rows"][1]["cells"]


@needs_page
def test_saving_from_a_tab(tmp_path: Path) -> None:
    """Into its file; a name that leads out is refused, and the page is told why."""
    found = start("mine.yaml", cwd=_with_file(tmp_path))
    with socket_of(found) as tab:
        said = {"is": "save", "text": SMALL + "# mine\n"}
        tab.send(json.dumps(said))
        tab.send(json.dumps(said | {"name": "../outside"}))
        answers = _saved(tab)
    assert [bool(message["problem"]) for message in answers] == [False, True]
    assert (tmp_path / "mine.yaml").read_text() == SMALL + "# mine\n"
    assert not (tmp_path.parent / "outside.yaml").exists()
    found.process.terminate()
    found.process.communicate()


def _with_file(folder: Path) -> Path:
    (folder / "mine.yaml").write_text(SMALL)
    return folder


def _saved(tab: Any) -> list[dict[str, Any]]:
    """The first two answers to saving."""
    found: list[dict[str, Any]] = []
    while len(found) < 2:
        message = json.loads(tab.recv())
        if message.get("is") == "saved":
            found.append(message)
    return found


@needs_page
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_its_workers(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """With the shell's code, while a tab is open; no process is left."""
    found = start("googlenet", cwd=tmp_path)
    with socket_of(found) as tab:
        tab.recv()
        children = _children(found.process.pid)
        assert len(children) == 2
        found.process.send_signal(number)
        _, said = found.process.communicate()
    assert found.process.returncode == code
    assert "Traceback" not in said
    assert not [pid for pid in children if _lives(pid)]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _lives(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] not in "ZX"


@needs_page
def test_the_config_beside_the_file_gives_the_lights(tmp_path: Path) -> None:
    """Also where the command runs elsewhere."""
    folder = tmp_path / "specs"
    folder.mkdir()
    _with_file(folder)
    (folder / "gnet-inspect.toml").write_text("[[check]]\nmodel = 'mine.yaml'\nparams = '<= 100'\n")
    found = start("specs/mine.yaml", cwd=tmp_path)
    with socket_of(found) as tab:
        tab.recv()
        answers = [json.loads(tab.recv())["answer"] for _ in range(2)]
    (lights,) = [answer["lights"] for answer in answers if answer["is"] == "counted"]
    assert [light["state"] for light in lights] == ["broken"]
    found.process.terminate()
    found.process.communicate()


def test_a_request_of_no_path_is_refused() -> None:
    """As any without the token, not as a defect: "OPTIONS *" asks for no path."""
    guard = Guard(None, "token", 80)  # type: ignore[arg-type]  # nothing is let through
    scope = {"type": "http", "method": "OPTIONS", "path": "*", "headers": [(b"host", b"127.0.0.1:80")]}
    refused = guard._refusal(scope)
    assert refused is not None
    assert refused[0] == 403


# --- the command ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nosuch",), "expected a built-in model"),
        (("torchvision:resnet18",), "a module in Python"),
        (("x.onnx",), "an ONNX file"),
        (("googlenet", "--port", "70000"), "--port: expected"),
        (("googlenet", "--mode", "trai"), "did you mean `train`?"),
        (("googlenet", "--input", "wide"), "--input: expected"),
        (("googlenet", "--compare", "nosuch"), "expected a built-in model"),
        (("googlenet", "--batch", "0"), "--batch: expected"),
        (("bytes.yaml",), "bytes.yaml:1: expected UTF-8 text, got the byte 0xff"),
        (("googlenet", "--compare", "bytes.yaml"), "bytes.yaml:1: expected UTF-8 text, got the byte 0xff"),
    ],
)
def test_what_cannot_be_served_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    """Before anything listens."""
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    monkeypatch.chdir(tmp_path)
    result = run("serve", "--no-browser", *arguments)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


def test_a_port_that_is_taken_is_refused() -> None:
    """Where it was asked for; else another one is taken."""
    taken = bind(0)
    port = taken.getsockname()[1]
    with pytest.raises(UsageError, match="cannot listen"):
        bind(port)
    taken.close()
    one, other = bind(None), bind(None)
    assert one.getsockname()[1] != other.getsockname()[1]
    assert one.getsockname()[0] == "127.0.0.1"
    one.close()
    other.close()


def test_it_needs_its_packages(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says how to get them."""
    for name in [name for name in sys.modules if name.startswith("gnet_inspect.serving.app")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = run("serve", "--no-browser")
    assert result.code == 3
    assert "pip install starlette uvicorn websockets" in result.err


def test_the_page_needs_its_script(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which a wheel has, and a checkout has to build."""
    monkeypatch.setattr(gnet_inspect.serving.page, "SCRIPT", "nothing.js")
    result = run("serve", "--no-browser", "--port", "0")
    assert result.code == 3
    assert "make editor" in result.err
