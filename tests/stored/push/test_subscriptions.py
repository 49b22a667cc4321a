"""Browsers that are to be notified: they come by the browser's own words, and go with the session."""

import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model, logout
from django.test import Client
from django.utils import timezone

from instant.messages import notify
from instant.models import Message, PushSubscription, QueuedPush
from instant.stored.push import queue, subscriptions
from tests.tenancy.conftest import tenants  # noqa: F401  a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(make_user, client, push):
    user = make_user("ann")
    client.force_login(user)
    return user


@pytest.fixture
def known(ann, client, service, post):
    """Ann's browser, which is subscribed."""
    browser = service.browser()
    assert post("push/subscribe", browser.subscription()).status_code == 200
    return browser


def subscribed(client, post):
    return post("notifications", {"limit": 0}, client).json()["push"]


def test_a_browser_subscribes_and_renews(known, ann, client, post):
    [one] = PushSubscription.objects.all()
    assert one.browser == {k: v for k, v in known.subscription().items() if k != "expirationTime"}
    assert one.user == ann
    assert timedelta(days=13) < one.expires_at - timezone.now() <= timedelta(days=14)
    assert subscribed(client, post)
    assert post("push/subscribe", known.subscription()).status_code == 200
    [again] = PushSubscription.objects.all()
    assert again.pk == one.pk
    assert again.renewed_at > one.renewed_at


def test_it_ends_no_later_than_the_browser_says(ann, service, post):
    soon = (time.time() + 60) * 1000
    post("push/subscribe", service.browser().subscription(expirationTime=soon))
    one = PushSubscription.objects.get()
    assert timedelta(0) < one.expires_at - timezone.now() <= timedelta(seconds=60)
    PushSubscription.objects.update(expires_at=timezone.now())
    assert subscriptions.collect() == 1


def test_a_session_has_one_browser(known, service, post):
    other = service.browser("new-address")
    post("push/subscribe", other.subscription())
    assert [one.endpoint for one in PushSubscription.objects.all()] == [other.endpoint]


def test_the_oldest_of_too_many_give_way(ann, service, post, push):
    push(PER_USER=2)
    for name in "abc":
        client = Client()
        client.force_login(ann)
        post("push/subscribe", service.browser(name).subscription(), client)
    assert [o.endpoint[-1] for o in PushSubscription.objects.order_by("pk")] == ["b", "c"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"endpoint": "https://10.0.0.1/"}, "no push service"),
        ({"endpoint": None}, "not the address"),
        ({"endpoint": "https://evil.example/"}, "SERVICES"),
        ({"keys": None}, "keys"),
        ({"keys": {"p256dh": "AAAA", "auth": "AAAA"}}, "keys"),
        ({"keys": {"p256dh": "ä", "auth": 5}}, "keys"),
        ({"expirationTime": "x"}, "time"),
        ({"expirationTime": 10**400}, "time"),
    ],
)
def test_what_is_no_subscription_is_refused(ann, service, post, more, says):
    answer = post("push/subscribe", service.browser().subscription(**more))
    assert answer.status_code == 400
    assert says in answer.json()["error"]
    assert not PushSubscription.objects.exists()


def test_visitors_and_sites_without_push(client, service, post, settings, make_user, push):
    subscription = service.browser().subscription()
    assert post("push/subscribe", subscription).status_code == 403
    client.force_login(make_user("ann"))
    settings.INSTANT = {**settings.INSTANT, "PUSH": None}
    assert post("push/subscribe", subscription).status_code == 403
    assert "push" not in post("notifications", {}).json()


def test_other_sites_pages_subscribe_nobody(ann, client, service):
    answer = client.post(
        "/instant/push/subscribe/", service.browser().subscription(), content_type="application/json",
        headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    )  # fmt: skip
    assert answer.status_code == 403
    assert not PushSubscription.objects.exists()


def test_who_acts_as_another_is_not_notified_of_theirs(ann, make_user, rf, client, service, push):
    request = rf.post("/")
    request.session, request.user = client.session, make_user("bob")
    with pytest.raises(subscriptions.PermissionDenied):
        subscriptions.subscribe(request, service.browser().subscription())


def test_a_browser_unsubscribes_even_after_its_session(known, client, post):
    client.cookies.clear()
    assert post("push/unsubscribe", {"endpoint": known.endpoint + "x"}).status_code == 200
    assert PushSubscription.objects.exists()
    assert post("push/unsubscribe", {"endpoint": known.endpoint}, Client()).status_code == 200
    assert not PushSubscription.objects.exists()
    assert post("push/unsubscribe", {"endpoint": 5}).status_code == 200


def test_a_logout_ends_it(known, ann, client, post):
    notify(ann, "x")
    assert QueuedPush.objects.exists()
    post("logout", {})
    assert not PushSubscription.objects.exists()
    assert not QueuedPush.objects.exists()


def test_a_logout_by_djangos_own_function_ends_it(known, ann, rf, client):
    other = Client()
    other.force_login(ann)
    request = rf.post("/")
    request.session, request.user = client.session, ann
    logout(request)
    assert not PushSubscription.objects.exists()


