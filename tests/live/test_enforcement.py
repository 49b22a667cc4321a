"""Rights that end while people are connected, on servers that run."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.test import Client

from instant import Namespace, publish
from instant.models import Channel, Revocation
from instant.revoking.receivers import depends_on
from instant.rights.tokens import Signer
from tests.live.servers import LiveServer, use
from tests.live.subscriber import Subscriber
from tests.real_server import KINDS

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("registry"),
]


@pytest.fixture(scope="module", params=KINDS)
def shared(request, tmp_path_factory):
    """A server with a namespace “doc” whose presence clients can't see."""
    server = LiveServer(request.param, tmp_path_factory.mktemp("live"), **CONFIG)
    server.start()
    yield server
    server.kill()


CONFIG = {
    "channel": {
        "namespaces": [
            {
                "name": "doc",
                "presence": True,
                "history_size": 10,
                "history_ttl": "60s",
                "force_recovery": True,
            }
        ]
    }
}


@pytest.fixture
def live(shared):
    with use(shared, TOKEN_USE=3):
        yield shared


def declare(**attributes):
    attributes = {"name": "doc", "pattern": "<int:pk>", **attributes}
    return type("Doc", (Namespace,), attributes)


class Page:
    """What a page is: a connection with subscriptions, and the tokens that opened it."""

    def __init__(self, server, user, *channels):
        signer = Signer(user)
        self.token = signer.connection_token().value
        self.tokens = {name: signer.channel_token(name).value for name in channels}
        self.socket = Subscriber(server.url)
        assert "connect" in self.socket.connect(self.token)
        self.positions = {}
        for name, token in self.tokens.items():
            reply = self.socket.subscribe(name, token)["subscribe"]
            self.positions[name] = {"offset": reply.get("offset", 0), "epoch": reply["epoch"]}

    def lost(self):
        """Return what it was let go from, after a round trip."""
        return {
            line["push"]["channel"]
            for line in self.socket.pushes()
            if "unsubscribe" in line["push"]
        }

    def hears(self, channel):
        """Tell whether it gets what is published now."""
        publish(channel, "now", on_commit=False)
        found = [
            line
            for line in self.socket.pushes()
            if line["push"].get("channel") == channel and "pub" in line["push"]
        ]
        return bool(found)

    def is_left_alone(self):
        """Tell whether nothing came."""
        return self.socket.pushes() == []

    def closed_with(self):
        return self.socket.close_code()

    def replay(self, channel):
        """Subscribe again with the token from before."""
        return self.socket.subscribe(channel, self.tokens[channel])


@pytest.fixture
def page(live):
    pages = []

    def make(user, *channels):
        pages.append(Page(live, user, *channels))
        return pages[-1]

    yield make
    for one in pages:
        one.socket.close()


def row(name, level="groups", *, groups=(), members=()):
    channel = Channel.objects.create(name=name, level=level)
    channel.groups.set(groups)
    channel.members.set(members)
    return channel


@pytest.fixture
def red(db):
    return Group.objects.create(name="red")


# Changes of rows' rights: each takes $red from ann and leaves bob and $users alone.

