"""The server as a whole: paths, ports, start and stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from instant.embedded.algorithms import load_algorithms
from instant.embedded.config.load import Config, parse
from instant.embedded.http_api.api import Api
from instant.embedded.http_api.routes import ApiRoutes
from instant.embedded.state.broker import VERSION, Broker
from instant.embedded.transports.connection_limit import ConnectionLimit
from instant.embedded.transports.http_stream import (
    StreamConnection,
    serve_emulation,
    serve_http_stream,
    serve_sse,
    serve_uni_http_stream,
    serve_uni_sse,
)
from instant.embedded.transports.listener import Listener
from instant.embedded.transports.websocket import (
    WebSocketConnection,
    serve_uni_websocket,
    serve_websocket,
)
from instant.embedded.transports.write_queue import WriteQueue

from .errors import SHUTDOWN
from .proxy_client import ProxyClient

if TYPE_CHECKING:
    from instant.embedded.state.history_writer import HistoryWriter

Handler = Callable[["EmbeddedServer", web.Request], Awaitable[web.StreamResponse]]

# Seconds after which expired history is freed again.
SWEEP_INTERVAL = 10.0
_STOP_BATCH = 100


class EmbeddedServer:
    """A Centrifugo-compatible server in the running event loop.

    `config` is the content of a `config.json`. Environment variables override it as they override
    Centrifugo's; `variables` may stand in for them. Raises ConfigError for what it can't run with.

    With a `data` file histories outlive the server: whatever was answered is in it. `failed` is
    called when it can't be written any more: the server answers nothing from then on, and has to be
    stopped.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        variables: Mapping[str, str] | None = None,
        data: Path | None = None,
        failed: Callable[[], None] | None = None,
    ) -> None:
        self._variables = variables
        self.config: Config = parse(config, variables)
        self.broker = Broker(self.config)
        self.proxy_client = ProxyClient()
        self.history_writer: HistoryWriter | None = None
        self._data = data
        self._failed = failed
        self.http_streams: dict[str, StreamConnection] = {}
        self.websockets: set[WebSocketConnection] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop
        self.write_queue: WriteQueue
        self._tasks: set[asyncio.Task[None]] = set()
        self._runners: list[web.AppRunner] = []
        self.listeners: list[Listener] = []
        self._wanted_headers = self.config.proxied_headers()
        self._connection_limit = ConnectionLimit(
            self.config.connection_limit,
            self.config.connection_rate,
            lambda: len(self.broker.hub.clients),
            self.broker.clock.monotonic,
        )

    def reload(self, config: Mapping[str, Any]) -> None:
        """Use another config, without disconnecting anybody.

        Its namespaces, tokens, proxies and times count from now on; as with Centrifugo, its ports,
        paths, origins and API key do not. Raises ConfigError, and then nothing has changed.
        """
        changed = parse(config, self._variables)
        self.broker.reconfigure(changed)
        self._wanted_headers = changed.proxied_headers()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in a task that the server keeps alive."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def headers_of(self, request: web.Request) -> dict[str, list[str]]:
        """Return the headers of a client's request that a proxy may want, by lower-case name."""
        if not self._wanted_headers:
            return {}
        return {
            name.lower(): request.headers.getall(name)
            for name in request.headers
            if name.lower() in self._wanted_headers
        }

    def may_connect(self) -> bool:
        """Tell whether one more client may connect, and count the attempt."""
        return self._connection_limit.allows()

    def user_of(self, request: web.Request) -> str:
        """Return the user that a reverse proxy vouches for, "" if there is none."""
        name = self.config.user_header
        return request.headers.get(name, "") if name else ""

    async def start(self, address: str | None = None, port: int | None = None) -> int:
        """Listen, and return the port; 0 asks for a free one. Raises OSError or HistoryFileError.

        Without an address or a port those of the config are used; "" listens on all interfaces.
        """
        self.loop = asyncio.get_running_loop()
        if self._data is not None:
            self._open_history(self._data)
        self.write_queue = WriteQueue(self.loop, self.history_writer)
        config = self.config
        host = config.address if address is None else address
        asked = config.port if port is None else port
        internal = config.internal_port if config.internal_port not in {0, asked} else 0
        public = web.Application()
        self._route_clients(public)
        private = web.Application() if internal else public
        self._route_operators(private, public)
        try:
            actual = await self._listen(public, host, asked)
            if internal:
                await self._listen(private, config.internal_address or host, internal)
        except OSError:
            await self.stop()
            raise
        # Importing them takes as long as all the rest, so it happens beside the first connections.
        self.loop.run_in_executor(None, load_algorithms)
        self._sweeping = self.loop.create_task(self._sweep())
        return actual

    def _open_history(self, path: Path) -> None:
        # SQLite takes a while to import, and most servers have no history file.
        from instant.embedded.state.history_file import HistoryFile  # noqa: PLC0415
        from instant.embedded.state.history_writer import HistoryWriter  # noqa: PLC0415

        streams, clock = self.broker.streams, self.broker.clock
        file = HistoryFile(path)
        try:
            streams.restore(*file.load(clock.now()), clock.now())
        except BaseException:
            file.close()
            raise
        self.history_writer = HistoryWriter(
            file, clock.monotonic, clock.now, lambda _: self._give_up()
        )
        streams.recorder = self.history_writer

    def _give_up(self) -> None:
        if self._failed is not None:
            self._failed()

    async def _listen(self, app: web.Application, host: str, port: int) -> int:
        runner = web.AppRunner(
            app,
            handle_signals=False,
            shutdown_timeout=1.0,
            # So a streamed client that hangs up is noticed at once, not at the next ping.
            handler_cancellation=True,
        )
        await runner.setup()
        self._runners.append(runner)
        listener = Listener(cast("web.Server", runner.server), self.loop)
        found = await listener.listen(host, port)
        self.listeners.append(listener)
        return found

    def _route(self, app: web.Application, path: str, handler: Handler) -> None:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await handler(self, request)

        if path:
            app.router.add_route("*", path, serve)

    def _route_clients(self, app: web.Application) -> None:
        config = self.config
        for path, handler in (
            (config.websocket_path, serve_websocket),
            (config.sse_path, serve_sse),
            (config.http_stream_path, serve_http_stream),
            (config.uni_sse_path, serve_uni_sse),
            (config.uni_http_stream_path, serve_uni_http_stream),
            (config.uni_websocket_path, serve_uni_websocket),
        ):
            self._route(app, path, _limited(handler))
        if config.sse_path or config.http_stream_path:
            self._route(app, config.emulation_path, serve_emulation)

    def _route_operators(self, app: web.Application, public: web.Application) -> None:
        config = self.config
        self._route(app, config.health_path, _serve_health)
        self._route(app, config.metrics_path, _serve_metrics)
        if not config.api_enabled:
            return
        routes = ApiRoutes(Api(self.broker), config, self.history_writer)
        for where in {app, public} if config.api_external else {app}:
            where.router.add_route("*", config.api_prefix.rstrip("/") + "/{method}", routes.serve)
            where.router.add_route("*", config.api_prefix, routes.serve_legacy)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            for _ in self.broker.streams.sweep():
                await asyncio.sleep(0)

    async def stop(self) -> None:
        """Stop listening, tell every client (3001), and free the ports."""
        for listener in self.listeners:
            listener.close()
        for at, connection in enumerate([*self.websockets, *self.http_streams.values()], 1):
            connection.session.close(SHUTDOWN)
            if at % _STOP_BATCH == 0:
                await asyncio.sleep(0)
        if self._tasks:
            # The closing handshakes take a moment.
            await asyncio.wait(self._tasks, timeout=min(1.0, self.config.shutdown_timeout))
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        self.listeners.clear()
        tasks = [*self._tasks] + ([self._sweeping] if self._sweeping is not None else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.proxy_client.close()
        if self.history_writer is not None:
            self.broker.streams.record_all()
            await self.history_writer.close()
            self.broker.streams.recorder = self.history_writer = None


def _limited(handler: Handler) -> Handler:
    async def serve(server: EmbeddedServer, request: web.Request) -> web.StreamResponse:
        if not server.may_connect():
            return web.Response(status=503)
        try:
            return await handler(server, request)
        except ConnectionError:
            # The client left before its answer began: nobody reads this one.
            return web.Response(status=499)

    return serve


async def _serve_health(server: EmbeddedServer, request: web.Request) -> web.StreamResponse:  # noqa: ARG001
    return web.Response(text="{}", content_type="application/json")


async def _serve_metrics(server: EmbeddedServer, request: web.Request) -> web.StreamResponse:  # noqa: ARG001
    counts = server.broker.counts()
    names = {
        "num_clients": "centrifugo_node_num_clients",
        "num_users": "centrifugo_node_num_users",
        "num_subs": "centrifugo_node_num_subscriptions",
        "num_channels": "centrifugo_node_num_channels",
    }
    lines = [f"# TYPE {names[key]} gauge\n{names[key]} {value}\n" for key, value in counts.items()]
    lines.append(
        "# TYPE centrifugo_node_build gauge\n"
        f'centrifugo_node_build{{version="{VERSION} embedded"}} 1\n'
    )
    return web.Response(text="".join(lines), content_type="text/plain", charset="utf-8")
