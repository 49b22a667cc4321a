"""The field of a channel's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["NameField"]

if TYPE_CHECKING:  # generic for the type checker only
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField


class NameField(_CharField):
    """
    Text that compares byte by byte, also on MySQL and MariaDB.

    Their default collations take ``News`` for ``news``, which for the server is another channel.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Return the column's type and, for MySQL, a collation that both of its kinds know."""
        found = super().db_parameters(connection)
        if connection.vendor == "mysql" and not found.get("collation"):
            found["collation"] = "utf8mb4_bin"
        return found