CHANGES = {
    "user.groups.remove": lambda ann, red, ch: ann.groups.remove(red),
    "user.groups.clear": lambda ann, red, ch: ann.groups.clear(),
    "user.groups.set": lambda ann, red, ch: ann.groups.set([]),
    "group.user_set.remove": lambda ann, red, ch: red.user_set.remove(ann),
    "group.user_set.clear": lambda ann, red, ch: red.user_set.clear(),
    "group.delete": lambda ann, red, ch: red.delete(),
    "groups.delete": lambda ann, red, ch: Group.objects.filter(pk=red.pk).delete(),
    "channel.groups.remove": lambda ann, red, ch: ch.groups.remove(red),
    "channel.groups.clear": lambda ann, red, ch: ch.groups.clear(),
    "group.channel_set.remove": lambda ann, red, ch: red.channel_set.remove(ch),
    "group.channel_set.clear": lambda ann, red, ch: red.channel_set.clear(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_who_loses_a_group_lets_go(live, page, make_user, red, change):
    ann, bob = make_user("ann", groups=["red"]), make_user("bob")
    channel = row("$red", groups=[red], members=[bob])
    row("$users", "users")
    hers, his = page(ann, "$red", "$users"), page(bob, "$red", "$users")
    CHANGES[change](ann, red, channel)
    assert hers.lost() == {"$red"}
    assert not hers.hears("$red")
    assert hers.hears("$users")
    assert his.lost() == set()
    assert his.hears("$red")


def test_a_member_who_is_taken_off_lets_go(live, page, make_user):
    for number, change in enumerate(
        (
            lambda ann, ch: ch.members.remove(ann),
            lambda ann, ch: ch.members.clear(),
            lambda ann, ch: ann.channel_set.remove(ch),
            lambda ann, ch: ann.channel_set.clear(),
        )
    ):
        ann = make_user(f"ann{number}")
        channel = row(f"$m{number}", members=[ann])
        hers = page(ann, channel.name)
        change(ann, channel)
        assert hers.lost() == {channel.name}


def test_who_keeps_the_channel_otherwise_does_not_notice(live, page, make_user, red):
    blue = Group.objects.create(name="blue")
    ann = make_user("ann", groups=["red", "blue"])
    row("$both", groups=[red, blue])
    hers = page(ann, "$both")
    ann.groups.remove(red)
    assert hers.lost() == set()
    assert hers.hears("$both")


def test_what_is_given_back_in_the_same_transaction_is_not_lost(live, page, make_user, red):
    ann = make_user("ann", groups=["red"])
    row("$red", groups=[red])
    hers = page(ann, "$red")
    with transaction.atomic():
        ann.groups.clear()
        ann.groups.add(red)
    assert hers.lost() == set()


def test_a_rollback_loses_nothing(live, page, make_user, red):
    ann = make_user("ann", groups=["red"])
    row("$red", groups=[red])
    hers = page(ann, "$red")
    with transaction.atomic(), pytest.raises(RuntimeError), transaction.atomic():
        ann.groups.clear()
        raise RuntimeError
    assert hers.lost() == set()
    assert [r.loss for r in Revocation.objects.all()] == []


def test_nothing_is_lost_before_the_commit(live, page, make_user, red):
    ann = make_user("ann", groups=["red"])
    row("$red", groups=[red])
    hers = page(ann, "$red")
    with transaction.atomic():
        ann.groups.clear()
        assert hers.lost() == set()
    assert hers.lost() == {"$red"}


def _deactivate(channel):
    channel.is_active = False
    channel.save()


def _rename(channel):
    channel.name, channel.level = "$private", "users"
    channel.save()


@pytest.mark.parametrize(
    "change", [_deactivate, _rename, Channel.delete, lambda c: Channel.objects.all().delete()]
)
def test_a_channel_that_ends_lets_everybody_go(live, page, make_user, change):
    channel = row("news", "public")
    anonymous, ann = page(None, "news"), page(make_user("ann"), "news")
    change(channel)
    assert anonymous.lost() == ann.lost() == {"news"}


def test_another_level_lets_those_go_who_have_not(live, page, make_user):
    channel = row("$staff", "users")
    ann, sam = page(make_user("ann"), "$staff"), page(make_user("sam", is_staff=True), "$staff")
    channel.level = "staff"
    channel.save(update_fields=["level"])
    assert ann.lost() == {"$staff"}
    assert sam.lost() == set()


# Users


def _unstaff(user):
    user.is_staff = False
    user.save()


def test_who_is_staff_no_more_loses_staff_channels(live, page, make_user):
    sam, root = make_user("sam", is_staff=True), make_user("root", is_superuser=True)
    row("$staff", "staff")
    row("$root", "superuser")
    row("$users", "users")
    his = page(sam, "$staff", "$users")
    roots = page(root, "$staff", "$root", "$users")
    _unstaff(sam)
    assert his.lost() == {"$staff"}
    assert roots.lost() == set()
    root.is_superuser, root.is_staff = False, True
    root.save(update_fields=["is_superuser", "is_staff"])
    assert roots.lost() == {"$root"}


def test_too_many_channels_to_name_ask_again_for_all(live, page, make_user):
    sam = make_user("sam", is_staff=True)
    Channel.objects.bulk_create(Channel(name=f"$s{n}", level="staff") for n in range(101))
    his = page(sam, "$s7")
    _unstaff(sam)
    assert his.closed_with() == 4000


def _deactivate_user(user):
    user.is_active = False
    user.save()


@pytest.mark.parametrize("change", [_deactivate_user, get_user_model().delete])
def test_a_user_who_is_no_more_is_out(live, page, make_user, change):
    ann = make_user("ann")
    row("news", "public")
    hers, others = page(ann, "news"), page(make_user("bob"), "news")
    change(ann)
    assert hers.closed_with() == 3503
    assert others.hears("news")


def test_a_new_password_ends_what_other_browsers_have(live, page, make_user):
    ann = make_user("ann")
    hers = page(ann)
    ann.first_name = "Ann"
    ann.save()
    assert hers.is_left_alone()
    ann.set_password("new")
    ann.save()
    assert hers.closed_with() == 4000


def test_logging_out_asks_the_other_connections_again(live, page, make_user):
    ann = make_user("ann")
    row("$users", "users")
    client, other = Client(), Client()
    client.force_login(ann)
    other.force_login(ann)
    hers = page(ann, "$users")
    how = {"headers": {"Sec-Fetch-Site": "same-origin"}, "content_type": "application/json"}
    assert client.post("/instant/logout/", "{}", **how).status_code == 200
    assert hers.closed_with() == 4000
    assert [row.loss for row in Revocation.objects.all()] == [{"reconnects": [str(ann.pk)]}]
    # The browser that logged out is a stranger now, the other one goes on.
    answer = client.post("/instant/get_token/", "{}", **how).json()
    assert [channel["name"] for channel in answer["channels"]] == []
    answer = other.post("/instant/get_token/", "{}", **how).json()
    assert "$users" in [channel["name"] for channel in answer["channels"]]


# Code-declared channels


@pytest.fixture
def view_group(db):
    content_type = ContentType.objects.get_for_model(Group)
    return Permission.objects.get(content_type=content_type, codename="view_group")


PERMISSIONS = {
    "user": lambda user, red, perm: user.user_permissions.remove(perm),
    "user clear": lambda user, red, perm: user.user_permissions.clear(),
    "reverse": lambda user, red, perm: perm.user_set.remove(user),
    "reverse clear": lambda user, red, perm: perm.user_set.clear(),
    "delete": lambda user, red, perm: perm.delete(),
    "group": lambda user, red, perm: red.permissions.remove(perm),
    "group clear": lambda user, red, perm: red.permissions.clear(),
    "group reverse": lambda user, red, perm: perm.group_set.remove(red),
    "group reverse clear": lambda user, red, perm: perm.group_set.clear(),
}


@pytest.mark.parametrize("change", PERMISSIONS)
def test_who_loses_a_permission_is_asked_again(live, page, make_user, red, view_group, change):
    declare(can_subscribe=lambda self, user, pk: user.has_perm("auth.view_group"))
    by_group = change.startswith("group")
    ann = make_user("ann", groups=["red"])
    bob = make_user("bob", groups=["red"])
    if by_group:
        red.permissions.add(view_group)
        bob.user_permissions.add(view_group)  # has it by himself
    else:
        ann.user_permissions.add(view_group)
    hers, his = page(ann, "doc:1"), page(bob)
    PERMISSIONS[change](ann, red, view_group)
    assert hers.closed_with() == 4000
    if change != "delete":
        assert his.is_left_alone()


def test_without_rules_in_code_nobody_is_asked_again(live, page, make_user, red, view_group):
    ann = make_user("ann", groups=["red"])
    ann.user_permissions.add(view_group)
    hers = page(ann)
    ann.user_permissions.clear()
    ann.groups.clear()
    assert hers.is_left_alone()
    assert [r.loss for r in Revocation.objects.all()] == []


def test_recheck_finds_those_who_may_no_more(live, page, make_user):
    allowed = set()
    doc = declare(can_subscribe=lambda self, user, pk: user.pk in allowed)
    ann, bob = make_user("ann"), make_user("bob")
    hers, his = page(ann, "doc:1", "doc:2"), page(bob, "doc:1")
    allowed.add(bob.pk)
    doc.recheck(pk=1)
    assert hers.lost() == {"doc:1"}
    assert his.lost() == set()
    doc.recheck()
    assert hers.lost() == {"doc:2"}
    allowed.clear()
    with transaction.atomic():
        doc.recheck(pk=1)
        assert his.lost() == set()
    assert his.lost() == {"doc:1"}


def test_an_async_rule_is_asked_too(live, page, make_user):
    async def can_subscribe(self, user, pk):
        return False

    doc = declare(can_subscribe=can_subscribe)
    hers = page(make_user("ann"), "doc:1")
    doc.recheck(pk=1)
    assert hers.lost() == {"doc:1"}


def test_a_model_on_which_a_rule_depends(live, page, make_user):
    """A group stands for an order, its name for the customer."""
    declare(
        can_subscribe=lambda self, user, pk: Group.objects.filter(
            pk=pk, name=user.username
        ).exists(),
        depends_on={
            "auth.Group": lambda group: {"pk": group.pk},
            "auth.User": lambda user: [
                {"pk": pk} for pk in user.groups.values_list("pk", flat=True)
            ],
        },
    )
    depends_on.connect()
    ann = make_user("ann")
    order, other = Group.objects.create(name="ann"), Group.objects.create(name="ann2")
    hers = page(ann, f"doc:{order.pk}")
    other.save()
    order.save()
    assert hers.lost() == set()
    order.name = "bob"
    order.save()
    assert hers.lost() == {f"doc:{order.pk}"}
    order.name = "ann"
    order.save()
    name = f"doc:{order.pk}"
    hers = page(ann, name)
    order.delete()
    assert hers.lost() == {name}


def test_a_kept_channel_recovers_without_a_gap(live, page, make_user, red):
    declare(can_subscribe=lambda self, user, pk: pk == 1)
    ann = make_user("ann", groups=["red"])
    hers = page(ann, "doc:1")
    publish("doc:1", "before", on_commit=False)
    position = hers.positions["doc:1"]
    ann.groups.clear()
    assert hers.closed_with() == 4000
    publish("doc:1", "meanwhile", on_commit=False)
    again = Subscriber(live.url)
    signer = Signer(ann)
    again.connect(signer.connection_token().value)
    reply = again.subscribe("doc:1", signer.channel_token("doc:1").value, recover=True, **position)[
        "subscribe"
    ]
    assert reply["recovered"]
    assert [p["data"]["message"] for p in reply["publications"]] == ["before", "meanwhile"]
    again.close()
