"""How settings, environment and config.json become one ``Conf``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.text import slugify

from instant.centrifugo.config.defaults import DEFAULT_PORT
from instant.centrifugo.config.values import ENVIRONMENT, ServerValues, read_values
from instant.conf import isolation
from instant.conf.keys import DEFAULTS, TYPES, parse_secrets
from instant.conf.parsers import AS_GIVEN, PARSED
from instant.conf.resolved import Conf
from instant.exceptions import InstantConfigError

__all__ = ["Stamp", "differences", "resolve", "site_name", "stamp", "tenant_path"]

_T = TypeVar("_T")

WEBSOCKET_PATH = "/connection/websocket"
"""Where Centrifugo and the embedded server answer WebSockets."""

Stamp = tuple[int, int, int] | None
"""Time, size and inode of the file."""


def stamp(path: str | None) -> Stamp:
    """Return by what a change of the file shows; None where there is none."""
    if path is None:
        return None
    try:
        stat = os.stat(path)  # noqa: PTH116  a Path costs as much as the call itself
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def resolve() -> tuple[Stamp, str | None, Conf]:
    """Return the settings as they are, and the file they come from as it was before it was read."""
    values = _given()
    directory = _directory(values["DIR"])
    path = None if directory is None else str(directory / "config.json")
    before = stamp(path)
    server = read_values(path)
    port, public_port = _ports(server)
    secrets = _proxy_secrets()
    conf = Conf(
        backend=values["BACKEND"] or DEFAULTS["BACKEND"],
        autostart=settings.DEBUG if values["AUTOSTART"] is None else values["AUTOSTART"],
        data=_data(values["DATA"], directory),
        public_url=_public_url(values["PUBLIC_URL"]),
        public_port=public_port,
        proxy_url=_proxy_url(values["PROXY_URL"]),
        proxy_url_given=values["PROXY_URL"] is not None,
        pools_url=values["POOLS_URL"].rstrip("/"),
        proxy_secrets=secrets or server.proxy_secrets,
        proxy_secret_text=_proxy_secret_text(secrets),
        allowed_origins=_origins(values["ALLOWED_ORIGINS"]),
        allowed_origins_given=values["ALLOWED_ORIGINS"] is not None,
        timeout=float(values["TIMEOUT"]),
        enforces=values["ENFORCE"],
        enforces_in_background=values["ENFORCE_IN_BACKGROUND"],
        sweep=values["TOKEN_LIFE"] if values["SWEEP"] == "TOKEN_LIFE" else values["SWEEP"],
        authentication=tuple(values["AUTHENTICATION"]),
        audience=_audience(server, tenants=values["TENANT"] is not None),
        api_url=_api_url(server, port),
        size_limit=server.size_limit,
        _api_key=_key("CENTRIFUGO_API_KEY", server.api_key),
        _hmac_key=_key("CENTRIFUGO_HMAC_KEY", server.hmac_key) or isolation.spare_key(),
        _dir=directory,
        _file_error=server.error,
        **{name: values[name.upper()] for name in AS_GIVEN},
        **{name: _read(name.upper(), parse, values) for name, parse in PARSED.items()},
    )
    return before, path, conf


def _given() -> Mapping[str, Any]:
    """Return the setting INSTANT with what holds where a key isn't given; each fits its type."""
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
    return values


def _audience(server: ServerValues, *, tenants: bool) -> str:
    variable = ENVIRONMENT["audience"]
    if tenants and os.environ.get(variable):
        raise InstantConfigError(
            f"{variable} names one audience, and with INSTANT['TENANT'] each tenant has its own. "
            f"Unset it: “manage.py syncws” writes what the server needs into its config."
        )
    return server.audience or slugify(site_name()) or "site"


def _data(given: str | os.PathLike[str] | None, directory: Path | None) -> Path | None:
    return None if given is None else (directory or Path()) / given


def _read(key: str, parse: Callable[[object], _T], values: Mapping[str, Any]) -> _T:
    try:
        return parse(values[key])
    except ValueError as exc:
        raise InstantConfigError(f"INSTANT[{key!r}] {exc}.") from None


def site_name() -> str:
    """Return what publications name as their ``site``: the setting SITE_NAME, or “Site”."""
    return str(getattr(settings, "SITE_NAME", "") or "Site")


def tenant_path() -> str | None:
    """Return what INSTANT["TENANT"] names; publish() asks for nothing else of the settings."""
    given = getattr(settings, "INSTANT", None)
    path = given.get("TENANT") if isinstance(given, Mapping) else None
    if path is not None and not isinstance(path, str):
        raise InstantConfigError(f"INSTANT['TENANT'] must be a dotted path, not {path!r}.")
    return path or None


def differences(conf: Conf) -> list[str]:
    """
    Return which settings and variables name another value than the server's config.json.

    A port is only compared where it is the server's own, with no proxy or second port.
    """
    directory = conf._dir  # noqa: SLF001  without a folder nothing can differ
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


def _public_url(given: str | list[str] | tuple[str, ...] | None) -> str | list[str] | None:
    """Complete addresses without a path, at which no server answers WebSockets."""
    if given is None:
        return None
    if not isinstance(given, str):
        return [_with_path(url) for url in given]
    return _with_path(given)


def _with_path(url: str) -> str:
    parts = urlsplit(url)
    return url if parts.path not in {"", "/"} else parts._replace(path=WEBSOCKET_PATH).geturl()


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
    """Yield globs for the origins of the hosts that Django allows; under DEBUG on any port."""
    yield from settings.CSRF_TRUSTED_ORIGINS
    for host in settings.ALLOWED_HOSTS:
        for glob in _host_globs(host.lower()):
            for scheme in ("https", "http"):
                yield f"{scheme}://{glob}"
                if settings.DEBUG:
                    yield f"{scheme}://{glob}:*"
    if settings.DEBUG:
        # An unescaped [::1] is a character class in a glob and never matches.
        for host in ("localhost", "*.localhost", "127.0.0.1", r"\[::1\]"):
            yield f"http://{host}:*"
            yield f"http://{host}"


def _host_globs(host: str) -> tuple[str, ...]:
    """Return the globs for an entry of ALLOWED_HOSTS; see Django's ``validate_host()``."""
    if host == "*":
        # In production a proxy may vouch for the host, and we don't know for which.
        return ("*",) if settings.DEBUG else ()
    escaped = re.sub(r"([\[\]{}?\\])", r"\\\1", host)
    if "*" in escaped:  # Django takes it literally
        return ()
    return (escaped[1:], f"*{escaped}") if escaped.startswith(".") else (escaped,)
