"""User code that must type-check; ``make lint`` runs mypy over it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import assert_type

from django.http import HttpRequest
from django.utils.safestring import SafeString

from instant import (
    Namespace,
    abroadcast,
    apublish,
    batch,
    before_send,
    broadcast,
    on_connect,
    on_publish,
    on_refresh,
    on_rpc,
    on_subscribe,
    publish,
    user_channel,
)
from instant.backends.base import BaseBackend
from instant.exceptions import BatchError, PublishError
from instant.handlers import Call, Outgoing
from instant.html import state
from instant.publishing.publication import Envelope, Publication
from instant.states import states
from instant.tenants import SchemaTenants, Tenants
from instant.testing import CapturedPublications, capture_publications


def published(user: object) -> None:
    """Publish in every way."""
    one = publish("public", "text", data={"a": 1}, event_class="e", bucket="b", on_commit=False)
    assert_type(one, Publication)
    assert_type(one.offset, int | None)
    assert_type(broadcast(["a", "b"], data=[1]), Sequence[Publication])
    with batch():
        publish(user_channel(user), "text")
    try:
        publish("a", "text", using="other")
    except BatchError as exc:
        assert_type(exc.errors, list[PublishError])
    except PublishError as exc:
        assert_type(exc.channel, str | None)


async def apublished() -> None:
    """Publish in every async way."""
    assert_type(await apublish("public", "text"), Publication)
    assert_type(await abroadcast(["a"], "text"), Sequence[Publication])
    async with batch():
        await apublish("a", "text")


def captured() -> None:
    """Capture as in a test."""
    with capture_publications() as sent:
        assert_type(sent, CapturedPublications)
        assert_type(sent[0], Publication)
        assert_type(sent[:1], list[Publication])
        sent.assert_published("a", "text", data={"a": 1}, count=1)


class MyBackend(BaseBackend):
    """A backend of a project's own."""

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Mark all as sent."""
        for envelope in envelopes:
            envelope.mark("sent")


class MyTenants:
    """Tenants of a project's own."""

    def current(self) -> str:
        """Return one."""
        return "acme"

    def all(self) -> list[str]:
        """Return all."""
        return ["acme"]

    @contextmanager
    def activate(self, name: str) -> Iterator[None]:
        """Take none."""
        yield


def page(request: HttpRequest) -> None:
    """Put states into pages and answers."""
    assert_type(state(request, "order:1", ["order:2"]), SafeString)
    found = states(request.user, "order:1")
    assert_type(found["order:1"]["offset"], int)


sites: list[Tenants] = [SchemaTenants(), MyTenants()]
sites.append(MyBackend())  # type: ignore[arg-type]

publish(5, "text")  # type: ignore[arg-type]
publish("a", "b", "c")  # type: ignore[call-arg]
broadcast("a", "text", channel="b")  # type: ignore[call-arg]


class RoomChannel(Namespace):
    """What handlers are about."""

    name = "room"
    pattern = "<int:pk>"


@on_rpc("add", anonymous=True, can=lambda call: call.user.is_staff)
def add(call: Call, a: int, b: int = 1) -> int:
    """Answer a call; it stays what it is."""
    call.progress(0.5)
    return a + b


assert_type(add(Call(user=None), 1), int)


@on_publish(RoomChannel, session=True)
@on_subscribe("room:*", can="auth.view_user")
async def moderate(call: Call, pk: int) -> dict[str, object]:
    """See publications and subscriptions."""
    return {"user": await call.auser(), "pk": pk}


@on_connect
@on_refresh
def connect(call: Call) -> dict[str, str] | None:
    """Note something."""
    return {"agent": call.headers["User-Agent"]}


@before_send(RoomChannel, event_class="shipped")
def stamp(outgoing: Outgoing, pk: int) -> None:
    """Change what is sent."""
    outgoing.data = {**outgoing.data, "pk": pk, "channel": outgoing.channel}
