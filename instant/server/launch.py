"""Prepare the server's config, choose a server, and run it: the work of installws and runws."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from instant import conf as instant_conf
from instant.centrifugo.binary import process
from instant.centrifugo.config import consumers, v3
from instant.centrifugo.config.address import Address, listens_at, with_port
from instant.centrifugo.config.defaults import DEFAULT_ADDRESS, DEFAULT_PORT
from instant.centrifugo.config.file import read_config, write_config
from instant.conf import Conf
from instant.exceptions import InstantConfigError
from instant.namespaces import registered
from instant.publishing.outbox import consumer
from instant.publishing.outbox import running as outbox
from instant.revoking import follow_up as revoking
from instant.server.sync import api_port, compare, write
from instant.stored.notifications import running as notifying

__all__ = ["NO_ORIGIN", "SERVERS", "Plan", "WrittenConfig", "complete_config", "plan", "run"]

SERVERS = ("auto", "centrifugo", "embedded")

NO_ORIGIN = (
    'No browser may connect: set INSTANT["ALLOWED_ORIGINS"] (or ALLOWED_HOSTS) and run this again.'
)


@dataclass(frozen=True, slots=True)
class WrittenConfig:
    """What complete_config() did to the server's config file."""

    new: bool
    """Whether there was no file before."""
    changed: bool
    from_old_version: bool
    """Whether it was a file of Centrifugo 3 or 4, which is now converted."""
    origins: tuple[str, ...]
    """The origins that may connect."""
    overridden: tuple[str, ...]
    """Settings and environment variables whose key differs from the one in the file."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run a server."""

    command: list[str]
    env: dict[str, str] = field(repr=False)
    folder: Path
    """The folder of its pid file."""
    title: str
    """Which server it is, and if that isn't obvious, why."""
    at: Address
    """Where it listens."""
    wrote_config: bool
    warnings: tuple[str, ...]

    @property
    def websocket(self) -> str:
        """The URL that clients on this machine connect to, ws:// or wss://."""
        return self.at.websocket

    @property
    def where(self) -> str:
        """The URL, and whether it is one of many."""
        everywhere = f" and at every other address of this machine (port {self.at.port})"
        return f"{self.websocket}{everywhere if self.at.is_everywhere else ''}"


def complete_config(conf: Conf) -> WrittenConfig:
    """
    Write what Instant needs and what the apps declare into the server's config file.

    Raises InstantConfigError.
    """
    sync = compare(conf)
    return WrittenConfig(
        new=sync.existing is None,
        changed=write(sync),
        from_old_version=sync.existing is not None and v3.is_flat(sync.existing),
        origins=tuple(sync.wanted["client"]["allowed_origins"]),
        overridden=tuple(name for name in instant_conf.differences(conf) if name.endswith("_KEY")),
    )


