"""The server asks Django: endpoints, config and servers together."""

import json
import logging
import signal
import threading
import time

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import override_settings

from instant import Namespace, conf, namespaces, publish
from instant.deliveries import Stored
from instant.messages import resend
from instant.models import Channel, Message
from instant.rights.tokens import Signer
from instant.server.sync import compare, write
from tests.live.servers import LiveServer, use
from tests.live.subscriber import PATIENCE, Subscriber
from tests.ports import free_port
from tests.real_server import KINDS

pytestmark = [pytest.mark.conformance, pytest.mark.django_db(transaction=True)]

DENIED = {"code": 403, "message": "permission denied"}

# So that the ends of subscriptions are looked at each second, not twice a minute.
IMPATIENT = {
    "client": {"presence_update_interval": "1s", "expired_sub_close_delay": "1s"},
}


class Declarations:
    """What is declared, and what was asked."""

    def __init__(self):
        self.asked = []
        self._new = threading.Condition()

        def can_subscribe(cls, user, pk):
            with self._new:
                self.asked.append(("subscribe", user.pk, pk))
                self._new.notify_all()
            return user.is_staff

        def can_publish(cls, user, pk):
            self.asked.append(("publish", user.pk, pk))
            return user.is_staff

        async def later(cls, user, pk):
            return pk == 1

        self.doc = self._declare(
            "doc", authorize="proxy", client_publish="ask", presence=True, join_leave=True,
            can_subscribe=can_subscribe, can_publish=can_publish,
            connection_info=lambda cls, user, pk: {"name": user.username},
        )  # fmt: skip
        self.token = self._declare("token", client_publish="ask", can_subscribe=can_subscribe)
        self.hall = self._declare("hall", authorize="proxy", can_subscribe=later)

    def wait_until_asked(self, times):
        """Wait until it was asked so often in all who may subscribe."""
        with self._new:
            assert self._new.wait_for(lambda: len(self.asked) >= times, PATIENCE)

    @staticmethod
    def _declare(name, **attributes):
        return type(name, (Namespace,), {"name": name, "pattern": "<int:pk>", **attributes})


@pytest.fixture
def declared(monkeypatch):
    monkeypatch.setattr(namespaces, "_registry", [])
    return Declarations()


@pytest.fixture
def start(tmp_path, declared, live_server):
    """Start a server with the config that syncws would write."""
    running = []

    def start(kind, *, at=None, **instant):
        folder = tmp_path / f"server{len(running)}"
        folder.mkdir()
        server = LiveServer(kind, folder, **json.loads(json.dumps(IMPATIENT)))
        settings = use(
            server,
            ALLOWED_ORIGINS=["http://testserver"],
            PROXY_URL=at or live_server.url,
            ENFORCE_IN_BACKGROUND=False,
            **instant,
        )
        settings.enable()
        running.append((server, settings))
        write(compare(conf.current()))
        server.start()
        return server

    yield start
    for server, settings in reversed(running):
        settings.disable()
        server.kill()


@pytest.fixture(params=KINDS)
def live(request, start):
    return start(request.param)


@pytest.fixture
def connect():
    opened = []

    def connect(server, user):
        subscriber = Subscriber(server.url)
        opened.append(subscriber)
        assert "connect" in subscriber.connect(Signer(user).connection_token().value)
        return subscriber

    yield connect
    for subscriber in opened:
        subscriber.close()


def test_who_may_subscribe(live, declared, connect, make_user, anonymous):
    staff, other = make_user("staff", is_staff=True), make_user("other")
    page = connect(live, staff)
    reply = page.subscribe("doc:1")["subscribe"]
    assert "expires" not in reply  # the server asks when it is over, the page needn't
    assert connect(live, other).subscribe("doc:1")["error"] == DENIED
    assert connect(live, anonymous).subscribe("doc:1")["error"] == DENIED
    assert declared.asked == [
        ("subscribe", staff.pk, 1), ("subscribe", other.pk, 1), ("subscribe", None, 1)
    ]  # fmt: skip
    publish("doc:1", data={"n": 1})
    assert [data["data"] for _, data in page.publications(1)] == [{"n": 1}]


def test_an_async_rule(live, connect, make_user):
    page = connect(live, make_user())
    assert "subscribe" in page.subscribe("hall:1")
    assert page.subscribe("hall:2")["error"] == DENIED


def test_names_that_are_none(live, declared, connect, make_user):
    page = connect(live, make_user(is_staff=True))
    assert page.subscribe("doc:01")["error"] == DENIED
    assert page.subscribe("doc:x")["error"] == DENIED
    assert not declared.asked


def test_a_namespace_with_tokens_is_not_opened(live, declared, connect, make_user, make_channel):
    make_channel("public")
    page = connect(live, make_user(is_staff=True))
    for name in ("token:1", "public", "$users"):
        assert page.subscribe(name)["error"]["code"] == 103
    assert not declared.asked


def test_others_see_the_info(live, connect, make_user):
    page = connect(live, make_user("ann", is_staff=True))
    page.subscribe("doc:1")
    [client] = page.ask(presence={"channel": "doc:1"})["presence"]["presence"].values()
    assert client["chan_info"] == {"name": "ann"}


