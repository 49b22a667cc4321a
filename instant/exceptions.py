"""
The errors of Instant.

Two roots: what goes wrong while the program runs, and what is wrong in its settings::

    InstantError
    ├── PublishError              a publication did not reach the server whole
    │   ├── ServerUnreachable     no connection, or it broke off (a ConnectionError too)
    │   │   └── ServerNotAsked    many failed before this one, which was not tried
    │   ├── PublishTimeout        no answer within INSTANT["TIMEOUT"] (a TimeoutError too)
    │   ├── InvalidAPIKey         HTTP 401: the server knows another API key
    │   ├── InvalidReply          an answer that is not Centrifugo's
    │   ├── PayloadTooLarge       too large for any subscriber (a ValueError too)
    │   ├── ServerRefused         the server answered with an error code
    │   │   └── UnknownNamespace  error 102: the namespace is not in the server's config
    │   └── BatchError            some items of a broadcast or a batch were refused
    └── StreamError               a stream can't be written, or not any more
        ├── StreamBusy            somebody else writes it
        ├── StreamCancelled       nobody wants to read on
        ├── StreamLost            it was deleted, or begun anew by another writer
        └── StreamTooLong         the text would be over its limit (a ValueError too)
    ImproperlyConfigured (Django)
    └── InstantConfigError        a setting, a key or the config file is missing or wrong
    ValueError
    ├── InvalidChannelName        a name that no client could subscribe to
    └── InvalidPayload            data that isn't as the namespace declares its events
"""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

__all__ = [
    "BatchError",
    "InstantConfigError",
    "InstantError",
    "InvalidAPIKey",
    "InvalidChannelName",
    "InvalidPayload",
    "InvalidReply",
    "PayloadTooLarge",
    "PublishError",
    "PublishTimeout",
    "ServerNotAsked",
    "ServerRefused",
    "ServerUnreachable",
    "StreamBusy",
    "StreamCancelled",
    "StreamError",
    "StreamLost",
    "StreamTooLong",
    "UnknownNamespace",
]


_INTERNAL = 100


class InstantConfigError(ImproperlyConfigured):
    """A setting, a key or the config file is missing or wrong; the message names what to do."""


class InvalidPayload(ValueError):
    """The data of an event isn't as its namespace declares it; the message names the fields."""


class InvalidChannelName(ValueError):
    """
    A channel name that the server or its clients would refuse.

    The text is English. ``template`` and ``params`` are what it is made of, for forms, which
    translate it.
    """

    def __init__(self, template: str = "", **params: object) -> None:
        super().__init__(template % params if params else template)
        self.template = template
        self.params = params


class InstantError(Exception):
    """Base of all that can go wrong while the program runs; never raised itself."""


class PublishError(InstantError):
    """
    A publication that did not reach the server.

    ``channel`` is the channel it was for (None where several were on the way), ``code``
    Centrifugo's error code or the HTTP status (None where nothing was answered). The
    exception that caused it, if any, is its ``__cause__``.
    """

    def __init__(
        self, message: str, *, channel: str | None = None, code: int | None = None
    ) -> None:
        super().__init__(message)
        self.channel = channel
        self.code = code

    @property
    def is_temporary(self) -> bool:
        """Whether the server was away, or has a problem of its own that may pass."""
        return False

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the attributes when a task queue pickles the error."""
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(
    cls: type[PublishError], args: tuple[object, ...], state: dict[str, object]
) -> PublishError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ServerUnreachable(PublishError, ConnectionError):
    """No connection to the server's HTTP API, or it broke before an answer came."""

    @property
    def is_temporary(self) -> bool:
        """See PublishError."""
        return True


class ServerNotAsked(ServerUnreachable):
    """The server could not be reached many times in a row, so this call did not try."""


class PublishTimeout(PublishError, TimeoutError):
    """The server did not answer in time; whether it published is unknown."""

    @property
    def is_temporary(self) -> bool:
        """See PublishError."""
        return True


class InvalidAPIKey(PublishError):
    """The server answered 401: it was started with another API key."""


class InvalidReply(PublishError):
    """An answer that Centrifugo would not give: another service, or a proxy before it."""


class PayloadTooLarge(PublishError, ValueError):
    """A payload over what a subscriber's queue holds: every reader would be disconnected."""


class ServerRefused(PublishError):
    """The server answered with an error code of its own."""

    @property
    def is_temporary(self) -> bool:
        """See PublishError: true for error 100, “internal”, as when its Redis is away."""
        return self.code == _INTERNAL


class UnknownNamespace(ServerRefused):
    """Error 102: the part of the channel name before ``:`` is not in the server's config."""


class BatchError(PublishError):
    """
    Some items of a broadcast or a batch were refused; the others were published.

    ``errors`` holds one PublishError for each refused item, in order.
    """

    def __init__(self, message: str, *, errors: Sequence[PublishError] = ()) -> None:
        super().__init__(message, code=errors[0].code if errors else None)
        self.errors = list(errors)

    @property
    def is_temporary(self) -> bool:
        """See PublishError: whether that is true of one of them."""
        return any(error.is_temporary for error in self.errors)


class StreamError(InstantError):
    """A stream can't be written, or not any more; the base of what ``instant.streams`` raises."""


class StreamBusy(StreamError):
    """Somebody else writes to the channel's stream, and is alive."""


class StreamCancelled(StreamError):
    """Nobody wants to read on: a page has stopped the stream, or Python code has."""


class StreamLost(StreamError):
    """The stream was deleted, or begun anew by another writer."""


class StreamTooLong(StreamError, ValueError):
    """What was to be written would make the text longer than it may be; nothing of it was."""