def plan(
    conf: Conf,
    *,
    server: str = "auto",
    address: str | None = None,
    port: int | None = None,
    data: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Plan:
    """
    Return how to run the server: Centrifugo if it is installed, otherwise the embedded server.

    First writes the config file, or completes and updates it. ``address`` and ``port`` override
    the file. Without them the server listens where Django's settings expect the API, if that is on
    this machine, and the file gets that port, for whatever reads it without these settings; the
    server never uses port 8000 or all addresses just because the file doesn't say
    anything. ``data`` is the history file of the embedded server, and is refused with any other.
    Raises InstantConfigError.
    """
    binary = _choose_binary(conf, server, data, environ)
    config = read_config(conf.config_file)
    if config is not None and v3.is_flat(config):
        raise InstantConfigError(
            f"{conf.config_file} is for Centrifugo 3 or 4. “manage.py installws” converts it to "
            f"version 6 and keeps its keys."
        )
    written = complete_config(conf)
    conf = instant_conf.current()
    moved = port is None and _note_port(conf)
    config = read_config(conf.config_file) or {}
    env = _environment(conf, binary, environ)
    by_itself = listens_at(config, environ)
    host, number = _override(conf, by_itself, address=address, port=port)
    at = Address(
        by_itself.host if host is None else host,
        by_itself.port if number is None else number,
        by_itself.tls,
    )
    if binary is not None:
        command = process.centrifugo_command(binary, conf.config_file, address=host, port=number)
        title = _centrifugo_title(binary)
    else:
        command = process.embedded_command(
            conf.config_file, address=at.host, port=at.port, data=data
        )
        why = (
            "as asked"
            if server == "embedded"
            else f"no Centrifugo binary in {conf.dir}, “manage.py installws” installs it"
        )
        title = f"Embedded server (Python; {why})"
    return Plan(
        command=command,
        env=env,
        folder=conf.dir,
        title=title,
        at=at,
        wrote_config=written.changed or moved,
        warnings=tuple(_warnings(conf, written, by_itself, at)),
    )


def run(server: Plan) -> int:
    """
    Run the server until it ends and return its exit code.

    Meanwhile threads make the follow-up checks that fall due, send the outbox's rows, and notify
    people who have no page open. See ``process.run()`` for signals. Raises OSError if the command
    can't be started.
    """
    lookers = [
        revoking.watch(),
        outbox.watch(is_embedded="instant.embedded" in server.command),
        notifying.watch(),
    ]
    try:
        return process.run(server.command, server.env, folder=server.folder)
    finally:
        for looker in lookers:
            if looker is not None:
                looker.stop()


def _choose_binary(
    conf: Conf, server: str, data: Path | None, environ: Mapping[str, str]
) -> Path | None:
    """Return the binary to run, or None for the embedded server."""
    folder = conf.dir
    binary = None if server == "embedded" else process.find_binary(folder, environ)
    if server == "centrifugo" and binary is None:
        raise InstantConfigError(
            f"There is no Centrifugo binary in {folder}, in {process.BINARY_VARIABLE} or on "
            f"PATH. “manage.py installws” installs it; “runws --server embedded” works without it."
        )
    if data is not None and binary is not None:
        raise InstantConfigError(
            "--data is for the embedded server: add “--server embedded”. Centrifugo needs Redis or "
            "PostgreSQL to keep histories over a restart."
        )
    if binary is None and conf.engine is not None and conf.engine.is_shared:
        raise InstantConfigError(
            'The embedded server is one process and knows no INSTANT["ENGINE"] but “memory”. '
            "“manage.py installws” installs Centrifugo, which does."
        )
    return binary


def _environment(conf: Conf, binary: Path | None, environ: Mapping[str, str]) -> dict[str, str]:
    env = process.environment(hmac_key=conf.hmac_key, api_key=conf.api_key, environ=environ)
    if binary is None and consumer() is not None:  # the embedded server has none: run() relays
        env |= consumers.WITHOUT
    return env


def _centrifugo_title(binary: Path) -> str:
    try:
        version = process.binary_version(binary)
    except OSError as exc:
        raise InstantConfigError(
            f"{binary} can't be started: {exc.strerror}. “manage.py installws --force” installs "
            f"the one for this machine; “runws --server embedded” works without it."
        ) from exc
    return f"Centrifugo {version or 'of unknown version'} ({binary})"


def _note_port(conf: Conf) -> bool:
    """Have the file name the port that Django's settings do; return whether it didn't."""
    config = read_config(conf.config_file) or {}
    in_file = listens_at(config, {})
    port = api_port(conf, in_file)
    if port is None or port == in_file.port:
        return False
    with suppress(InstantConfigError):  # a read-only folder: the command line says it
        return write_config(conf.config_file, with_port(config, port))
    return False


def _override(
    conf: Conf, by_itself: Address, *, address: str | None, port: int | None
) -> tuple[str | None, int | None]:
    """Return address and port for the command line; None where the config's own are right."""
    if address is None and not by_itself.names_host:
        address = DEFAULT_ADDRESS
    if port is None:
        wanted = api_port(conf, by_itself)
        if wanted is None and not by_itself.names_port:
            wanted = DEFAULT_PORT
        port = wanted if wanted != by_itself.port else None
    return address, port


def _warnings(conf: Conf, written: WrittenConfig, by_itself: Address, at: Address) -> list[str]:
    found = []
    if not written.origins:
        found.append(NO_ORIGIN)
    found += [
        f"{problem} The namespace is left out of the config."
        for cls in registered()
        for problem in cls.problems()
    ]
    expected = api_port(conf, by_itself)
    if expected is not None and expected != at.port:
        found.append(
            f"Django publishes to {conf.api_url}, but this server listens on port {at.port}: set "
            f"CENTRIFUGO_PORT = {at.port} in the settings, unless a load balancer is there."
        )
    return found
