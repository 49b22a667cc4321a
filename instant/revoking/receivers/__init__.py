"""
What takes rights away: signals of Django's own models, and of ``Channel``.

Each receiver says whom and what a change may concern, in the change's transaction; whether
anything was lost is asked after the commit. ``QuerySet.update()`` and raw SQL send no signal:
``recheck()`` is for them. Nothing is done, and nothing asked, where no server is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.signals import request_finished, request_started
from django.db.models import signals

from instant.models import Channel, channels_created
from instant.revoking import follow_up, needed
from instant.revoking.receivers import channels, groups, objects, sessions, stored, users
from instant.revoking.receivers.stored import senders
from instant.rights import accounts, tokens

__all__ = ["connect"]


def connect() -> None:
    """Listen; called when the apps are ready, any number of times."""
    user = get_user_model()
    _listen(signals.pre_save, user, users.user_changes)
    _listen(signals.post_save, user, stored.saved)
    _listen(signals.post_save, user, users.user_saved)
    _listen(signals.pre_delete, user, users.user_goes)
    _listen(signals.pre_delete, Group, groups.group_goes)
    _listen(signals.pre_delete, Permission, groups.permission_goes)
    _listen(signals.pre_save, Channel, channels.channel_changes)
    _listen(signals.post_save, Channel, stored.saved)
    _listen(signals.pre_delete, Channel, channels.channel_goes)
    _listen(signals.post_save, Channel, needed.channels_changed)
    _listen(signals.post_delete, Channel, needed.channels_changed)
    channels_created.connect(needed.channels_changed, dispatch_uid="instant.channels_created")
    _listen(signals.m2m_changed, Channel.groups.through, channels.channel_groups_change)
    _listen(signals.m2m_changed, Channel.members.through, channels.channel_members_change)
    _listen(signals.m2m_changed, Group.permissions.through, groups.group_permissions_change)
    if (memberships := accounts.memberships()) is not None:
        through = memberships.remote_field.through
        _listen(signals.m2m_changed, through, groups.membership_changes)
        if not through._meta.auto_created:  # noqa: SLF001  a model of the project's own
            _listen(signals.pre_save, through, groups.membership_row_changes)
            _listen(signals.post_save, through, stored.saved)
            _listen(signals.pre_delete, through, groups.membership_row_goes)
    if (permissions := accounts.permissions()) is not None:
        through = permissions.remote_field.through
        _listen(signals.m2m_changed, through, groups.user_permissions_change)
    for model in objects.models():
        _listen(signals.pre_delete, model, objects.permission_ends)
    user_logged_in.connect(sessions.logs_in, dispatch_uid="instant.logged_in")
    user_logged_out.connect(sessions.logs_out, dispatch_uid="instant.logged_out")
    request_started.connect(sessions.started, dispatch_uid="instant.request_started")
    request_finished.connect(sessions.finished, dispatch_uid="instant.request_finished")
    request_started.connect(follow_up.look_once, dispatch_uid="instant.worker")
    request_started.connect(tokens.begin, dispatch_uid="instant.tokens")
    request_finished.connect(tokens.end, dispatch_uid="instant.tokens")


def _listen(signal: Any, sender: Any, receiver: Callable[..., None]) -> None:
    for model in senders(sender):
        signal.connect(receiver, sender=model, dispatch_uid=f"instant.{receiver.__name__}")
