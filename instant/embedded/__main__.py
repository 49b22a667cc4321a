"""Run the embedded server: `python -m instant.embedded --config config.json`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from instant.embedded.config.load import ConfigError, parse, read

from .errors import HistoryFileError
from .server import EmbeddedServer


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m instant.embedded", description=__doc__)
    parser.add_argument("--config", "-c", type=Path, default=Path("config.json"))
    parser.add_argument("--port", type=int, help="instead of http_server.port; 0 takes a free one")
    parser.add_argument("--address", help="instead of http_server.address")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="keep histories in this SQLite file, so that they outlive the server",
    )
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _reload(server: EmbeddedServer, path: Path) -> None:
    try:
        server.reload(read(path))
    except ConfigError as exc:
        _say(f"instant.embedded: the config stays as it was: {exc}")
    else:
        _say("instant.embedded: config read again")


def _allow_open_files() -> None:
    """Allow as many open files as may be; there is one for each client."""
    try:
        import resource  # noqa: PLC0415  Windows has none
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _run(config: dict[str, Any], options: argparse.Namespace) -> int:
    stopping = asyncio.Event()
    lost: list[bool] = []

    def failed() -> None:
        lost.append(True)
        stopping.set()

    server = EmbeddedServer(config, data=options.data, failed=failed)
    address: str | None = options.address
    port: int | None = options.port
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopping.set)
        except NotImplementedError:
            # Windows' loops have no signal handlers; Ctrl-C arrives as KeyboardInterrupt.
            break
    else:
        # Windows, which never gets here, has no SIGHUP either.
        loop.add_signal_handler(signal.SIGHUP, _reload, server, options.config)
    host = server.config.address if address is None else address
    try:
        actual = await server.start(address, port)
    except HistoryFileError as exc:
        _say(f"instant.embedded: {exc}")
        return 1
    except OSError as exc:
        asked = server.config.port if port is None else port
        _say(
            f"instant.embedded: can't listen on {host or '*'}:{asked}: {exc.strerror or exc}. End "
            f"the server that runs there, or take another port: “runws --port”, and "
            f"CENTRIFUGO_PORT in Django's settings."
        )
        return 1
    _say(f"instant.embedded: listening on {host or '*'}:{actual}")
    await stopping.wait()
    await server.stop()
    if lost:
        _say(f"instant.embedded: stopped, because {options.data} can't be written")
    return 1 if lost else 0


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal comes; returns 0, or 1 if it can't run."""
    options = _arguments(arguments)
    try:
        config = read(options.config)
        log_level = parse(config).log_level
    except ConfigError as exc:
        _say(f"instant.embedded: {exc}")
        return 1
    level = logging.getLevelName(log_level.upper())
    logging.basicConfig(
        level=level if isinstance(level, int) else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    _allow_open_files()
    try:
        return asyncio.run(_run(config, options))
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
