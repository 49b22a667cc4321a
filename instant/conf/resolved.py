"""All settings of Instant, resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from instant.centrifugo.config.engine import Engine
from instant.centrifugo.config.values import ENVIRONMENT
from instant.conf.jobs import Jobs
from instant.conf.pools import Pools
from instant.conf.push import Push
from instant.conf.reminders import Reminders
from instant.conf.store import Store
from instant.conf.throttle import Limits, Rate
from instant.conf.trusted_proxies import Proxies
from instant.exceptions import InstantConfigError

__all__ = ["Conf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """All settings of Instant, resolved. Secrets are never part of its repr."""

    backend: str
    """Dotted path of the class that publications are handed to."""
    autostart: bool
    """Whether web processes start the message server."""
    data: Path | None
    """The file for the embedded server's histories."""
    engine: Engine | None
    """What several nodes share; None: the server's config says it."""
    public_url: str | Sequence[str] | None
    """WebSocket address for browsers, or several; None: ``instant.html`` asks the request."""
    public_port: int
    """The port that browsers connect to where ``public_url`` is None."""
    proxy_url: str | None
    """Where the server finds Django; None: it can't ask."""
    proxy_url_given: bool
    """Whether a setting says so; under DEBUG one is assumed."""
    pools: Pools
    """Where the server finds the processes of each pool; it asks all others at proxy_url."""
    pools_url: str
    """Where it finds what balances pools of several addresses."""
    proxy_secrets: tuple[str, ...] = field(repr=False)
    """Any of these shows that it is the server that asks."""
    proxy_secret_text: str | None = field(repr=False)
    """What the server's config has to show, where Django's settings or environment say it."""
    allowed_origins: tuple[str, ...]
    """Origins (globs) whose pages may connect."""
    allowed_origins_given: bool
    """Whether a setting lists them; else they are made from the hosts that Django allows."""
    anonymous: bool
    login: bool
    token_use: int
    """Seconds in which a token may be used."""
    token_life: int
    """Seconds that a connection or subscription lives which a token opened."""
    timeout: float
    """Seconds for one exchange with the server's API, all told."""
    throttle: Limits | None
    """How often logins may fail; None: as often as they like."""
    calls: Rate | None
    """How many calls and publications of one connection are answered; None: all."""
    cache: str
    """Alias in ``CACHES`` of what handlers' policies use."""
    trusted_proxies: Proxies | None
    authentication: tuple[str, ...]
    """Dotted paths of what is asked for a user before the session."""
    gateway: bool
    """Whether methods may be called over HTTP."""
    lite: bool
    """Whether widgets may connect with the lite script."""
    enforces: bool
    """Whether rights that end are enforced on open connections at all."""
    enforces_in_background: bool
    """Whether a thread looks for checks that are due."""
    breaker: int | None
    """Failures in a row after which publications fail at once; None: never."""
    outbox_partitions: int
    outbox_immediate: bool
    """Whether what is a row is sent after the commit too."""
    outbox_keep: int | None
    """Seconds for which rows that were sent are kept; None: not at all."""
    outbox_consumer: str | None = field(repr=False)
    """What Centrifugo connects to, where it sends the rows; None: a relay does."""
    shared_connection: bool
    """Whether the tabs of a browser share one connection, where a page says nothing."""
    check_queries: int
    """How many database queries a check may cost the request whose change it follows."""
    sweep: int | None
    """Seconds in which everybody who is present is asked for again; None: never."""
    tenant: str | None
    """Dotted path of what knows the tenants; None: the site has none."""
    jobs: Jobs
    """What runs queued calls."""
    store: Store | None
    """What is stored of channels that say nothing of it; None: rows aren't asked."""
    push: Push | None
    """How notifications reach those who have no page open; None: not at all."""
    reminders: Reminders | None
    """What becomes of notifications that stay unread; None: nothing."""
    list_limit: int
    """Lists of one model, and of one tenant, that pages may follow at once."""
    stream_limit: int
    """Characters that a stream may have."""
    stream_keep: int | None
    """Seconds for which streams that ended are kept; None: until somebody deletes them."""
    audience: str
    """
    ``aud`` of every token, so that two projects on one server don't share user 1.

    A tenant's tokens have its name behind it.
    """
    api_url: str
    """The server's HTTP API without ``/api``, for example ``http://localhost:8427``."""
    size_limit: int
    """How many bytes the server accepts from a page at once."""
    _api_key: str | None = field(repr=False)
    _hmac_key: str | None = field(repr=False)
    _dir: Path | None
    _file_error: str | None

    @property
    def dir(self) -> Path:
        """The server's folder (binary, config.json); raises where no setting tells it."""
        if self._dir is None:
            # The working directory would give each process another folder, and other keys.
            raise InstantConfigError(
                "Instant keeps the server in BASE_DIR/centrifugo, and there is no BASE_DIR in "
                'the settings. Set it, or INSTANT["DIR"] = "/path/to/centrifugo".'
            )
        return self._dir

    @property
    def websocket_address(self) -> str:
        """Where our own processes connect: PUBLIC_URL, else the browsers' port beside the API."""
        if self.public_url is not None:
            return self.public_url if isinstance(self.public_url, str) else self.public_url[0]
        url = urlsplit(self.api_url)
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
        scheme = "wss" if url.scheme == "https" else "ws"
        return f"{scheme}://{host}:{self.public_port}/connection/websocket"

    @property
    def config_file(self) -> Path:
        """The server's config, which also holds the secrets."""
        return self.dir / "config.json"

    @property
    def api_key(self) -> str:
        """The key of the HTTP API; raises InstantConfigError where none is known."""
        return self._secret(self._api_key, "CENTRIFUGO_API_KEY", "api_key")

    @property
    def hmac_key(self) -> str:
        """The key that signs tokens; raises InstantConfigError where none is known."""
        return self._secret(self._hmac_key, "CENTRIFUGO_HMAC_KEY", "hmac_key")

    def _secret(self, value: str | None, setting: str, name: str) -> str:
        if value:
            return value
        if self._dir is None:
            return str(self.dir)  # raises, and says what is missing
        if self._file_error is not None:
            raise InstantConfigError(
                f"{setting} is not set, and {self._file_error} "
                f"Set {setting} or the environment variable {ENVIRONMENT[name]}, "
                f"or make the file readable for that user."
            )
        raise InstantConfigError(
            f"{setting} is not set and {self.config_file} does not hold it. "
            f"Run “manage.py runserver”, “runws” or “installws”, which write that file, "
            f"or set {setting} or the environment variable {ENVIRONMENT[name]}."
        )
