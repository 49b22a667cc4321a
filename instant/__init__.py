"""Live pages for Django: publish() in Python, a message in the browser."""

from instant.namespaces import user_channel
from instant.producers import abroadcast, apublish, batch, broadcast, publish

__all__ = ["abroadcast", "apublish", "batch", "broadcast", "publish", "user_channel"]
