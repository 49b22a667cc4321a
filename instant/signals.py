"""Django signals of Instant."""

from django.dispatch import Signal

__all__ = ["enforcement_failed", "publication_failed", "server_lost", "server_returned"]

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

server_lost = Signal()
"""
Sent when ``INSTANT["BREAKER"]`` publications in a row could not reach the server.

Until it replies, publish() fails at once. Once in each process that publishes. Arguments are
``url`` and ``error`` (the PublishError).
"""

server_returned = Signal()
"""
Sent when the server replies again after server_lost.

Arguments are ``url`` and ``not_asked`` (how many calls of this process failed at once meanwhile).
"""
