"""A strict Content Security Policy; Django 6 brings a middleware that can do the same."""

import secrets

from django.conf import settings
from django.http.request import split_domain_port
from instant import conf

# The pages that Django shows for these under DEBUG carry their style inline.
DEBUG_PAGES = {404, 500}


class ContentSecurityPolicy:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.csp_nonce = secrets.token_urlsafe(16)
        response = self.get_response(request)
        if not (settings.DEBUG and response.status_code in DEBUG_PAGES):
            response.headers["Content-Security-Policy"] = policy(request)
        return response


def policy(request):
    # Django's admin brings scripts of its own: its pages say 'self' instead of the nonce.
    is_admin = request.path.startswith("/admin/")
    scripts = "'self'" if is_admin else f"'nonce-{request.csp_nonce}'"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {scripts}",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src 'self' {websockets(request)}",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def websockets(request):
    """Return the origin that the page's socket goes to: another port is another origin."""
    current = conf.current()
    if current.public_url is not None:
        return current.public_url
    scheme = "wss" if request.is_secure() else "ws"
    host, _port = split_domain_port(request.get_host())
    return f"{scheme}://{host}:{current.public_port}"
