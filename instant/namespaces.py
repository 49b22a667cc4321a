"""Channels by the thousand: namespaces that an app declares in its ``realtime.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from asgiref.sync import sync_to_async

from instant.channels import declarations
from instant.channels.patterns import NamespaceError, NoChannelMatch, Pattern
from instant.deliveries import Delivery, Recoverable

__all__ = [
    "METHODS",
    "Action",
    "Namespace",
    "NamespaceError",
    "NoChannelMatch",
    "find_namespace",
    "registered",
    "row_namespaces",
    "tokenless_namespaces",
]

Action = Literal["subscribe", "publish", "presence", "history", "status"]

METHODS: Mapping[Action, str] = {
    "subscribe": "can_subscribe",
    "publish": "can_publish",
    "presence": "can_see_presence",
    "history": "can_read_history",
    "status": "can_see_status",
}
"""The method of a namespace that decides on an action."""

_Dependent = Mapping[str, Any] | Iterable[Mapping[str, Any]] | None

_registry: list[type[Namespace]] = []


class Namespace:
    """
    A kind of channel, declared once and compiled into the server's config.

    Subclass it in an app's ``realtime.py``. ``pattern`` takes path converters as ``path()``
    does, and what they match is handed to the methods. A method may be ``async def``.

    Everything is refused that a subclass does not allow: the methods below answer False.
    """

    name: ClassVar[str]
    """The part before the ``:``; at least two of letters, digits, ``-``, ``_`` and ``.``."""
    pattern: ClassVar[str]
    """The part behind it, for example ``<int:pk>``; a namespace of rows may do without."""
    rows: ClassVar[bool] = False
    """Whether Channel rows may have names in it; for such a name the row decides, not we."""
    delivery: ClassVar[Delivery] = Recoverable()
    presence: ClassVar[bool] = False
    """Whether subscribers may see who else is there, where can_see_presence() isn't overridden."""
    join_leave: ClassVar[bool] = False
    """Whether those who may see it are also told who comes and goes."""
    history: ClassVar[bool] = False
    """
    Whether subscribers may read what the server keeps, where can_read_history() isn't overridden.

    It doesn't limit recovery: whoever may subscribe may have replayed what was missed.
    """
    status: ClassVar[bool] = False
    """
    Whether subscribers may see whether anybody is there, where can_see_status() isn't overridden.
    """
    authorize: ClassVar[Literal["token", "proxy", "open"]] = "token"
    """
    How the server knows who may subscribe.

    ``token``: Django signs each subscription. ``proxy``: the server asks Django each time, so
    that a right ends with the commit. ``open``: Django signs for everybody, and asks no rule.
    """
    client_publish: ClassVar[Literal["nobody", "subscribers", "ask"]] = "nobody"
    """Who may publish from the browser; ``ask``: the server asks Django's can_publish()."""
    pool: ClassVar[str] = ""
    """Which of ``INSTANT["POOLS"]`` the server asks about its channels; ``""`` for none."""
    snapshot_is_public: ClassVar[bool] = False
    """
    Whether what snapshot() returns is the same for everybody: caches may share pages with it.

    It is then asked for an anonymous visitor, whoever asks. Needs ``authorize = "open"``.
    """
    events: ClassVar[Any] = None
    """
    The events of its channels, each with the type of its data: a class with annotations, or a dict.

    A dataclass, a TypedDict, a pydantic model, or a serializer of Django REST framework. What is
    published is checked with ``DEBUG`` and in test runs.
    """
    validate: ClassVar[bool] = False
    """Whether what is published is checked against ``events`` in production, too."""
    depends_on: ClassVar[Mapping[str, Callable[[Any], _Dependent] | Mapping[str, Any]]] = {}
    """
    Models whose changes may take rights away, by label.

    ``{"shop.Order": lambda order: {"pk": order.pk}}``: when an order is saved or deleted,
    whoever is in that channel is asked for again after the commit, as by recheck(). The
    function returns the channel's arguments, a list of them, or None for no channel.

    A dict says more: ``channels`` is that function; ``users`` one that returns whom it may
    concern, users or their primary keys, so that nobody else is asked for; ``fields`` are the
    columns that matter when an instance is saved that was there before.
    ``{"chat.Member": {"channels": lambda m: {"pk": m.room_id}, "users": lambda m: [m.user_id],
    "fields": ["room", "user", "role"]}}``
    """

    _route: ClassVar[Pattern]

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not abstract:
            _registry.append(cls)

    @classmethod
    def channel(cls, **kwargs: Any) -> str:
        """Return the name of a channel; raises NoChannelMatch for other arguments."""
        return f"{cls.name}:{cls.compiled().build(cls.name, cls.__qualname__, kwargs)}"

    @classmethod
    def channels(cls, values: Iterable[Any]) -> list[str]:
        """
        Return the names of many channels, for broadcast().

        ``values`` are what stands for the pattern's parameter, as primary keys
        (``OrderChannel.channels(orders.values_list("pk", flat=True))``), or dicts of arguments
        where it has several. Raises NoChannelMatch for the first that makes no channel.
        """
        return cls.compiled().build_all(cls.name, cls.__qualname__, values)

    @classmethod
    def parse(cls, channel: str) -> dict[str, Any] | None:
        """Return the arguments that a channel's name is made of; None where it is not ours."""
        namespace, colon, rest = channel.partition(":")
        if not colon or namespace != cls.name or not hasattr(cls, "pattern"):
            return None
        return cls.compiled().parse(rest)

    @classmethod
    def recheck(cls, **kwargs: Any) -> None:
        """
        Ask again for everybody who is in a channel of the namespace, after the commit.

        Whoever may subscribe no longer is let go; nobody else notices. The arguments are
        those of channel(); without any, all channels that are in use are looked at. Call it
        where rights end without a signal: ``QuerySet.update()``, raw SQL, another system.
        """
        from instant.enforcement import recheck  # noqa: PLC0415  it asks the rules, and they us

        recheck(cls.channel(**kwargs) if kwargs else f"{cls.name}:*")

    @classmethod
    async def arecheck(cls, **kwargs: Any) -> None:
        """See recheck()."""
        await sync_to_async(cls.recheck)(**kwargs)

    @classmethod
    def touch(cls, queryset: Any) -> None:
        """
        Tell of all rows of a queryset as of updated ones, on the namespace's channels.

        See instant.broadcasts: for changes that Django sends no signal of, of a model that
        broadcasts.
        """
        from instant.broadcasts import touch  # noqa: PLC0415  it publishes, and is asked of us

        touch(queryset, lambda name: cls.parse(name) is not None)

    def can_subscribe(self, user: Any, **kwargs: Any) -> Any:  # noqa: ARG002  for subclasses
        """Tell whether the user (anonymous included) may receive what is published."""
        return False

    def can_publish(self, user: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Tell whether the user may publish from the browser, where ``client_publish`` says ask."""
        return False

    def can_see_presence(self, user: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Tell whether the user may see who is there; overridden, ``presence`` says nothing."""
        return False

    def can_read_history(self, user: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Tell whether the user may read what is kept; overridden, ``history`` says nothing."""
        return False

    def can_see_status(self, user: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Tell whether the user may see whether anybody is there; replaces ``status``."""
        return False

    def can_subscribe_many(self, user: Any, many: Sequence[Mapping[str, Any]]) -> Any:
        """
        Return for each of many channels, given by its arguments, what can_subscribe() would.

        Override it, and its four siblings, where one query can answer for all.
        """
        return [self.can_subscribe(user, **kwargs) for kwargs in many]

    def can_subscribe_users(self, users: Sequence[Any], **kwargs: Any) -> Any:
        """
        Return for each of many users, in their order, what can_subscribe() would.

        For a channel that many are subscribed to, when its rights may have changed: override
        it where one query can answer for all. Anonymous visitors are one of them.
        """
        return [self.can_subscribe(user, **kwargs) for user in users]

    def can_publish_many(self, user: Any, many: Sequence[Mapping[str, Any]]) -> Any:
        """Return for each of many channels what can_publish() would."""
        return [self.can_publish(user, **kwargs) for kwargs in many]

    def can_see_presence_many(self, user: Any, many: Sequence[Mapping[str, Any]]) -> Any:
        """Return for each of many channels what can_see_presence() would."""
        return [self.can_see_presence(user, **kwargs) for kwargs in many]

    def can_read_history_many(self, user: Any, many: Sequence[Mapping[str, Any]]) -> Any:
        """Return for each of many channels what can_read_history() would."""
        return [self.can_read_history(user, **kwargs) for kwargs in many]

    def can_see_status_many(self, user: Any, many: Sequence[Mapping[str, Any]]) -> Any:
        """Return for each of many channels what can_see_status() would."""
        return [self.can_see_status(user, **kwargs) for kwargs in many]

    def readers(self, **kwargs: Any) -> Any:  # noqa: ARG002
        """
        Return the users who have to acknowledge a stored message: a queryset, or a list.

        Only ``Stored("cacheall")`` asks: such a message is deleted when all of them did. Not a
        right: can_subscribe() is asked for each who reads.
        """
        return None

    def connection_info(self, user: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Return what others see of the user in presence, joins and publications; JSON or None."""
        return None

    def snapshot(self, user: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Return the state that a page begins with, as JSON: what publications then change."""
        return None

    def snapshot_many(self, user: Any, many: Sequence[Mapping[str, Any]]) -> Any:
        """Return for each of many channels what snapshot() would; override it for one query."""
        return [self.snapshot(user, **kwargs) for kwargs in many]

    @classmethod
    def has_snapshot(cls) -> bool:
        """Tell whether the class has a state of its own to begin with."""
        return any(
            getattr(cls, name) is not getattr(Namespace, name)
            for name in ("snapshot", "snapshot_many")
        )

    @classmethod
    def has_readers(cls) -> bool:
        """Tell whether the class says who has to acknowledge its messages."""
        return cls.readers is not Namespace.readers

    @classmethod
    def allows(cls, action: Action) -> Literal["nobody", "subscribers", "ask", "everybody"]:
        """Return who may do it; ``ask`` where a method decides."""
        if action == "subscribe":
            return "everybody" if cls.authorize == "open" else "ask"
        if action == "publish":
            return cls.client_publish
        if cls.decides(action):
            return "ask"
        return "subscribers" if getattr(cls, action) else "nobody"

    @classmethod
    def decides(cls, action: Action) -> bool:
        """Tell whether the class has a method of its own for the action."""
        method = METHODS[action]
        return any(
            getattr(cls, name) is not getattr(Namespace, name)
            for name in (method, f"{method}_many")
        )

    @classmethod
    def compiled(cls) -> Pattern:
        """Return its pattern; raises NamespaceError for one that can't work."""
        route = cls.__dict__.get("_route")
        if route is None:
            route = cls._route = Pattern(getattr(cls, "pattern", ""))
        return route

    @classmethod
    def problems(cls) -> Iterator[str]:
        """Yield what is wrong with the declaration."""
        yield from declarations.problems(cls)


def registered() -> list[type[Namespace]]:
    """Return all declared namespaces, in the order of their declaration."""
    return list(_registry)


def find_namespace(channel: str) -> tuple[type[Namespace], dict[str, Any]] | None:
    """Return the namespace that a channel's name belongs to, with its arguments."""
    for cls in _registry:
        kwargs = cls.parse(channel)
        if kwargs is not None:
            return cls, kwargs
    return None


def tokenless_namespaces() -> list[str]:
    """Return the namespaces to whose channels browsers subscribe without a token."""
    return sorted(cls.name for cls in _registry if cls.authorize == "proxy")


def row_namespaces() -> frozenset[str]:
    """Return the namespaces in which rows may have names."""
    return frozenset(cls.name for cls in _registry if cls.rows and hasattr(cls, "name"))
