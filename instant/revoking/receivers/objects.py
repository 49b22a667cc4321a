"""django-guardian's object permissions on rows of ``Channel``, which users or groups lose."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model

from instant.models import Channel
from instant.revoking import run
from instant.revoking.affected import Affected
from instant.revoking.receivers.guard import guarded
from instant.rights import objects

__all__ = ["models", "permission_ends"]


def models() -> tuple[Any, ...]:
    """Return the models of guardian that hold them; none where it isn't installed."""
    return objects.models() if apps.is_installed("guardian") else ()


@guarded
def permission_ends(instance: Any, using: str, **_kwargs: Any) -> None:
    """Ask for the user who may lose the channel; for a group's, for everybody who is in it."""
    permission = instance.permission
    if permission.codename != objects.PERMISSIONS["subscribe"] or not objects.are_used():
        return
    if permission.content_type.natural_key() != ("instant", "channel"):
        return
    pk = getattr(instance, "object_pk", None) or instance.content_object_id
    rows = Channel.objects.filter(pk=pk, is_active=True).order_by()
    names = set(rows.values_list("name", flat=True))
    if not names:
        return
    if objects.is_held_by_groups(type(instance)) or _is_anonymous(instance):
        run.revoke(Affected(channels=names), using=using)
    else:
        run.revoke(Affected(subscriptions={str(instance.user_id): names}), using=using)


def _is_anonymous(instance: Any) -> bool:
    """Tell whether it is that of guardian's user for everybody who isn't logged in."""
    from guardian.conf import settings  # noqa: PLC0415  it is optional

    model = get_user_model()
    found = model._base_manager.filter(pk=instance.user_id)  # noqa: SLF001  Django's documented API
    name = found.values_list(model.USERNAME_FIELD, flat=True).first()
    return name is not None and name == settings.ANONYMOUS_USER_NAME
