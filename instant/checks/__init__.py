"""
System checks.

============ =======================================================================
instant.E001 a setting has a wrong value
instant.E002 the backend can't be imported
instant.E003 a namespace's declaration can't work, or two namespaces have one name
instant.E004 a namespace needs ``PROXY_URL``, and it isn't set
instant.E005 nobody knows who is present on all nodes, and revoking rights needs it
instant.E006 a namespace keeps messages, and NATS, the engine, doesn't
instant.E007 the outbox sends each message twice, and NATS doesn't notice
instant.E008 ``PostgresBrokerBackend``, and PostgreSQL isn't the engine
instant.E009 ``PostgresBrokerBackend``, and Django has no PostgreSQL
instant.E010 a state is public, and only users may connect
instant.E011 a handler can't answer, or two of them claim one name
instant.E012 a stored namespace lets pages publish without Django's knowing
instant.E014 queued calls, and what is to run them isn't there
instant.E015 notifications are to be pushed, or reminded of, and what does it isn't there
instant.E017 a channel is declared twice, or no row may have its name
instant.E018 a model can't broadcast as it declares, or twice
instant.W001 the HMAC key has fewer than 32 bytes
instant.W002 a setting or environment variable differs from the server's ``config.json``
instant.W003 pages of every origin may connect
instant.W004 ``login/`` would bypass the site's second factor
instant.W005 the server's config differs from the settings and the apps' ``realtime.py``
instant.W006 failed logins are counted in a cache that loses count (``check --deploy``)
instant.W007 Django would refuse or redirect what the server asks at ``PROXY_URL``
instant.W008 presence is off in the server's config, and revoking rights needs it
instant.W009 SQLite fails a request that reads and then writes beside another write
instant.W010 nobody looks for rights that end without a signal
instant.W011 an option in the server's config lets any client end Centrifugo 6.9.1
instant.W012 other users of the machine can read the server's config, or write to its folder
instant.W013 ``AUTOSTART`` and a database that other hosts may share (``check --deploy``)
instant.W014 ``ALLOWED_HOSTS`` has ``*``, from which no origins can be compiled
instant.W015 an app has tenants, and Instant doesn't know of them
instant.W016 with the outbox, database routers keep its table from the default database
instant.W017 ``OUTBOX_CONSUMER`` is set, and the outbox is not on PostgreSQL
instant.W018 a handler asks for the session, and no middleware makes any
instant.W019 handlers' policies use a cache that loses count (``check --deploy``)
instant.W020 requests are transactions that may show the past, so pages begin without a state
instant.W021 queued calls, and no setting says what runs them; or Celery takes others first
instant.W022 ``GATEWAY`` is on, and there is no handler that it could call
instant.W023 by the server's config pages publish to stored channels without Django's knowing
instant.W029 tickets of the lite script are in a cache that loses them (``check --deploy``)
instant.W030 pages see only who is present on their own node
instant.W031 the server's config has an engine with which nobody knows who is present on all nodes
instant.W032 reminders of notifications have no links, since nobody knows the site's address
instant.W033 ``OUTBOX_CONSUMER`` with an engine that nodes share, and no ``nodes`` to ask them all
============ =======================================================================
"""

from instant.checks.deploy import (
    check_autostart,
    check_enforcement,
    check_lite,
    check_policies,
    check_throttle,
)
from instant.checks.everyday import check_settings

__all__ = [
    "check_autostart",
    "check_enforcement",
    "check_lite",
    "check_policies",
    "check_settings",
    "check_throttle",
]
