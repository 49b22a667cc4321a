"""What is done behind a page's back."""

import importlib
import json
import threading
import urllib.request
from datetime import timedelta

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from instant import conf, publish
from instant.live import send_html
from instant.models import LiveList
from instant.pages.lists import resting
from tests.client.hall import counters
from tests.client.hall.fragments import make_note, remove_note, rename_note, rename_quietly  # noqa: F401
from tests.client.hall.models import Order

released = threading.Event()
"""Until it is set, a handler waits."""

_has_room = resting.has_room

_notes = []
_noted = threading.Condition()


def note(text):
    with _noted:
        _notes.append(text)
        _noted.notify_all()


def wait_for_note(text):
    with _noted:
        return _noted.wait_for(lambda: text in _notes, timeout=50)


def notes():
    """Return what handlers have noted since the last time."""
    with _noted:
        found = list(_notes)
        _notes.clear()
    return found


def release(*, again=False):
    """Let the handler go on; with ``again`` the next one waits."""
    released.set()
    if again:
        released.clear()


def put(user, group):
    User.objects.get(username=user).groups.add(Group.objects.get_or_create(name=group)[0])


def take(user, group):
    User.objects.get(username=user).groups.remove(Group.objects.get_or_create(name=group)[0])


def register(user, *groups, **fields):
    created = User.objects.create_user(user, password="pw", **fields)
    for group in groups:
        put(created.username, group)
    return str(created.pk)


def deactivate(user):
    found = User.objects.get(username=user)
    found.is_active = False
    found.save()


def demote(user):
    found = User.objects.get(username=user)
    found.is_staff = False
    found.save()


def wake_up():
    """Import what Instant imports when it first asks the server; on a busy machine a page gives up."""
    importlib.import_module("cent")


def clients():
    """Return how many connections the message server has."""
    settings = conf.current()
    request = urllib.request.Request(
        f"{settings.api_url}/api/info", data=b"{}", headers={"X-API-Key": settings.api_key}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        nodes = json.load(response)["result"]["nodes"]
    return sum(node.get("num_clients", 0) for node in nodes)


def count(channel, times=1):
    numbers = [counters.count(channel) for _ in range(times)]
    return numbers[-1] if numbers else counters.read(channel)


def say(channel, *texts):
    for text in texts:
        publish(channel, text)


def add(channel, *numbers):
    """Send a row for each number to pages with an <instant-source>."""
    for number in numbers:
        send_html(channel, "item.html", {"number": number}, target="#list", action="append")


def order(title, owner=None, **values):
    """Change an order, or make one."""
    user = User.objects.get(username=owner) if owner else None
    with transaction.atomic():
        Order.objects.update_or_create(title=title, defaults={"owner": user, **values})


def rename(title, now):
    found = Order.objects.get(title=title)
    found.title = now
    found.save()


def remove(*titles):
    for one in Order.objects.filter(title__in=titles) if titles else Order.objects.all():
        one.delete()


def secretly(title, **values):
    """Change an order as raw SQL does, without a signal."""
    Order.objects.filter(title=title).update(**values)


def fill_lists(value):
    """Let no more lists be followed, or again."""
    resting.has_room = (lambda _label: False) if value else _has_room


def age_lists(seconds):
    """Let nobody have come for the lists for so long, and the next save ask who watches them."""
    LiveList.objects.update(expires_at=F("expires_at") - timedelta(seconds=seconds))
    resting._looked.clear()


def followed_lists():
    return LiveList.objects.filter(expires_at__gt=timezone.now()).count()


def forget_lists():
    """Let the lists that pages follow have ended."""
    LiveList.objects.all().delete()
