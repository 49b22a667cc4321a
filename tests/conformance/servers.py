"""The servers that scenarios are played on, each as a context manager that gives a URL."""

import asyncio
import contextlib
import json
import tempfile
from pathlib import Path

from instant.embedded import EmbeddedServer
from tests.ports import free_port
from tests.real_server import BINARY

START_TIME = 60.0


@contextlib.asynccontextmanager
async def embedded(config):
    """Run the embedded server in this event loop."""
    server = EmbeddedServer(config, variables={})
    port = await server.start("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop()


async def _listening(port):
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def centrifugo(config):
    """Run the real server."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        served = {**config, "http_server": {"address": "127.0.0.1", "port": port}}
        path.write_text(json.dumps(served))
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            BINARY, "-c", path, stdout=quiet, stderr=quiet, cwd=folder
        )
        try:
            await asyncio.wait_for(_listening(port), START_TIME)
            yield f"http://127.0.0.1:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                # Some recordings end it.
                process.kill()
            await process.wait()


async def starts(text):
    """Tell whether the real server starts with a config: "starts" or "refused"."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(text)
        where = ("--http_server.address", "127.0.0.1", "--http_server.port", str(port))
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            BINARY, "-c", path, *where, stdout=quiet, stderr=quiet, cwd=folder
        )
        ended = asyncio.ensure_future(process.wait())
        listens = asyncio.ensure_future(_listening(port))
        try:
            await asyncio.wait((ended, listens), return_when=asyncio.FIRST_COMPLETED)
            # A second port that can't be had ends it a moment later.
            await asyncio.wait((ended,), timeout=0.05)
            return "refused" if ended.done() else "starts"
        finally:
            listens.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await ended


SERVERS = {"embedded": embedded, "centrifugo": centrifugo}
