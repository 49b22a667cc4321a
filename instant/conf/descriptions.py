"""What each setting does, for the documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["DESCRIPTIONS", "PLAIN_SETTINGS", "Description"]


class Description(NamedTuple):
    """What a setting does, as Markdown for the documents, whose tables are made of these."""

    text: str
    default: str = ""
    """What holds where it isn't set; empty where the value in ``DEFAULTS`` says it all."""


PLAIN_SETTINGS: Mapping[str, Description] = {
    "SITE_NAME": Description("The `site` that publications name.", '`"Site"`'),
    "CENTRIFUGO_HOST": Description(
        "Where Django reaches the server's HTTP API: scheme and host, such as `http://localhost`.",
        "the address in `config.json`, else `http://localhost`",
    ),
    "CENTRIFUGO_PORT": Description(
        "The port of the server's HTTP API. Where the server runs on this machine, `runws` and "
        "`AUTOSTART` write it into `config.json`.",
        "the port in `config.json`, else 8427",
    ),
    "CENTRIFUGO_HMAC_KEY": Description("The key that signs tokens.", "`config.json`"),
    "CENTRIFUGO_API_KEY": Description("The key of the server's HTTP API.", "`config.json`"),
    "CENTRIFUGO_PROXY_SECRET": Description(
        "The secret that the server shows when it asks Django, or a list: the secret to use, then "
        "others that are still accepted. `syncws` writes the first into the server's config.",
        "`config.json`",
    ),
}
"""Django settings of their own, outside ``INSTANT``."""

