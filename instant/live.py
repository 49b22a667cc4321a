"""Pages that change without JavaScript of their own: HTML that is sent to all who listen."""

from instant.pages.markup import asend_html, send_html

__all__ = ["asend_html", "send_html"]
