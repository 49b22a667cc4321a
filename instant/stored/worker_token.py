"""Tokens of workers on other machines: each names one responder, is kept hashed, can be revoked."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.db import models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from instant.tenancy import current as tenancy

__all__ = ["WorkerToken", "find_token", "new_token", "own_tokens"]

_BEGINNING = "iw_"
"""By which scanners and people recognise one."""

_USED_EVERY = timedelta(minutes=1)


class WorkerToken(models.Model):
    """
    What a worker on another machine shows, which claims requests over HTTP.

    Only a hash is kept: the token has 256 random bits, which nobody tries out.
    """

    id = models.BigAutoField(primary_key=True)
    responder = models.CharField(pgettext_lazy("token", "responder"), max_length=56)
    label = models.CharField(
        pgettext_lazy("token", "label"), max_length=100, blank=True, help_text=_("Who has it.")
    )
    tenant = models.CharField(_("tenant"), max_length=63, blank=True)
    digest = models.CharField(_("hash"), max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    used_at = models.DateTimeField(
        pgettext_lazy("token", "last used"), null=True, blank=True, editable=False
    )
    revoked_at = models.DateTimeField(
        pgettext_lazy("token", "revoked"), null=True, blank=True, editable=False
    )

    class Meta:
        """Names."""

        app_label = "instant"
        db_table = "instant_worker_token"
        verbose_name = _("worker's token")
        verbose_name_plural = _("workers' tokens")
        default_permissions = ("change", "delete", "view")

    def __str__(self) -> str:
        return f"{self.responder} ({self.label or self.pk})"

    def revoke(self) -> None:
        """Let nobody claim anything with it any more, from the next request on."""
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at"])


def own_tokens() -> models.QuerySet[WorkerToken]:
    """Return the current tenant's tokens."""
    alias = router.db_for_write(WorkerToken)
    manager = WorkerToken._base_manager  # noqa: SLF001  Django's documented API
    return manager.using(alias).filter(tenant=tenancy.current()).order_by("pk")


def new_token(responder: str, label: str = "") -> tuple[WorkerToken, str]:
    """Make a token; return its row, and the token, which nobody can read out of it again."""
    text = _BEGINNING + secrets.token_urlsafe(32)
    row = WorkerToken(
        responder=responder, label=label, tenant=tenancy.current(), digest=_digest(text)
    )
    row.save(using=own_tokens().db, force_insert=True)
    return row, text


def find_token(text: str) -> WorkerToken | None:
    """Return the row of a token that isn't revoked, and note now and then that it was used."""
    found = own_tokens().filter(digest=_digest(text), revoked_at=None).first()
    now = timezone.now()
    if found is not None and (found.used_at is None or found.used_at < now - _USED_EVERY):
        own_tokens().filter(pk=found.pk).update(used_at=now)
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