DESCRIPTIONS: Mapping[str, Description] = {
    "BACKEND": Description(
        "Dotted path of the class that takes publications: "
        "`instant.backends.centrifugo.CentrifugoBackend`, "
        "`instant.backends.outbox.OutboxBackend` (see [The outbox](outbox.md)), "
        "`instant.backends.postgres.PostgresBrokerBackend` (in the transaction, see "
        "[Past one machine](scaling.md#publications-in-the-transaction)), "
        "`instant.backends.console.ConsoleBackend` (prints them), "
        "`instant.backends.locmem.LocmemBackend` (keeps them in a list), or your own subclass of "
        "`instant.backends.BaseBackend`.",
        "`CentrifugoBackend`; `LocmemBackend` under pytest",
    ),
    "DIR": Description(
        "The server's folder: its program, and `config.json` with the keys.",
        '`BASE_DIR / "centrifugo"`',
    ),
    "AUTOSTART": Description(
        "Whether the message server starts with the web server: with `runserver`, and with any "
        "WSGI or ASGI server. `False` leaves it to `runws`. See "
        "[Started by the web server](../centrifugo/README.md#started-by-the-web-server).",
        "`True` under `DEBUG`, otherwise `False`",
    ),
    "DATA": Description(
        "The file in which the embedded server keeps histories over a restart, as with "
        "`runws --data`. A relative path starts in `DIR`. Centrifugo doesn't use it.",
        "`None`: histories end with the server",
    ),
    "ENGINE": Description(
        'What the server keeps messages in: `"memory"`, or an address of Redis (a list of them '
        "are shards), NATS or PostgreSQL, through which several nodes are one server. A dict names "
        "`broker` and, where that doesn't know who is present, `presence` (a Redis) or `nodes` "
        "(each node's API). `runws` and `syncws` write it into the server's config. See "
        "[Past one machine](scaling.md).",
        'what `config.json` says; `"memory"` in a new one',
    ),
    "PUBLIC_URL": Description(
        "The WebSocket address that browsers connect to, such as "
        "`wss://example.com/connection/websocket` (the path that an address without one gets); or "
        "a list of addresses that they try in turn.",
        "the request's host with the server's port; `wss://` if the request is secure",
    ),
    "PROXY_URL": Description(
        "Where the server reaches Django, such as `http://127.0.0.1:8000`. Its host must be in "
        "`ALLOWED_HOSTS`. For a site below a path, see "
        "[A site below a path](proxies.md#a-site-below-a-path).",
        "`None`; `http://127.0.0.1:8000` under `DEBUG`",
    ),
    "POOLS": Description(
        "Processes of Django that answer for handlers and namespaces of a pool, and for nothing "
        'else: `{"heavy": ["http://127.0.0.1:8001", "http://127.0.0.1:8002"]}`. A pool that is not '
        "named here is asked at `PROXY_URL`. See [Pools](pools.md).",
        "`{}`",
    ),
    "POOLS_URL": Description(
        "Where the server finds nginx, which balances pools of several addresses: "
        "`syncws --nginx FILE` writes its part of the config."
    ),
    "ALLOWED_ORIGINS": Description(
        "Origins (globs) whose pages may connect to the server. `installws`, `runws` and `syncws` "
        "write them into its config, and remove those that they wrote before. Origins that you "
        "add there stay.",
        "from `CSRF_TRUSTED_ORIGINS` and `ALLOWED_HOSTS` (`.example.com` with its subdomains, `*` "
        "under `DEBUG` only); under `DEBUG` on any port, and this machine too",
    ),
    "ANONYMOUS": Description("Whether visitors who aren't logged in may connect."),
    "LOGIN": Description(
        "Whether the endpoint `login/` works. Set it to `False` on a site with a second factor."
    ),
    "TOKEN_USE": Description("Seconds for which a token can be used to connect or subscribe."),
    "TOKEN_LIFE": Description(
        "Seconds, ± 10 %, that a connection or subscription lasts before the page has to ask "
        "Django again."
    ),
    "TIMEOUT": Description(
        "Seconds for one call to the server's API: connecting, sending and reading together. "
        "Looking up its host name is not counted. A request that carries many publications has "
        "half a millisecond more for each."
    ),
    "ENFORCE": Description(
        "Whether rights that are revoked end on open connections. `False` turns all of it off: "
        "whoever is subscribed stays until the subscription expires."
    ),
    "ENFORCE_IN_BACKGROUND": Description(
        "Whether a thread in each web process runs follow-up checks after rights were revoked. "
        "Where threads can't run, set it to `False` and run `manage.py enforce --watch`.",
        "`True`; `False` under pytest",
    ),
    "BREAKER": Description(
        "After so many publications in a row that could not reach the server, others fail at once "
        "until it replies; one at a time still tries. `None`: each tries."
    ),
    "OUTBOX_PARTITIONS": Description(
        "Into how many lanes the outbox's rows are divided by channel. Each lane keeps its order, "
        "and several relays work on different ones."
    ),
    "OUTBOX_IMMEDIATE": Description(
        "Whether a publication that is a row of the outbox is also sent right after the commit, by "
        "the process that published it. The row is deleted then; where that fails it is sent later."
    ),
    "OUTBOX_KEEP": Description(
        "Seconds for which `relay_outbox` keeps rows that were sent. `None`: they are deleted at "
        "once."
    ),
    "OUTBOX_CONSUMER": Description(
        "How Centrifugo connects to PostgreSQL to send the outbox's rows by itself, such as "
        "`postgresql://centrifugo:…@127.0.0.1/shop`. No relay runs then.",
        "`None`: `relay_outbox` and `runws` send them",
    ),
    "CHECK_QUERIES": Description(
        "How many database queries the check after a change may cost the request that made the "
        "change. What is left is done in the background at once."
    ),
    "SWEEP": Description(
        "Seconds within which everybody who is subscribed by a right is checked again, for rights "
        "that end without a signal; `None` for never.",
        "`TOKEN_LIFE`",
    ),
    "THROTTLE": Description(
        "How often `login/` may fail: for one user name from one address (`PAIR`), for one address "
        "(`ADDRESS`), for one user name from everywhere (`NAME`). `CACHE` is the alias in `CACHES` "
        "that counts. A dict changes the keys that it names; `None` lifts one limit, or all.",
        '`{"PAIR": "10/5m", "ADDRESS": "30/5m", "NAME": "100/5m", "CACHE": "default"}`',
    ),
    "CALLS": Description(
        "How many calls and publications of one connection Django answers, such as `20/s`; others "
        "are refused (429). `None`: all. See [Policies](policies.md#every-connection)."
    ),
    "CACHE": Description(
        "The alias in `CACHES` where handlers' policies count and keep answers, see "
        "[Policies](policies.md)."
    ),
    "TRUSTED_PROXIES": Description(
        'Networks of your reverse proxies, such as `["10.0.0.0/8"]`, or `"unix"` for a Unix '
        "socket. Their `X-Forwarded-For` header tells where a login comes from. `[]` says that "
        "there is no proxy."
    ),
    "AUTHENTICATION": Description(
        "Dotted paths of authenticators for clients without a session. They are asked in order, "
        "before the session.",
        "`[]`",
    ),
    "GATEWAY": Description(
        "Whether `rpc/<method>/` answers callers without a connection by the handlers of the apps. "
        "See [The gateway](gateway.md)."
    ),
    "SHARED_CONNECTION": Description(
        "Whether the tabs of a browser share one connection to the message server, where the same "
        "user is signed in. `{% instant_script shared=True %}` says it for one page. See "
        "[One connection a browser](tabs.md)."
    ),
    "LITE": Description(
        "Whether pages may listen with the lite script, over one-way connections that `runws` and "
        "`syncws` switch on. See [The lite script](lite.md)."
    ),
    "TENANT": Description(
        "Dotted path of what knows the site's tenants, so that none sees another's channels and "
        "users on the server that they share: `instant.tenants.SchemaTenants` for django-tenants, "
        "or a class of your own. See [Tenants](tenants.md)."
    ),
    "JOBS": Description(
        "What runs calls of handlers with `queue=`, see [Queued calls](queues.md). `RUNNER` is "
        '`"runjobs"` (`manage.py runjobs`), `"tasks"` (Django\'s tasks, with `BACKEND`, a name in '
        '`TASKS`) or `"celery"`. A job of which nothing is heard for `LEASE` seconds is run again, '
        "at most `ATTEMPTS` times in all. Tickets are deleted `KEEP` seconds after their end. A "
        "dict changes the keys that it names.",
        '`{"RUNNER": None, "BACKEND": "default", "LEASE": 60, "ATTEMPTS": 3, "KEEP": 86400}`; '
        "`None` counts as `runjobs`, and a check asks",
    ),
    "STORE": Description(
        "Which messages are rows in the database, too, until their readers acknowledged them, see "
        "[Stored channels](stored.md). `MESSAGES` is the rule for channels in the admin that have "
        "none of their own, `REQUESTS` and `RESPONSES` the same for requests and answers: "
        '`"disabled"`, `"cache"`, `"cacheall"` or `"store"`. With `CREATE` what a user sends to a '
        "channel that isn't there makes it, if they may add channels. `MAX_AGE` (seconds) and "
        "`MAX_COUNT` (of one channel) delete earlier. `None`: rows aren't asked; namespaces with "
        "`delivery = Stored(…)` are stored all the same.",
    ),
    "PUSH": Description(
        "How notifications reach people who have no page open, see "
        "[Notifications](notifications.md#when-no-page-is-open). `PRIVATE_KEY` is what "
        "`manage.py vapidkeys` prints and `CONTACT` a `mailto:` address for push services. "
        "`SERVICES` are hosts of push services beside the known ones, `PER_USER` (10) is how many "
        "browsers of one user are notified. A notification is pushed `DELAY` (0) seconds later, "
        "and given up after `TTL` (86,400); with `UNLESS_PRESENT` it isn't where the user has a "
        "page open. A push service is waited for `TIMEOUT` (10) seconds. `ICON` is a picture in "
        "the static files.",
        "`None`: nothing is pushed",
    ),
    "REMINDERS": Description(
        "What is done about notifications that are unread `AFTER` (30) minutes, see "
        "[Notifications](notifications.md#e-mails-about-what-stays-unread). `SEND` gets user and "
        "notifications, and is an e-mail unless it is named; `WANTED` gets a user and tells "
        "whether they want any, `LANGUAGE` returns their language, `UNSUBSCRIBE` where they can "
        "opt out: dotted paths of functions. `URL` is the site's address, for links in e-mails.",
        "`None`: nothing is done",
    ),
    "LIST_LIMIT": Description(
        "How many lists of one model, and of one tenant, pages may follow at once, see "
        "[Live lists](lists.md#how-many-lists). More are shown and not followed."
    ),
    "STREAM_LIMIT": Description(
        "How many characters a stream may have, see [Streams](streams.md#limits). Of one stream "
        "`stream(…, limit=)` says it."
    ),
    "STREAM_KEEP": Description(
        "Seconds after which `manage.py collect_streams` deletes a stream that has ended, see "
        "[Streams](streams.md#how-long-a-text-is-kept). `None`: never."
    ),
}
"""What each key of ``INSTANT`` does."""
