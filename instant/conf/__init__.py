"""
Settings, read when they are used.

Four plain settings name the server (``CENTRIFUGO_HOST``, ``CENTRIFUGO_PORT``,
``CENTRIFUGO_HMAC_KEY``, ``CENTRIFUGO_API_KEY``), ``SITE_NAME`` the site, and one dict,
``INSTANT``, holds the rest. A Django setting wins over Centrifugo's own environment
variable, which wins over ``config.json`` in ``INSTANT["DIR"]``.

``current()`` returns it all in one frozen ``Conf``. It is kept until a setting is overridden
(``setting_changed``) or the file changes, because publish() asks for it each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.text import slugify

from instant.centrifugo.config.file import DEFAULT_PORT
from instant.centrifugo.config.values import ENVIRONMENT, ServerValues, read_values
from instant.conf.keys import DEFAULTS, TYPES, parse_secrets
from instant.exceptions import InstantConfigError
from instant.views.client_address import Proxies, parse_proxies
from instant.views.login_throttle import Limits, parse_limits

__all__ = ["DEFAULTS", "ENVIRONMENT", "Conf", "current", "differences", "site_name"]

_T = TypeVar("_T")

DEFAULT_BACKEND = "instant.backends.centrifugo.CentrifugoBackend"
"""What ``INSTANT["BACKEND"]`` is where it isn't given; the pytest plugin sets another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """All settings of Instant, resolved. Secrets are never part of its repr."""

    backend: str
    """Dotted path of the class that publications are handed to."""
    public_url: str | Sequence[str] | None
    """WebSocket address for browsers, or several; None: ``instant.html`` asks the request."""
    public_port: int
    """The port that browsers connect to where ``public_url`` is None."""
    proxy_url: str | None
    """Where the server finds Django; None: it can't ask."""
    proxy_url_given: bool
    """Whether a setting says so; under DEBUG one is assumed."""
    proxy_secrets: tuple[str, ...] = field(repr=False)
    """Any of these shows that it is the server that asks."""
    proxy_secret_text: str | None = field(repr=False)
    """What the server's config has to show, where Django's settings or environment say it."""
    allowed_origins: tuple[str, ...]
    """Origins (globs) whose pages may connect."""
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
    trusted_proxies: Proxies | None
    authentication: tuple[str, ...]
    """Dotted paths of what is asked for a user before the session."""
    enforces_in_background: bool
    """Whether a thread of each process that hands out tokens makes second passes."""
    audience: str
    """``aud`` of every token, so that two projects on one server don't share user 1."""
    api_url: str
    """The server's HTTP API without ``/api``, for example ``http://localhost:8427``."""
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
                'the settings. Set it, or INSTANT = {"DIR": "/path/to/centrifugo"}.'
            )
        return self._dir

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
            f"Run “manage.py installws” (or “manage.py runws”), which writes that file, "
            f"or set {setting} or the environment variable {ENVIRONMENT[name]}."
        )


_Stamp = tuple[int, int, int] | None
_cached: tuple[_Stamp, str | None, Conf] | None = None


def current() -> Conf:
    """Return the settings as they are now; raise InstantConfigError for a wrong one."""
    global _cached  # noqa: PLW0603  one value per process, replaced whole
    cached = _cached
    if cached is not None and cached[0] == _stamp(cached[1]):
        return cached[2]
    conf, path, stamp = _resolve()
    _cached = (stamp, path, conf)
    return conf


def _forget(**_kwargs: Any) -> None:
    global _cached  # noqa: PLW0603  see current()
    _cached = None


setting_changed.connect(_forget, dispatch_uid="instant.conf")


