"""A strict Content Security Policy; Django 6 brings a middleware that can do the same."""

import secrets

from django.conf import settings
from instant.html import connect_sources

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
            "worker-src 'self'",  # the service worker, for notifications without a page
            "img-src 'self'",
            # Another port is another origin, so the message server's is named: with ws: and, for
            # networks that let no WebSocket through, with http:.
            f"connect-src 'self' {' '.join(connect_sources(request))}",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )
