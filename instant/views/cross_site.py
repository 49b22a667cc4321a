"""Whether another site's page has sent a request."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.http import is_same_domain

from instant.views.errors import BadRequest, Forbidden

__all__ = ["check_site"]


def check_site(request: HttpRequest, *, own_credentials: bool = False) -> None:
    """
    Refuse a POST that another site's page has sent. Its body must have been read before.

    Browsers say where a request comes from: ``Sec-Fetch-Site``, and ``Origin`` with every
    POST. Only where both are missing is it Django's own check with its CSRF token; the text
    says whether a program could show ``own_credentials`` instead. Source: Fetch Metadata Request
    Headers, section 2.4; RFC 6454.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site == "same-origin":
        return
    if origin is not None:
        if not _is_own(request, origin):
            raise Forbidden("The request comes from another site; see CSRF_TRUSTED_ORIGINS.")
        return
    if site is not None:
        raise Forbidden("The request comes from another site; see CSRF_TRUSTED_ORIGINS.")
    check = CsrfViewMiddleware(_nothing)
    check.process_request(request)
    try:
        refused = check.process_view(request, _nothing, (), {}) is not None
    except (SuspiciousOperation, MultiPartParserError):  # its token may be in a form
        raise BadRequest("The body can't be read as a form.") from None
    if refused:
        hint = " A program shows credentials of its own." if own_credentials else ""
        raise Forbidden(f"The CSRF token is missing or wrong.{hint}")


def _nothing(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def _is_own(request: HttpRequest, origin: str) -> bool:
    own = f"{'https' if request.is_secure() else 'http'}://{request.get_host()}"
    if origin == own or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        given = urlsplit(origin)
    except ValueError:
        return False
    for trusted in settings.CSRF_TRUSTED_ORIGINS:
        scheme, _, host = trusted.partition("://")
        if (
            host.startswith("*")
            and given.scheme == scheme
            and is_same_domain(given.netloc, host[1:])
        ):
            return True
    return False
