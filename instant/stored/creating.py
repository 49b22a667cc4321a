"""Channels that a message makes: INSTANT["STORE"]["CREATE"]."""

from __future__ import annotations

from typing import Any

from django.db import router, transaction

from instant import conf
from instant.models import Channel
from instant.namespaces import find_namespace
from instant.permissions import is_known
from instant.rights import accounts, rows

__all__ = ["create", "database"]


def create(user: Any, name: str) -> bool:
    """
    Make the channel to which a user is about to publish; return whether it was made.

    Where the setting says so, for users who may add channels, and where there is none of that
    name. The user alone may subscribe and publish until somebody says more in the admin; so its
    name begins with “$”, as that of every channel that isn't public.
    """
    store = conf.current().store
    if store is None or not store.create or not is_known(user):
        return False
    if not name.startswith("$") or not rows.may_be(name) or find_namespace(name) is not None:
        return False
    if not accounts.holds(user, "instant.add_channel"):
        return False
    with transaction.atomic(using=database()):
        channel, is_new = Channel._base_manager.using(database()).get_or_create(  # noqa: SLF001
            name=name,
            defaults={"level": Channel.Level.GROUPS, "publish_level": Channel.PublishLevel.LISTED},
        )
        if is_new:
            channel.members.add(user)
            channel.publishers.add(user)
    return is_new


def database() -> str:
    """Return where channels are."""
    return router.db_for_write(Channel)
