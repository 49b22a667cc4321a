"""Object permissions by django-guardian: rules ask them as anywhere, and losing one lets go."""

import json

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from guardian.models import GroupObjectPermission, UserObjectPermission
from guardian.shortcuts import assign_perm, get_objects_for_user, remove_perm

from instant import Namespace, permissions
from instant.revoking.receivers import depends_on
from tests.live.servers import LiveServer, use
from tests.live.subscriber import Subscriber
from tests.real_server import KINDS

pytestmark = [pytest.mark.conformance, pytest.mark.django_db(transaction=True)]

CONFIG = {"channel": {"namespaces": [{"name": "team", "presence": True}]}}
PERM = "auth.view_group"


@pytest.fixture(autouse=True)
def backends(settings):
    settings.AUTHENTICATION_BACKENDS = [
        "django.contrib.auth.backends.ModelBackend",
        "guardian.backends.ObjectPermissionBackend",
    ]


@pytest.fixture(autouse=True)
def team(registry):
    """A namespace as the README has it."""

    class Team(Namespace):
        name = "team"
        pattern = "<int:pk>"
        depends_on = {
            "guardian.UserObjectPermission": lambda perm: {"pk": perm.object_pk},
            "guardian.GroupObjectPermission": lambda perm: {"pk": perm.object_pk},
        }

        def can_subscribe(self, user, pk):
            return user.has_perm(PERM, Group.objects.get(pk=pk))

    depends_on.connect()
    return Team


@pytest.fixture(scope="module", params=KINDS)
def shared(request, tmp_path_factory):
    server = LiveServer(request.param, tmp_path_factory.mktemp("guardian"), **CONFIG)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def live(shared):
    with use(shared, TOKEN_USE=3, ENFORCE_IN_BACKGROUND=False):
        yield shared


@pytest.fixture
def page(live):
    """Log in, ask get_token/ for channels and subscribe to what it grants."""
    sockets = []

    def open_page(user, *channels):
        web = Client(headers={"Sec-Fetch-Site": "same-origin"})
        web.force_login(user)
        body = json.dumps({"channels": channels})
        answer = web.post("/instant/get_token/", body, content_type="application/json").json()
        socket = Subscriber(live.url)
        sockets.append(socket)
        assert "connect" in socket.connect(answer["ws_token"])
        for channel in answer["channels"]:
            assert "subscribe" in socket.subscribe(channel["name"], channel["token"])
        return socket

    yield open_page
    for socket in sockets:
        socket.close()


def lost(socket):
    pushes = [line["push"] for line in socket.pushes()]
    return {push["channel"] for push in pushes if "unsubscribe" in push}


@pytest.fixture
def group(db):
    return Group.objects.create(name="the object")


def test_a_rule_asks_the_object(team, make_user, group, anonymous):
    ann, bob = make_user("ann"), make_user("bob")
    channel = team.channel(pk=group.pk)
    assert not permissions.may(ann, "subscribe", channel)
    assign_perm(PERM, ann, group)
    assert permissions.may(fresh(ann), "subscribe", channel)
    for other in (bob, anonymous):
        assert not permissions.may(other, "subscribe", channel)
    other = team.channel(pk=Group.objects.create(name="another").pk)
    assert not permissions.may(fresh(ann), "subscribe", other)
    assert not permissions.may(fresh(ann), "subscribe", team.channel(pk=99999))  # raises: refused
    remove_perm(PERM, ann, group)
    assert not permissions.may(fresh(ann), "subscribe", channel)


def fresh(user):
    """Return the user as the next request has them: Django remembers permissions."""
    return type(user).objects.get(pk=user.pk)


ENDS = {
    "remove_perm": lambda ann, group: remove_perm(PERM, ann, group),
    "delete": lambda ann, group: UserObjectPermission.objects.get(user=ann).delete(),
    "all of a user": lambda ann, group: UserObjectPermission.objects.filter(user=ann).delete(),
}


@pytest.mark.parametrize("end", ENDS)
def test_who_loses_an_object_lets_go(team, page, make_user, group, end):
    ann, bob = make_user("ann"), make_user("bob")
    other = Group.objects.create(name="another")
    for user in (ann, bob):
        assign_perm(PERM, user, group)
    assign_perm("auth.change_group", ann, other)
    channel = team.channel(pk=group.pk)
    hers, his = page(ann, channel), page(bob, channel)
    remove_perm("auth.change_group", ann, other)
    assert lost(hers) == set()
    ENDS[end](ann, group)
    assert lost(hers) == {channel}
    assert lost(his) == set()


def test_the_members_of_a_group_that_loses_an_object_let_go(team, page, make_user, group):
    ann, bob = make_user("ann", groups=["red"]), make_user("bob", groups=["red"])
    red = Group.objects.get(name="red")
    assign_perm(PERM, red, group)
    assign_perm(PERM, bob, group)
    channel = team.channel(pk=group.pk)
    hers, his = page(ann, channel), page(bob, channel)
    assert GroupObjectPermission.objects.get().object_pk == str(group.pk)
    remove_perm(PERM, red, group)
    assert lost(hers) == {channel}
    assert lost(his) == set()  # has it by himself


def test_100_objects_in_one_request(team, page, make_user, client, django_assert_max_num_queries):
    def can_subscribe_many(self, user, many):
        asked = Group.objects.filter(pk__in=[one["pk"] for one in many])
        # As has_perm(PERM, group), which does not ask whether the user has it for all objects.
        mine = get_objects_for_user(user, PERM, asked, accept_global_perms=False)
        found = set(mine.values_list("pk", flat=True))
        return [one["pk"] in found for one in many]

    team.can_subscribe_many = can_subscribe_many
    ann = make_user("ann", groups=["red"])
    objects = [Group.objects.create(name=f"object {n}") for n in range(100)]
    for one in objects[:30]:
        assign_perm(PERM, ann, one)
    for one in objects[30:50]:
        assign_perm(PERM, Group.objects.get(name="red"), one)
    names = [team.channel(pk=one.pk) for one in objects]
    client.force_login(ann)
    with django_assert_max_num_queries(5):
        answer = client.post(
            "/instant/get_token/",
            json.dumps({"channels": names}),
            content_type="application/json",
            headers={"Sec-Fetch-Site": "same-origin"},
        )
    assert [channel["name"] for channel in answer.json()["channels"]] == names[:50]
