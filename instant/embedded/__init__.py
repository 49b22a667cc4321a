"""A Centrifugo-compatible server in Python, for development and small sites; without Django.

::

    server = EmbeddedServer(config)          # a config.json's content
    port = await server.start("127.0.0.1", 0)
    ...
    await server.stop()

or `python -m instant.embedded --config config.json`. When a site outgrows it, Centrifugo runs with
the same file.
"""

from __future__ import annotations

from instant.embedded.config.load import ConfigError

from .server import EmbeddedServer

__all__ = ["ConfigError", "EmbeddedServer"]
