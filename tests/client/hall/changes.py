"""What is done behind a page's back."""

import importlib

from django.contrib.auth.models import Group, User

from instant import publish
from tests.client.hall import counters


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


def wake_up():
    """Import what Instant imports when it first asks the server; on a busy machine a page gives up."""
    importlib.import_module("cent")


def count(channel, times=1):
    numbers = [counters.count(channel) for _ in range(times)]
    return numbers[-1] if numbers else counters.read(channel)


def say(channel, *texts):
    for text in texts:
        publish(channel, text)