@pytest.mark.parametrize("kind", KINDS)
def test_joins_are_pushed_to_whom_the_rule_lets_see_them(start, declared, connect, make_user, kind):
    declared.doc.can_see_presence = lambda self, user, pk: user.username == "ann"
    live = start(kind)
    ann = connect(live, make_user("ann", is_staff=True))
    bob = connect(live, make_user("bob", is_staff=True))
    for page in (ann, bob):
        assert "subscribe" in page.subscribe("doc:1")
    cid = connect(live, make_user("cid", is_staff=True))
    cid.subscribe("doc:1")
    while ann.push("join")["join"]["info"]["chan_info"] != {"name": "cid"}:
        pass
    assert not [line for line in bob.pushes() if "join" in line["push"]]
    assert bob.ask(presence={"channel": "doc:1"})["error"]["code"] == 103


def test_publishing_is_asked(live, declared, connect, make_user):
    staff, other = connect(live, make_user(is_staff=True)), connect(live, make_user("other"))
    staff.subscribe("doc:1")
    assert staff.ask(publish={"channel": "doc:1", "data": {"text": "hi"}})["publish"] == {}
    assert staff.publications(1) == [("doc:1", {"text": "hi"})]
    assert other.ask(publish={"channel": "doc:1", "data": {"text": "hi"}})["error"] == DENIED
    refused = staff.ask(publish={"channel": "doc:1", "data": ["no object"]})
    assert refused["error"]["code"] == 400
    assert staff.ask(publish={"channel": "hall:1", "data": {}})["error"]["code"] == 103
    assert staff.quiet()
    assert [kind for kind, *_ in declared.asked] == ["subscribe", "publish", "publish"]


def test_rows_say_who_may_publish(live, connect, make_user, make_channel):
    make_channel("room", publish_level="staff")
    make_channel("board", publish_level="nobody")
    staff, other = make_user(is_staff=True), make_user("other")
    page = connect(live, staff)
    page.subscribe("room", Signer(staff).channel_token("room").value)
    assert page.ask(publish={"channel": "room", "data": {"x": 1}})["publish"] == {}
    assert page.publications(1) == [("room", {"x": 1})]
    assert page.ask(publish={"channel": "board", "data": {}})["error"] == DENIED
    assert connect(live, other).ask(publish={"channel": "room", "data": {}})["error"] == DENIED
    own = f"user:{staff.pk}"
    assert page.ask(publish={"channel": own, "data": {}})["error"]["code"] == 103


def test_a_right_that_ended_has_no_window(live, connect, make_user):
    """Whoever ignores that they were let go gets nothing from the commit on."""
    user = make_user(is_staff=True)
    page = connect(live, user)
    assert "subscribe" in page.subscribe("doc:1")
    page.ask(unsubscribe={"channel": "doc:1"})
    with transaction.atomic():
        get_user_model().objects.update(is_staff=False)
    assert page.subscribe("doc:1")["error"] == DENIED
    assert page.ask(publish={"channel": "doc:1", "data": {}})["error"] == DENIED
    # Neither does a token of before the commit: there is none, and one that is made up is worse.
    assert connect(live, user).subscribe("doc:1")["error"] == DENIED


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_expired_is_asked_for_again(start, declared, connect, make_user, settings, kind):
    live = start(kind)
    page = connect(live, make_user(is_staff=True))
    # Only what comes now is short: a token of a second may be over before it is used.
    settings.INSTANT = {**settings.INSTANT, "TOKEN_USE": 1, "TOKEN_LIFE": 2}
    assert "subscribe" in page.subscribe("doc:1")
    declared.wait_until_asked(len(declared.asked) + 1)  # prolonged, at least once
    assert page.pushes() == []
    get_user_model().objects.update(is_staff=False)
    push = page.push("unsubscribe")
    assert (push["channel"], push["unsubscribe"]["code"]) == ("doc:1", 2501)
    assert page.subscribe("doc:1")["error"] == DENIED


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_s_subscription_ends_with_the_right(
    start, declared, connect, make_user, make_channel, settings, kind
):
    """Whatever the client does: without questions, Centrifugo 6.9.1 takes an expired token."""
    make_channel("$staff", "staff")
    live = start(kind)
    user = make_user(is_staff=True)
    names = ("token:1", "$staff", f"user:{user.pk}")
    page, hostile = connect(live, user), connect(live, user)
    # Only these are short, and long enough for a busy machine to use them.
    settings.INSTANT = {**settings.INSTANT, "TOKEN_USE": 3, "TOKEN_LIFE": 3}
    expired = {name: Signer(user).channel_token(name) for name in names}
    for name in names:
        reply = page.subscribe(name, expired[name].value)["subscribe"]
        assert "expires" not in reply  # the SDK has no refresh to make
    time_over = max(token.exp for token in expired.values()) + 1
    declared.wait_until_asked(2)
    while time.time() < time_over:
        declared.wait_until_asked(len(declared.asked) + 1)
    assert page.pushes() == []  # prolonged: Django was asked, and said yes
    get_user_model().objects.update(is_staff=False)
    ended = {}
    while len(ended) < 2:
        push = page.push("unsubscribe")
        ended[push["channel"]] = push["unsubscribe"]["code"]
    assert ended == {"token:1": 2501, "$staff": 2501}

    assert "subscribe" in hostile.subscribe(names[2], Signer(user).channel_token(names[2]).value)
    hostile.tell(sub_refresh={"channel": names[2], "token": expired[names[2]].value})
    assert hostile.close_code() == 3501


