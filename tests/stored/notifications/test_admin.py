"""Notifications and browsers in the admin."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instant.messages import mark_read, notify
from instant.models import Message, Notification, PushSubscription

pytestmark = pytest.mark.django_db

LIST, BROWSERS = "/admin/instant/notification/", "/admin/instant/pushsubscription/"


@pytest.fixture
def ann(make_user):
    return make_user("ann")


@pytest.fixture
def staff(client, make_user):
    def staff(*codenames):
        user = make_user("editor", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return staff


def test_the_list_says_who_has_read_what(ann, staff):
    read, _unread = notify(ann, "First <b>"), notify(ann, "Second")
    mark_read(ann, [read])
    web = staff("view_notification", "view_message_content")
    page = web.get(LIST).content.decode()
    assert "First &lt;b&gt;" in page
    assert "Second" in page
    assert "First" in (only_read := web.get(LIST, {"read": "1"}).content.decode())
    assert "Second" not in only_read
    assert "First" not in web.get(LIST, {"read": "0"}).content.decode()
    assert "Second" in web.get(LIST, {"q": "ann"}).content.decode()
    assert "Second" not in web.get(LIST, {"q": "bob"}).content.decode()


def test_what_they_say_is_shown_with_a_permission_only(ann, staff):
    id_ = notify(ann, "Secret", "Very secret", "/secret/")
    web = staff("view_notification")
    pk = Notification.objects.get().pk
    for page in (web.get(LIST), web.get(f"{LIST}{pk}/change/")):
        assert id_ in page.content.decode()
        assert "ecret" not in page.content.decode()
    Permission.objects.get(codename="view_message_content").user_set.add(
        type(ann).objects.get(username="editor")
    )
    assert "Very secret" in web.get(f"{LIST}{pk}/change/").content.decode()


def test_nobody_makes_or_edits_any_here(ann, staff):
    notify(ann, "x")
    web = staff("view_notification", "view_pushsubscription")
    assert web.get(f"{LIST}add/").status_code == 403
    assert web.post(f"{LIST}{Notification.objects.get().pk}/delete/").status_code == 403
    assert web.get(BROWSERS).status_code == 200
    assert web.get(f"{BROWSERS}add/").status_code == 403


def test_deleting_deletes_the_message(ann, staff):
    for n in range(3):
        notify(ann, str(n))
    web = staff("view_notification", "delete_message", "delete_notification")
    pks = list(Notification.objects.values_list("pk", flat=True))
    web.post(f"{LIST}{pks[0]}/delete/", {"post": "yes"})
    assert Message.objects.count() == 2
    body = {"action": "delete_selected", "_selected_action": pks[:2], "post": "yes"}
    web.post(LIST, body)
    assert Message.objects.count() == 1


def test_the_list_takes_as_many_queries_for_many(ann, make_user, staff):
    web = staff("view_notification", "view_message_content")
    notify(ann, "x")
    web.get(LIST)
    with CaptureQueriesContext(connection) as few:
        web.get(LIST)
        count = len(few)
    notify([make_user(f"u{n}") for n in range(30)], "x")
    with CaptureQueriesContext(connection) as many:
        web.get(LIST)
        assert len(many) == count


def test_browsers_are_listed_without_their_addresses(ann, staff):
    PushSubscription.objects.create(
        user=ann, endpoint="https://fcm.googleapis.com/fcm/send/secret", digest="d", session="s"
    )
    web = staff("view_pushsubscription", "delete_pushsubscription")
    page = web.get(BROWSERS).content.decode()
    assert "fcm.googleapis.com" in page
    assert "secret" not in page
    pk = PushSubscription.objects.get().pk
    assert "secret" not in web.get(f"{BROWSERS}{pk}/change/").content.decode()
    web.post(f"{BROWSERS}{pk}/delete/", {"post": "yes"})
    assert not PushSubscription.objects.exists()
