"""The server: one page, its files and a WebSocket, on the loopback alone, below a path that nobody can guess.

The path is the token: without it nothing answers, also not to another page that is open in the same browser. What a
browser sends along says where it comes from: another host's name or origin is refused.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket

import msgspec
import uvicorn
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from gnet_inspect.errors import GnetError, MissingError, UsageError
from gnet_inspect.serving.files import Opened
from gnet_inspect.serving.messages import Job
from gnet_inspect.serving.page import page_files, page_html
from gnet_inspect.serving.session import Session
from gnet_inspect.serving.workers import Worker

HOST = "127.0.0.1"
# Where it is free: a browser keeps what was not saved by the address, and finds it again at the same one.
PORT = 8421
NAMES = (HOST, "localhost")
# A text has at most two megabytes; escaped as JSON it may have six times as many.
MOST_BYTES = 16_000_000
# A browser that says nothing for so many seconds is asked whether it is there.
_PING = 20.0


class Setup(Struct):
    """What the server serves: to each tab its own `opened`, jobs as `job` has them, and the texts of `others`."""

    opened: Opened
    job: Job
    others: dict[str, str]
    version: str


def bind(port: int | None) -> socket:
    """A socket that listens on the loopback: at this port, or at any where PORT is taken. Raises UsageError."""
    for wanted in (PORT, 0) if port is None else (port,):
        found = socket(AF_INET, SOCK_STREAM)
        found.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        try:
            found.bind((HOST, wanted))
        except OSError as error:
            found.close()
            if wanted and port is not None:
                raise UsageError(f"--port: cannot listen at {HOST}:{port}: {error.strerror}") from None
            continue
        found.listen()
        return found
    raise MissingError(f"no port of {HOST} is free")


def new_token() -> str:
    """What stands in the address, of 256 bits."""
    return secrets.token_urlsafe(32)


def make_app(setup: Setup, token: str, port: int, counter: Worker, drawer: Worker) -> ASGIApp:
    """The application. Raises MissingError where the page's script was not built."""
    files = page_files()

    async def page(_: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        return Response(page_html(nonce), media_type="text/html", headers=_headers(port, nonce))

    async def file(request: Request) -> Response:
        found = files.get(request.path_params["name"])
        if found is None:
            return Response("there is no such file", 404, _headers(port), "text/plain")
        return Response(found.content, media_type=found.media_type, headers=_headers(port))

    async def tab(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            opened = setup.opened.again()
        except GnetError as error:
            # What a close may say is short.
            await websocket.close(1011, str(error)[:120])
            return

        async def send(content: bytes) -> None:
            with suppress(WebSocketDisconnect, RuntimeError):
                await websocket.send_text(content.decode())

        async def receive() -> bytes | None:
            try:
                return (await websocket.receive_text()).encode()
            except WebSocketDisconnect:
                return None

        session = Session(opened, setup.job, setup.others, counter, drawer, send)
        await send(msgspec.json.encode(session.hello(setup.version)))
        try:
            await session.run(receive)
        except msgspec.MsgspecError as error:
            # Not our page: it says nothing that cannot be read.
            await websocket.close(1003, str(error)[:120])

    root = f"/{token}"
    routes = [Route(f"{root}/", page), WebSocketRoute(f"{root}/tab", tab), Route(f"{root}/{{name}}", file)]
    return Guard(Starlette(routes=routes), token, port)


class Guard:
    """Lets through what comes from the page itself, or opens it, and knows the token."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token.encode()
        # Browsers leave out the port that http has anyway.
        self._hosts = {f"{name}:{port}" for name in NAMES} | ({*NAMES} if port == 80 else set())
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refused is None:
            await self._app(scope, receive, send)
            return
        status, said = refused
        response = Response(said, status, {"cache-control": "no-store"}, "text/plain")
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(response)
        else:
            await response(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """(status, why) of what is refused."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("host") not in self._hosts:
            # A name that leads to the loopback may be anybody's.
            return 400, "expected the address that gnet-inspect printed, got another host's"
        origin = headers.get("origin")
        is_socket = scope["type"] == "websocket"
        if (origin is not None or is_socket) and origin not in self._origins:
            return 403, "expected a request of the page itself, got one of another page"
        if headers.get("sec-fetch-site") == "cross-site":
            return 403, "expected a request of the page itself, got one of another page"
        # "OPTIONS *" has a path without a slash.
        first = scope["path"].removeprefix("/").partition("/")[0]
        if not secrets.compare_digest(first.encode(), self._token):
            return 403, "expected the address that gnet-inspect printed, with the token in it, got another one"
        if not is_socket and scope["method"] not in ("GET", "HEAD"):
            return 405, "expected GET"
        return None


def _headers(port: int, nonce: str = "") -> dict[str, str]:
    """What every answer says of itself: nothing but the page's own files is loaded, run or asked."""
    sockets = " ".join(f"ws://{name}:{port}" for name in NAMES)
    style = f"'self' 'nonce-{nonce}'" if nonce else "'self'"
    policy = (
        f"default-src 'none'; script-src 'self'; style-src {style}; font-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


class Server(uvicorn.Server):
    """uvicorn's server; signals are answered by who runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: the command has its own."""
        yield


def make_server(app: ASGIApp) -> Server:
    """What serves the application on a socket: `await server.serve(sockets=[socket])` until `should_exit` is set."""
    return Server(
        uvicorn.Config(
            app,
            ws="websockets-sansio",
            ws_max_size=MOST_BYTES,
            ws_ping_interval=_PING,
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            # A tab ends as soon as it is told; on a busy machine that takes a while.
            timeout_graceful_shutdown=10,
        )
    )
