"""Who makes a call over gRPC: what its metadata says, as a request that Django's world can read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import unquote

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest

from instant import conf, permissions
from instant.inbound.answers import Refused
from instant.rights import credentials
from instant.tenancy import current as tenancy

__all__ = ["TENANT", "as_request", "authenticated", "in_tenant"]

TENANT = "instant-tenant"
"""Where the metadata of a site with tenants name one."""

_NOBODY = "show credentials that INSTANT['AUTHENTICATION'] knows"


def as_request(
    path: str, metadata: Iterable[tuple[str, str | bytes]], peer: str, *, secure: bool
) -> HttpRequest:
    """Return a request with the metadata as headers, for authenticators. It has no body."""
    host, _, port = unquote(peer.partition(":")[2]).rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443" if secure else "80",
        "SERVER_PROTOCOL": "HTTP/2",
        "CONTENT_TYPE": "application/grpc",
        "REMOTE_ADDR": host.strip("[]"),
        "REMOTE_PORT": port,
        "wsgi.url_scheme": "https" if secure else "http",
        "wsgi.input": io.BytesIO(),
    }
    for key, value in metadata:
        # “_” would let one header pass for another, as for Django's own server.
        if isinstance(value, str) and "_" not in key:
            name = f"HTTP_{key.upper().replace('-', '_')}"
            environ[name] = f"{environ[name]},{value}" if name in environ else value
    return WSGIRequest(environ)


@contextmanager
def in_tenant(request: HttpRequest) -> Iterator[None]:
    """Go to the tenant that the caller names. Raises Refused where there is none such."""
    if not tenancy.are_used():
        yield
        return
    name = request.headers.get(TENANT, "")
    if not name or not tenancy.is_name(name):
        raise Refused(400, f"name a tenant in the metadata: {TENANT}")
    with ExitStack() as stack:
        try:
            stack.enter_context(tenancy.activate(name))
        except LookupError:
            raise Refused(401, _NOBODY) from None
        yield


def authenticated(request: HttpRequest) -> Any:
    """Return whom the credentials in the metadata name. Raises Refused (401) where they don't."""
    try:
        user = credentials.authenticate(request, conf.current().authentication)
    except credentials.WrongCredentials as exc:
        raise Refused(401, str(exc)) from None
    if user is None or not permissions.is_known(user):
        raise Refused(401, _NOBODY)
    return user
