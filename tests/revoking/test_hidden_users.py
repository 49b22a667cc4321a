"""Users whom the site's authentication returns no more, though they are in the database and active."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import override_settings

from instant import Namespace
from instant.centrifugo.api.commands import Disconnect, Unsubscribe
from instant.enforcement import recheck
from instant.models import Revocation
from instant.revoking import follow_up, run
from instant.revoking.affected import Affected
from instant.revoking.sweep import Sweep
from tests.rights.test_accounts import NoBots

HERE = "tests.rights.test_accounts"


@pytest.fixture
def doc(client, registry):
    rule = {"name": "doc", "pattern": "<int:pk>", "can_subscribe": lambda self, user, pk: True}
    return type("Doc", (Namespace,), rule)


@pytest.fixture(params=["a backend hides them", "a manager hides them"])
def hidden(request, client, doc, make_user, monkeypatch):
    """One who was deleted softly just now, and one who is as ever; both are everywhere."""
    gone, stays = make_user("bot", groups=["red", "blue"]), make_user("ann", groups=["red"])
    client.inside = {name: {str(gone.pk), str(stays.pk)} for name in ("doc:1", "$red", "news")}
    if request.param == "a manager hides them":
        manager = NoBots()
        manager.model = get_user_model()
        monkeypatch.setattr(get_user_model()._meta, "default_manager", manager, raising=False)
        yield gone
        return
    get_user_model().objects.filter(pk=gone.pk).update(last_name="deleted")
    with override_settings(AUTHENTICATION_BACKENDS=[f"{HERE}.Undeleted"]):
        yield gone


@pytest.fixture(autouse=True)
def rows(make_channel):
    make_channel("$red", "groups", groups=["red"])
    make_channel("news")


def test_recheck_and_its_follow_up_let_them_go(hidden, client, committed):
    sub = str(hidden.pk)
    for channel in ("doc:1", "$red", "news"):
        client.batches.clear()
        with committed():
            recheck(channel)
        assert client.changes == [Unsubscribe(sub, channel)]
    client.batches.clear()
    assert follow_up.follow_up(Revocation.objects.latest("due_at").due_at) == 3
    assert client.changes == [Unsubscribe(sub, channel) for channel in ("$red", "doc:1", "news")]


def test_the_sweep_lets_them_go(hidden, client):
    Sweep().all_at_once()
    sub = str(hidden.pk)
    assert client.changes == [Unsubscribe(sub, channel) for channel in ("$red", "doc:1", "news")]


def test_any_change_lets_them_go(hidden, client, committed):
    with committed():
        run.revoke(Affected(disconnects={str(hidden.pk)}))
        hidden.groups.remove(Group.objects.get(name="blue"))
    assert Disconnect(str(hidden.pk), 3503, "access ended") in client.changes


@pytest.fixture(params=["a backend hides them", "a manager hides them", "a backend's condition"])
def may_hide(request, client, doc, monkeypatch, settings):
    """Return what is saved in a user to hide them."""
    if request.param == "a manager hides them":
        manager = NoBots()
        manager.model = get_user_model()
        monkeypatch.setattr(get_user_model()._meta, "default_manager", manager, raising=False)
        return {"username": "bot"}
    if request.param == "a backend hides them":
        settings.AUTHENTICATION_BACKENDS = [f"{HERE}.Undeleted"]
        return {"last_name": "deleted"}
    settings.AUTHENTICATION_BACKENDS = [f"{HERE}.NotLocked"]
    return {"last_name": "locked"}


def test_who_is_saved_as_hidden_goes_at_the_commit(may_hide, client, make_user, committed):
    ann = make_user("ann")
    with committed():
        ann.first_name = "Ann"
        ann.save()
    assert client.batches == []
    with committed():
        for name, value in may_hide.items():
            setattr(ann, name, value)
        ann.save()
        assert client.changes == []
    assert client.changes == [Disconnect(str(ann.pk), 3503, "access ended")]


def test_a_site_that_hides_nobody_pays_nothing(client, doc, make_user, django_assert_num_queries):
    ann = make_user("ann")
    with django_assert_num_queries(2):
        ann.save()


def test_a_login_is_no_reason_to_ask(may_hide, make_user, django_assert_num_queries):
    ann = make_user("ann")
    with django_assert_num_queries(1):
        ann.save(update_fields=["last_login"])


def test_a_backend_that_is_asked_for_each_user_stays_within_the_cost(
    client, doc, make_user, committed, settings, django_assert_max_num_queries
):
    settings.AUTHENTICATION_BACKENDS = [f"{HERE}.Undeleted"]
    users = [make_user(f"user{n}", last_name="deleted") for n in range(30)]
    subs = {str(user.pk) for user in users}
    client.inside = {"doc:1": subs}
    with committed():
        doc.recheck(pk=1)
        with django_assert_max_num_queries(28):
            run.immediate_check([run.Change(Affected(disconnects=subs), None)])
    assert client.changes == []
    assert not Revocation.objects.filter(is_last=True).exists()
    follow_up.follow_up()
    assert {command.user for command in client.changes} == subs