@pytest.mark.parametrize("kind", KINDS)
def test_one_more_namespace_needs_a_reload_only(start, declared, connect, make_user, kind):
    """The proxies are there: they were used from the start."""
    live = start(kind)
    page = connect(live, make_user())
    assert page.subscribe("more:1")["error"]["code"] == 102
    declared._declare("more", authorize="proxy", can_subscribe=lambda cls, user, pk: pk == 1)
    sync = compare(conf.current())
    assert sync.changed
    assert not sync.needs_restart
    write(sync)
    live.process.send_signal(signal.SIGHUP)
    while (reply := page.subscribe("more:1")).get("error", {}).get("code") == 102:
        pass
    assert "subscribe" in reply
    assert page.subscribe("more:2")["error"] == DENIED


@pytest.mark.parametrize("kind", KINDS)
def test_another_secret(start, declared, connect, make_user, caplog, kind):
    live = start(kind)
    user = make_user(is_staff=True)
    page = connect(live, user)
    with override_settings(CENTRIFUGO_PROXY_SECRET="Django was told another one"):
        caplog.set_level(logging.WARNING, "instant.proxy")
        assert page.subscribe("doc:1")["error"] == DENIED
        assert page.ask(publish={"channel": "doc:1", "data": {}})["error"] == DENIED
    assert not declared.asked
    assert "restart the server" in caplog.text
    assert "another one" not in caplog.text
    assert "subscribe" in page.subscribe("doc:1")


@pytest.mark.parametrize("kind", KINDS)
def test_while_django_is_down_nothing_is_allowed(start, declared, connect, make_user, kind):
    live = start(kind, at=f"http://127.0.0.1:{free_port()}")
    page = connect(live, make_user(is_staff=True))
    for reply in (
        page.subscribe("doc:1"),
        page.ask(publish={"channel": "doc:1", "data": {}}),
    ):
        assert reply["error"]["code"] == 100
        assert reply["error"]["temporary"] is True
    assert not declared.asked


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_that_django_does_not_take(start, declared, connect, make_user, kind):
    live = start(kind)
    page = connect(live, make_user(is_staff=True))
    with override_settings(ALLOWED_HOSTS=["site.example"]):
        assert page.subscribe("doc:1")["error"]["code"] == 100
    assert not declared.asked


def test_a_user_who_is_gone(live, connect, make_user):
    user = make_user(is_staff=True)
    page = connect(live, user)
    rows = get_user_model().objects.filter(pk=user.pk)
    rows._raw_delete(rows.db)  # without the signals that end the connection
    assert page.subscribe("doc:1")["error"] == DENIED


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_page_publishes_makes_a_stored_channel(start, connect, make_user, kind):
    live = start(kind, STORE={"MESSAGES": "store", "CREATE": True})
    ann, bob = make_user("ann"), make_user("bob")
    ann.user_permissions.add(Permission.objects.get(codename="add_channel"))
    page, other = connect(live, ann), connect(live, bob)
    said = {"channel": "$new", "data": {"message": "hi"}}
    assert other.ask(publish=said)["error"] == DENIED
    assert page.ask(publish=said)["publish"] == {}
    channel, message = Channel.objects.get(), Message.objects.get()
    assert (message.row, message.sender) == (channel, ann)
    channel.members.add(bob)
    for subscriber, user in ((page, ann), (other, bob)):
        assert "error" not in subscriber.subscribe("$new", Signer(user).channel_token("$new").value)
    resend(message)
    for subscriber in (page, other):
        assert subscriber.publications(1) == [("$new", message.payload)]
    # As a rule would that nobody told: who may not read it any more doesn't get it.
    members = Channel.members.through.objects.filter(user=bob)
    members._raw_delete(members.db)
    resend(message)
    assert page.publications(1) == [("$new", message.payload)]
    pushes = other.pushes()
    assert [set(line["push"]) for line in pushes] == [{"channel", "unsubscribe"}]


@pytest.mark.parametrize("kind", KINDS)
def test_what_everybody_may_read_is_sent_again_to_all(start, declared, connect, make_user, kind):
    declared._declare("wide", authorize="open", delivery=Stored("store"))
    live = start(kind)
    ann = make_user("ann")
    page = connect(live, ann)
    sent = publish("wide:1", "x")
    assert "error" not in page.subscribe("wide:1", Signer(ann).channel_token("wide:1").value)
    assert resend(Message.objects.all()) == 1
    assert page.publications(1) == [("wide:1", sent.payload)]