def test_a_logout_of_another_session_leaves_it(known, ann, post):
    other = Client()
    other.force_login(ann)
    post("logout", {}, other)
    assert PushSubscription.objects.exists()


def test_a_logout_works_whatever_fails(known, client, post, monkeypatch, caplog):
    def fail():
        raise RuntimeError

    monkeypatch.setattr(subscriptions, "database", fail)
    assert post("logout", {}).status_code == 200
    assert "still there" in caplog.text
    assert "_auth_user_id" not in client.session


def test_a_new_session_key_changes_nothing(known, ann, client, post):
    session = client.session
    session.cycle_key()
    session.save()
    client.cookies["sessionid"] = session.session_key
    assert subscribed(client, post)
    post("logout", {})
    assert not PushSubscription.objects.exists()


def test_a_password_ends_what_other_sessions_had(known, ann, client, post):
    one = PushSubscription.objects.get()
    assert not subscriptions.has_ended(one, ann, timezone.now())
    ann.set_password("other")
    ann.save()
    assert subscriptions.has_ended(one, ann, timezone.now())


def test_the_one_that_changed_it_goes_on_with_its_next_page(known, ann, rf, client, post):
    from django.contrib.auth import update_session_auth_hash

    ann.set_password("other")
    ann.save()
    request = rf.post("/")
    request.session, request.user = client.session, ann
    update_session_auth_hash(request, ann)
    request.session.save()
    client.cookies["sessionid"] = request.session.session_key
    assert not subscribed(client, post)
    assert post("push/subscribe", known.subscription()).status_code == 200
    assert subscribed(client, post)


def test_a_new_secret_key_ends_nothing_while_the_old_one_counts(known, ann, settings):
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [old]
    one = PushSubscription.objects.get()
    assert not subscriptions.has_ended(one, ann, timezone.now())
    settings.SECRET_KEY_FALLBACKS = []
    assert subscriptions.has_ended(one, ann, timezone.now())


def test_users_who_are_deactivated_or_deleted(known, ann):
    one = PushSubscription.objects.get()
    ann.is_active = False
    assert subscriptions.has_ended(one, ann, timezone.now())
    notify(ann, "x")
    get_user_model().objects.all().delete()
    assert not PushSubscription.objects.exists()
    assert not QueuedPush.objects.exists()


def test_another_user_in_the_same_browser_takes_it_over(known, make_user, client, post):
    bob = make_user("bob")
    client.force_login(bob)
    assert not subscribed(client, post)
    post("push/subscribe", known.subscription())
    assert PushSubscription.objects.get().user == bob


def test_the_service_worker_gets_what_is_its_users(known, ann, make_user, client, post):
    id_ = notify(ann, "Shipped", url="/orders/1/")
    answer = post("push/notification", {"id": id_}).json()
    assert answer["unread"] == 1
    assert answer["notification"]["title"] == "Shipped"
    assert answer["notification"]["read"] is False
    assert post("push/notification", {"id": "0" * 32}).status_code == 404
    assert post("push/notification", {"id": 5}).status_code == 400
    bob = make_user("bob")
    client.force_login(bob)
    assert post("push/notification", {"id": id_}).status_code == 403
    post("push/subscribe", known.subscription())
    assert post("push/notification", {"id": id_}).status_code == 404
    client.logout()
    assert post("push/notification", {"id": id_}).status_code == 403


def test_the_service_worker_is_served_for_the_folder_of_its_own(client, push, settings):
    push(ICON="shop/icon.png")
    answer = client.get("/instant/push/worker.js")
    assert answer["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer["Cache-Control"] == "no-cache"
    text = answer.content.decode()
    assert text.startswith('self.instantSite = {"home": "/", "icon": "/static/shop/icon.png"')
    assert "showNotification" in text
    german = client.get("/instant/push/worker.js", headers={"Accept-Language": "de"})
    assert german.status_code == 200
    assert client.post("/instant/push/worker.js").status_code == 405


def test_one_whose_time_is_over_has_ended(known, ann):
    [one] = PushSubscription.objects.all()
    assert not subscriptions.has_ended(one, ann, one.expires_at - timedelta(seconds=1))
    assert subscriptions.has_ended(one, ann, one.expires_at)


def test_a_session_of_another_user_is_not_subscribed(known, ann, make_user, rf, client):
    request = rf.get("/")
    request.session, request.user = client.session, ann
    assert subscriptions.is_subscribed(request)
    request.user = make_user("bob")
    assert not subscriptions.is_subscribed(request)


def test_a_tenants_subscriptions_are_its_own(known, ann, tenants):  # noqa: F811
    PushSubscription.objects.update(tenant="acme")
    [one] = PushSubscription.objects.all()
    message = Message.objects.create(uuid=uuid4(), tenant="acme", channel="user:1", content="{}")
    QueuedPush.objects.create(subscription=one, message=message)
    with tenants.activate("globex"):
        assert not subscriptions.own().exists()
        assert queue.next_due() is None
        assert queue.claim(1) == []
    with tenants.activate("acme"):
        assert subscriptions.own().get() == one
        assert len(queue.claim(1)) == 1
