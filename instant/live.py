"""What pages show without JavaScript of their own: HTML for all who listen, and lists."""

from instant.pages.lists.as_json import LiveRows, alive, live
from instant.pages.markup import asend_html, send_html

__all__ = ["LiveRows", "alive", "asend_html", "live", "send_html"]