def _stamp(path: str | None) -> _Stamp:
    if path is None:
        return None
    try:
        stat = os.stat(path)  # noqa: PTH116  a Path costs as much as the call itself
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _resolve() -> tuple[Conf, str | None, _Stamp]:
    given = getattr(settings, "INSTANT", None)
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise InstantConfigError(f"INSTANT must be a dict, not {type(given).__name__}.")
    unknown = sorted(set(given) - set(DEFAULTS), key=str)
    if unknown:
        raise InstantConfigError(
            f"INSTANT has the unknown key {unknown[0]!r}. Known are: {', '.join(sorted(DEFAULTS))}."
        )
    values = {**DEFAULTS, **given}
    for key, (what, fits) in TYPES.items():
        if not fits(values[key]):
            raise InstantConfigError(f"INSTANT[{key!r}] must be {what}, not {values[key]!r}.")
    if values["TOKEN_LIFE"] < values["TOKEN_USE"]:
        raise InstantConfigError(
            f"INSTANT['TOKEN_LIFE'] ({values['TOKEN_LIFE']}) is less than INSTANT['TOKEN_USE'] "
            f"({values['TOKEN_USE']}): a connection would end before its token does."
        )
    directory = _directory(values["DIR"])
    path = None if directory is None else str(directory / "config.json")
    stamp = _stamp(path)
    server = read_values(path)
    port, public_port = _ports(server)
    name = site_name()
    secrets = _proxy_secrets()
    conf = Conf(
        backend=values["BACKEND"] or DEFAULT_BACKEND,
        public_url=values["PUBLIC_URL"],
        public_port=public_port,
        proxy_url=_proxy_url(values["PROXY_URL"]),
        proxy_url_given=values["PROXY_URL"] is not None,
        proxy_secrets=secrets or server.proxy_secrets,
        proxy_secret_text=_proxy_secret_text(secrets),
        allowed_origins=_origins(values["ALLOWED_ORIGINS"]),
        anonymous=values["ANONYMOUS"],
        login=values["LOGIN"],
        token_use=values["TOKEN_USE"],
        token_life=values["TOKEN_LIFE"],
        timeout=float(values["TIMEOUT"]),
        enforces_in_background=values["ENFORCE_IN_BACKGROUND"],
        throttle=_read("THROTTLE", parse_limits, values),
        trusted_proxies=_read("TRUSTED_PROXIES", parse_proxies, values),
        authentication=tuple(values["AUTHENTICATION"]),
        audience=server.audience or slugify(name) or "site",
        api_url=_api_url(server, port),
        _api_key=_key("CENTRIFUGO_API_KEY", server.api_key),
        _hmac_key=_key("CENTRIFUGO_HMAC_KEY", server.hmac_key),
        _dir=directory,
        _file_error=server.error,
    )
    return conf, path, stamp


def _read(key: str, parse: Callable[[object], _T], values: Mapping[str, Any]) -> _T:
    try:
        return parse(values[key])
    except ValueError as exc:
        raise InstantConfigError(f"INSTANT[{key!r}] {exc}.") from None


def site_name() -> str:
    """Return what publications name as their ``site``: the setting SITE_NAME, or “Site”."""
    return str(getattr(settings, "SITE_NAME", "") or "Site")


def differences() -> list[str]:
    """
    Return which settings and variables name another value than the server's config.json.

    A port is only compared where it is the server's own, with no proxy or second port.
    """
    directory = current()._dir  # noqa: SLF001  without a folder nothing can differ
    server = read_values(None if directory is None else str(directory / "config.json"))
    in_file = dict(server.in_file)
    if server.internal_port or getattr(settings, "CENTRIFUGO_HOST", None):
        in_file["port"] = None
    found = []
    for setting, name in (
        ("CENTRIFUGO_API_KEY", "api_key"),
        ("CENTRIFUGO_HMAC_KEY", "hmac_key"),
        ("CENTRIFUGO_PORT", "port"),
    ):
        for source, value in (
            (setting, getattr(settings, setting, None)),
            (ENVIRONMENT[name], os.environ.get(ENVIRONMENT[name])),
        ):
            if value and in_file[name] and str(value) != str(in_file[name]):
                found.append(source)
    return found


