"""Django signals of Instant."""

from django.dispatch import Signal

__all__ = ["enforcement_failed", "publication_failed"]

publication_failed = Signal()
"""
Sent when publications that waited for a commit could not be delivered.

By then the transaction is committed and the caller gone, so nothing is raised. ``sender`` is
the backend's class; arguments are ``publications`` (a list of Publication) and ``error`` (the
PublishError). Django logs what a receiver raises.
"""

enforcement_failed = Signal()
"""
Sent when rights that ended could not be enforced on open connections; it will be tried again.

Arguments: ``loss`` (whom and what it concerns: sets ``channels``, ``reconnects`` and
``disconnects``, dicts ``subscriptions`` and ``permissions``) and ``error``. ``sender`` is the
class of ``loss``. Django logs what a receiver raises.
"""
