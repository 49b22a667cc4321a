"""Reminders of what stays unread: one for a user, once for a notification, and none is lost."""

import threading
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone, translation

from instant.messages import mark_read, notify
from instant.models import Notification
from instant.stored.notifications import reminding
from instant.stored.notifications.reminding import Reminder

pytestmark = pytest.mark.django_db

SENT = []
FAIL = []


def send(user, notifications):
    if FAIL:
        raise FAIL.pop(0)
    SENT.append(
        (user.username, [one["title"] for one in notifications], translation.get_language())
    )


def wanted(user):
    return user.username != "bob"


def language(user):
    return {"ann": "de"}.get(user.username)


def unsubscribe(user):
    return f"/account/{user.username}/mails/"


@pytest.fixture(autouse=True)
def forgotten():
    SENT.clear()
    FAIL.clear()


@pytest.fixture
def reminders(settings):
    def reminders(**values):
        given = {"AFTER": 30, "URL": "https://shop.example/", **values}
        settings.INSTANT = {**settings.INSTANT, "REMINDERS": given}

    reminders()
    return reminders


@pytest.fixture
def ann(make_user, reminders):
    return make_user("ann", email="ann@example.com")


def due_now():
    Notification.objects.filter(remind_at__isnull=False).update(remind_at=timezone.now())


def remind():
    reminder = Reminder()
    reminder.drain()
    return reminder


def own(name):
    return f"{__name__}.{name}"


def test_a_mail_tells_of_all_that_is_unread(ann):
    notify(ann, "Older", "With\ntext", "/orders/1/")
    read = notify(ann, "Read")
    notify(ann, "<Newer> & more", url="https://other.example/")
    mark_read(ann, [read])
    assert remind().reminded == 0
    due_now()
    assert remind().reminded == 1
    [sent] = mail.outbox
    assert sent.to == ["ann@example.com"]
    assert sent.subject == "[Tests] 2 unread notifications"
    assert sent.body.split("\n\n") == [
        "<Newer> & more\nhttps://other.example/",
        "Older\nWith\ntext\nhttps://shop.example/orders/1/\n",
    ]
    assert not sent.alternatives
    due_now()
    assert remind().reminded == 0
    assert len(mail.outbox) == 1


def test_what_is_due_soon_goes_along(ann, reminders):
    reminders(SEND=own("send"))
    notify(ann, "a")
    due_now()
    notify(ann, "b")
    remind()
    assert SENT == [("ann", ["b", "a"], "en")]
    due_now()
    remind()
    assert len(SENT) == 1


def test_it_waits_for_its_time(ann):
    assert Reminder().look() is None
    notify(ann, "x")
    assert 29 * 60 < Reminder().look() <= 30 * 60
    assert not mail.outbox


def test_nothing_from_before_the_setting(ann, settings, reminders):
    settings.INSTANT = {**settings.INSTANT, "REMINDERS": None}
    notify(ann, "x")
    assert Reminder().look() is None
    reminders()
    assert Notification.objects.get().remind_at is None
    assert Reminder().look() is None


def test_hooks_say_who_wants_them_and_in_which_language(ann, make_user, reminders):
    reminders(WANTED=own("wanted"), LANGUAGE=own("language"), UNSUBSCRIBE=own("unsubscribe"))
    bob, cy = make_user("bob", email="b@example.com"), make_user("cy", email="c@example.com")
    notify([ann, bob, cy], "x")
    due_now()
    remind()
    german, english = sorted(mail.outbox, key=lambda one: one.to)  # in any order
    assert (german.to, english.to) == (["ann@example.com"], ["c@example.com"])
    assert german.subject == "[Tests] 1 ungelesene Benachrichtigung"
    assert english.subject == "[Tests] 1 unread notification"
    there = "https://shop.example/account/ann/mails/"
    assert german.extra_headers["List-Unsubscribe"] == f"<{there}>"
    assert there in german.body
    assert not Notification.objects.filter(remind_at__isnull=False).exists()


def test_who_can_not_be_reached_is_left_alone(ann, make_user):
    bob, cy = make_user("bob"), make_user("cy", email="c@example.com", is_active=False)
    notify([bob, cy], "x")
    due_now()
    remind()
    assert not mail.outbox
    assert not Notification.objects.filter(remind_at__isnull=False).exists()


def test_what_fails_is_tried_again_and_once_only(ann, reminders, caplog):
    reminders(SEND=own("send"))
    notify(ann, "x")
    FAIL.extend([OSError("The mail server is away."), OSError("Still.")])
    waits = []
    for _ in range(2):
        due_now()
        assert remind().failed == 1
        waits.append((Notification.objects.get().remind_at - timezone.now()).total_seconds())
        remind()  # it isn't due
    assert 59 < waits[0] <= 60
    assert 119 < waits[1] <= 120
    assert not SENT
    due_now()
    assert remind().reminded == 1
    assert SENT == [("ann", ["x"], "en")]
    assert caplog.text.count("could not be reminded") == 1


def test_after_three_it_is_the_mail_server(ann, make_user, reminders):
    reminders(SEND=own("send"))
    users = [make_user(f"u{n}") for n in range(5)]
    notify(users, "x")
    due_now()
    FAIL.extend(OSError("away") for _ in range(5))
    reminder = remind()
    assert reminder.failed == 3
    FAIL.clear()
    remind()
    # Who was due at the same moment may be any of them; the three are tried again later.
    assert len({name for name, *_ in SENT}) == 2


def test_it_is_given_up_after_a_week(ann, reminders, caplog):
    reminders(SEND=own("send"))
    notify(ann, "x")
    message = Notification.objects.get().message
    message.created_at = timezone.now() - timedelta(days=8)
    message.save()
    due_now()
    FAIL.append(OSError("away"))
    remind()
    assert Notification.objects.get().remind_at is None
    assert "nobody tries again" in caplog.text


def test_what_a_process_left_that_died_is_anothers_later(ann, reminders):
    reminders(SEND=own("send"))
    notify(ann, "x")
    due_now()
    reminding._claim(ann.pk)
    assert remind().reminded == 0
    due_now()
    assert remind().reminded == 1


def test_one_mail_has_a_hundred_at_most(ann):
    for n in range(102):
        notify(ann, f"No. {n}")
    due_now()
    remind()
    [sent] = mail.outbox
    assert "No. 2\n" in sent.body
    assert "No. 1\n" not in sent.body
    assert "more on the site" in sent.body


def test_a_project_has_templates_of_its_own(ann, settings, tmp_path):
    folder = tmp_path / "instant"
    folder.mkdir()
    (folder / "reminder_subject.txt").write_text("Look,\n{{ user.username }}\n")
    (folder / "reminder.html").write_text("<p>{{ notifications.0.title }}</p>")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    notify(ann, "a < b")
    due_now()
    remind()
    [sent] = mail.outbox
    assert sent.subject == "Look, ann"
    assert [tuple(one) for one in sent.alternatives] == [("<p>a &lt; b</p>", "text/html")]


def test_the_user_goes_and_so_does_what_is_due(ann):
    notify(ann, "x")
    ann.delete()
    due_now()
    assert remind().reminded == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql")
def test_two_processes_remind_once(make_user, reminders):
    reminders(SEND=own("send"))
    users = [make_user(f"u{n}") for n in range(20)]
    notify(users, "x")
    due_now()
    start = threading.Barrier(4)

    def drain():
        start.wait()
        Reminder().drain()
        connection.close()

    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name, *_ in SENT) == sorted(f"u{n}" for n in range(20))