def _directory(given: str | os.PathLike[str] | None) -> Path | None:
    if given is not None:
        return Path(given)
    base = getattr(settings, "BASE_DIR", None)
    return None if base is None else Path(base) / "centrifugo"


def _key(setting: str, elsewhere: Any) -> str | None:
    key = getattr(settings, setting, None) or elsewhere or None
    if key is None:
        return None
    if not isinstance(key, str) or not key.isascii() or not key.isprintable():
        # It travels in a header. Neither the message nor a traceback's locals must show it.
        del key, elsewhere
        raise InstantConfigError(f"{setting} must be a str of printable ASCII characters.")
    return key


def _proxy_url(given: str | None) -> str | None:
    if given is None:
        return "http://127.0.0.1:8000" if settings.DEBUG else None  # where runserver listens
    return given.rstrip("/")


def _proxy_secrets() -> tuple[str, ...]:
    try:
        return parse_secrets(getattr(settings, "CENTRIFUGO_PROXY_SECRET", None))
    except ValueError as exc:
        raise InstantConfigError(f"CENTRIFUGO_PROXY_SECRET {exc}.") from None


def _proxy_secret_text(secrets: tuple[str, ...]) -> str | None:
    if secrets:
        return secrets[0]
    variable = ENVIRONMENT["proxy_secret"]  # the file names it: so it isn't written down
    return f"${{{variable}}}" if os.environ.get(variable) else None


def _ports(server: ServerValues) -> tuple[int, int]:
    """Return the port of the server's API, and the port for browsers."""
    given = getattr(settings, "CENTRIFUGO_PORT", None)
    if given in (None, ""):
        given = None
    if server.internal_port:  # two ports: the setting names the API's
        public = server.port or DEFAULT_PORT
        api = server.internal_port if given is None else given
    else:
        public = api = (server.port or DEFAULT_PORT) if given is None else given
    try:
        ports = int(str(api)), int(str(public))  # neither True nor 8.7 is a port
    except ValueError:
        ports = 0, 0
    if not all(0 < port < 65536 for port in ports):  # noqa: PLR2004  16 bits
        raise InstantConfigError(f"CENTRIFUGO_PORT must be a port number, not {api!r}.")
    return ports


def _api_url(server: ServerValues, port: int) -> str:
    host = getattr(settings, "CENTRIFUGO_HOST", None)
    if host is None:
        host = server.api_host
    if not isinstance(host, str) or not host.strip():
        raise InstantConfigError(f"CENTRIFUGO_HOST must be like “http://localhost”, not {host!r}.")
    url = urlsplit(host if "://" in host else f"http://{host}")
    try:
        wrong = url.scheme not in {"http", "https"} or not url.hostname or url.query or url.username
        own_port = url.port
    except ValueError:
        wrong, own_port = True, None
    if wrong:
        raise InstantConfigError(
            f"CENTRIFUGO_HOST must be like “http://localhost” or “https://push.example.com”, "
            f"not {'one with a password' if '@' in host else repr(host)}."
        )
    name = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"{url.scheme}://{name}:{own_port or port}{url.path.rstrip('/')}"


def _origins(given: list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    if given is not None:
        return tuple(dict.fromkeys(given))
    return tuple(dict.fromkeys(_default_origins()))


def _default_origins() -> Iterator[str]:
    yield from settings.CSRF_TRUSTED_ORIGINS
    for host in settings.ALLOWED_HOSTS:
        if not host.startswith(".") and "*" not in host:
            escaped = host.lower().replace("[", r"\[").replace("]", r"\]")
            yield f"https://{escaped}"
            yield f"http://{escaped}"
    if settings.DEBUG:
        # An unescaped [::1] is a character class in a glob and never matches (centrifugo.md, 13).
        for host in ("localhost", "127.0.0.1", r"\[::1\]"):
            yield f"http://{host}:*"
            yield f"http://{host}"
