"""What ``syncws`` does: the server's config as Python declares it, and how it differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from instant.centrifugo.binary import process
from instant.centrifugo.config.address import Address, listens_at
from instant.centrifugo.config.defaults import DEFAULT_PORT, compile_config
from instant.centrifugo.config.diff import needs_restart, readable
from instant.centrifugo.config.file import read_config, write_config
from instant.centrifugo.config.namespaces import NamespaceOptions, compile_namespaces
from instant.centrifugo.config.proxies import compile_proxies
from instant.conf import Conf
from instant.namespaces import Namespace, registered
from instant.server import proxy_urls

__all__ = ["CannotReload", "Sync", "api_port", "compare", "reload", "write"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class CannotReload(Exception):
    """No running server can be told to read its config again; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Sync:
    """The config file as it is and as it should be."""

    path: Path
    existing: Mapping[str, Any] | None = field(repr=False)
    wanted: Mapping[str, Any] = field(repr=False)
    namespaces: tuple[str, ...]
    """Those that are declared in Python."""

    @property
    def changed(self) -> bool:
        """Whether they differ."""
        return self.existing != self.wanted

    @property
    def diff(self) -> str:
        """Their difference as a person reads it, with every secret masked."""
        return readable(self.existing, self.wanted, str(self.path))

    @property
    def needs_restart(self) -> bool:
        """Whether a running server takes it only after a restart; else a SIGHUP is enough."""
        return needs_restart(self.existing, self.wanted)


def compare(conf: Conf) -> Sync:
    """Return the config file beside what it should be; raises InstantConfigError."""
    existing = read_config(conf.config_file)
    at = listens_at(existing or {}, {})
    completed = compile_config(
        existing,
        allowed_origins=conf.allowed_origins,
        audience=conf.audience,
        port=api_port(conf, at) or DEFAULT_PORT,
    )
    urls = proxy_urls.urls(conf)
    namespaces = _declared(rows_ask=urls is not None)
    compiled = compile_namespaces(completed, namespaces, _before(conf.dir))
    return Sync(
        path=conf.config_file,
        existing=existing,
        wanted=compile_proxies(compiled, urls, secret=conf.proxy_secret_text),
        namespaces=tuple(namespace.name for namespace in namespaces),
    )


def write(sync: Sync) -> bool:
    """Write what should be; return whether it was another. Raises InstantConfigError."""
    changed = write_config(sync.path, sync.wanted)
    names = _names_file(sync.path.parent)
    if list(sync.namespaces) != _before(sync.path.parent):
        write_config(names, {"namespaces": list(sync.namespaces)})
    return changed


def reload(sync: Sync) -> None:
    """Let the server that runws started read its config again; raises CannotReload."""
    if sync.needs_restart:
        raise CannotReload(
            "Restart the server: what changed (origins, ports, proxies, the API's key) is read "
            "at its start only."
        )
    try:
        found = process.reload(sync.path.parent)
    except NotImplementedError:
        raise CannotReload("Restart the server: Windows has no signal for this.") from None
    if not found:
        raise CannotReload(
            "No server that “manage.py runws” started is running here. Restart it where it "
            "runs, in its container or by its service manager."
        )


def api_port(conf: Conf, by_itself: Address) -> int | None:
    """Return the port where Django expects this machine's server; None: it is elsewhere."""
    url = urlsplit(conf.api_url)
    # A path means a reverse proxy before the server, an internal port a second one for the API.
    if by_itself.internal_port or url.path:
        return None
    return url.port if url.hostname in {*_LOOPBACK, by_itself.host} else None


def _names_file(folder: Path) -> Path:
    return folder / "compiled.json"


def _before(folder: Path) -> list[str]:
    """Return the namespaces that were compiled into the file last time."""
    listed = (read_config(_names_file(folder)) or {}).get("namespaces")
    return [str(name) for name in listed] if isinstance(listed, list) else []


def _declared(*, rows_ask: bool = False) -> list[NamespaceOptions]:
    """
    Return all namespaces without a fault in their declaration; instant.E003 names the rest.

    ``rows_ask``: whether the server can ask who may publish to rows in them.
    """
    return [_options(cls, rows_ask=rows_ask) for cls in registered() if not list(cls.problems())]


def _options(cls: type[Namespace], *, rows_ask: bool) -> NamespaceOptions:
    return NamespaceOptions(
        name=cls.name,
        size=cls.delivery.size,
        seconds=int(cls.delivery.ttl.total_seconds()),
        latest=cls.delivery.latest,
        # Whether clients may see it or not: live enforcement finds there who has to go.
        presence=cls.authorize != "open" or cls.presence,
        presence_for_subscribers=cls.allows("presence") == "subscribers",
        join_leave=cls.join_leave,
        history_for_subscribers=cls.allows("history") == "subscribers",
        open=cls.authorize == "open",
        subscribers_publish=cls.client_publish == "subscribers",
        asks_to_subscribe=cls.authorize == "proxy",
        asks_to_publish=cls.client_publish == "ask" or (cls.rows and rows_ask),
    )
