"""Compare the server's config file with what Python declares, and update it: the work of syncws."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.db import DatabaseError

from instant.centrifugo.binary import process
from instant.centrifugo.config.address import Address, listens_at
from instant.centrifugo.config.consumers import compile_outbox
from instant.centrifugo.config.defaults import DEFAULT_PORT, compile_config
from instant.centrifugo.config.diff import needs_restart, readable
from instant.centrifugo.config.engine import compile_engine
from instant.centrifugo.config.file import read_config, write_config
from instant.centrifugo.config.lite import compile_lite
from instant.centrifugo.config.namespaces import NamespaceOptions, compile_namespaces
from instant.centrifugo.config.pools import compile_pools
from instant.centrifugo.config.proxies import compile_proxies
from instant.channels.names import OUR_NAMESPACE
from instant.conf import Conf
from instant.deliveries import AtMostOnce, Delivery
from instant.inbound.listening import mirror
from instant.inbound.tickets.channel import TicketChannel
from instant.namespaces import Namespace, registered
from instant.publishing import outbox
from instant.publishing.outbox import known_namespaces
from instant.server import proxy_urls

__all__ = ["CannotReload", "Sync", "api_port", "compare", "confirm_namespaces", "reload", "write"]

logger = logging.getLogger("instant.server")

_KEPT, _KEPT_FOR = 10_000, 86_400
"""How many copies the server keeps for a listener that is away, and for how many seconds."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class CannotReload(Exception):
    """There is no running server that could reload its config. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Sync:
    """The config file as it is, and as it should be."""

    path: Path
    existing: Mapping[str, Any] | None = field(repr=False)
    wanted: Mapping[str, Any] = field(repr=False)
    namespaces: tuple[str, ...]
    """The names of the namespaces that Python declares."""
    origins: tuple[str, ...]
    """The origins that the settings allow."""
    engine: tuple[str, ...]
    """The kind of engine, if a setting names one."""

    @property
    def changed(self) -> bool:
        """Whether the two differ."""
        return self.existing != self.wanted

    @property
    def diff(self) -> str:
        """The difference as a unified diff, with all secrets masked."""
        return readable(self.existing, self.wanted, str(self.path))

    @property
    def needs_restart(self) -> bool:
        """Whether a running server has to be restarted; if not, it can reload the file."""
        return needs_restart(self.existing, self.wanted)


def compare(conf: Conf) -> Sync:
    """Read the config file and compile what it should be. Raises InstantConfigError."""
    existing = read_config(conf.config_file)
    at = listens_at(existing or {}, {})
    keeps = conf.engine is None or conf.engine.keeps_history
    completed = compile_config(
        existing,
        allowed_origins=conf.allowed_origins,
        origins_before=_before(conf.dir, "origins"),
        audience=conf.audience,
        tenants=conf.tenant is not None,
        port=api_port(conf, at) or DEFAULT_PORT,
        history=keeps,
    )
    urls = proxy_urls.urls(conf)
    namespaces = [*_declared(asks=urls is not None, keeps=keeps), *_ours(keeps=keeps)]
    engine = compile_engine(
        completed,
        conf.engine,
        before=bool(_before(conf.dir, "engine")),
        prefix=conf.audience,
    )
    compiled = compile_namespaces(engine, namespaces, _before(conf.dir, "namespaces"))
    asking = compile_pools(
        compile_proxies(
            compiled,
            urls,
            secret=conf.proxy_secret_text,
            with_address=proxy_urls.with_address(),
            with_cookie=proxy_urls.with_cookie(),
            with_meta=proxy_urls.with_meta(),
        ),
        {} if urls is None else proxy_urls.pool_urls(conf),
        {} if urls is None else proxy_urls.namespace_pools(),
    )
    asking = compile_lite(
        asking, is_used=conf.lite, url=None if urls is None else proxy_urls.connect_url(conf)
    )
    return Sync(
        path=conf.config_file,
        existing=existing,
        wanted=compile_outbox(
            asking,
            is_used=outbox.is_used(),
            consumer=outbox.consumer(),
            partitions=conf.outbox_partitions,
        ),
        namespaces=tuple(namespace.name for namespace in namespaces),
        origins=conf.allowed_origins,
        engine=() if conf.engine is None else (conf.engine.kind,),
    )


def write(sync: Sync) -> bool:
    """Write the file as it should be; return whether it changed. Raises InstantConfigError."""
    _let_rows_wait(sync)
    changed = write_config(sync.path, sync.wanted)
    folder = sync.path.parent
    compiled = {
        "namespaces": list(sync.namespaces),
        "origins": list(sync.origins),
        "engine": list(sync.engine),
    }
    if compiled != {key: _before(folder, key) for key in compiled}:
        write_config(_names_file(folder), {k: v for k, v in compiled.items() if v or k != "engine"})
    return changed


def _let_rows_wait(sync: Sync) -> None:
    """
    Keep rows of the outbox from the server whose namespace it won't have any more.

    It would delete them. Those that it will have are noted when it does.
    """
    kept = known_namespaces.in_config(sync.wanted)
    if not outbox.consumer() or known_namespaces.in_config(sync.existing or {}) <= kept:
        return
    try:
        known_namespaces.forget_others(known_namespaces.database(), kept)
    except DatabaseError as exc:
        logger.warning("Rows of namespaces that are no longer declared may get lost: %s", exc)


def confirm_namespaces(sync: Sync) -> list[str]:
    """
    Note which namespaces the server knows by now, where it sends the outbox's rows itself.

    Returns those that it doesn't know yet: their rows wait. Raises PublishError and DatabaseError.
    """
    if not outbox.consumer():
        return []
    return sorted(known_namespaces.confirm_now(known_namespaces.in_config(sync.wanted)))


def reload(sync: Sync) -> None:
    """Tell the server that runws started to reload its config. Raises CannotReload."""
    if sync.needs_restart:
        raise CannotReload(
            "Restart the server: it reads what changed (origins, ports, proxies, the engine or the "
            "API key) only when it starts."
        )
    try:
        found = process.reload(sync.path.parent)
    except NotImplementedError:
        raise CannotReload("Restart the server: on Windows it can't reload its config.") from None
    if not found:
        raise CannotReload(
            "No server that was started by “manage.py runws” is running here. Restart it where it "
            "runs, in its container or with its service manager."
        )


def api_port(conf: Conf, by_itself: Address) -> int | None:
    """Return the API port that Django expects on this machine; None if the server is elsewhere."""
    url = urlsplit(conf.api_url)
    # A path means that a reverse proxy is in front, an internal port that the API has its own.
    if by_itself.internal_port or url.path:
        return None
    return url.port if url.hostname in {*_LOOPBACK, by_itself.host} else None


def _names_file(folder: Path) -> Path:
    return folder / "compiled.json"


def _before(folder: Path, key: str) -> list[str]:
    """Return which namespaces, origins or engine were compiled into the file last time."""
    listed = (read_config(_names_file(folder)) or {}).get(key)
    return [str(name) for name in listed] if isinstance(listed, list) else []


def _declared(*, asks: bool = False, keeps: bool = True) -> list[NamespaceOptions]:
    """
    Return all namespaces that are declared correctly; instant.E003 names the others.

    ``asks``: whether the server can ask Django who may stay subscribed, and publish to rows.
    ``keeps``: whether it keeps messages. Pages can do without those of tickets.
    """
    return [
        _options(
            cls, asks=asks, delivery=cls.delivery if keeps or cls is not TicketChannel else _NOTHING
        )
        for cls in registered()
        if not list(cls.problems())
    ]


def _ours(*, keeps: bool) -> list[NamespaceOptions]:
    """Return the namespace of copies for those who listen to patterns, where anybody does."""
    if not mirror.is_used():
        return []
    return [
        NamespaceOptions(
            name=OUR_NAMESPACE,
            size=_KEPT if keeps else 0,
            seconds=_KEPT_FOR if keeps else 0,
            latest=False,
            presence=False,
            presence_for_subscribers=False,
            join_leave=False,
            history_for_subscribers=False,
            subscribers_publish=False,
        )
    ]


_NOTHING = AtMostOnce()


def _options(cls: type[Namespace], *, asks: bool, delivery: Delivery) -> NamespaceOptions:
    return NamespaceOptions(
        name=cls.name,
        size=delivery.size,
        seconds=int(delivery.ttl.total_seconds()),
        latest=delivery.latest,
        # Needed even if clients may not see it: presence tells who is to be unsubscribed.
        presence=cls.authorize != "open" or cls.presence,
        presence_for_subscribers=cls.allows("presence") == "subscribers",
        join_leave=cls.join_leave,
        history_for_subscribers=cls.allows("history") == "subscribers",
        subscribers_publish=cls.client_publish == "subscribers",
        asks_to_subscribe=cls.authorize == "proxy",
        asks_to_stay=asks and cls.authorize != "open",
        asks_to_publish=cls.client_publish == "ask" or (cls.rows and asks),
    )
