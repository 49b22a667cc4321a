"""Moments as pages get them: with their offset, also where a site has naive ones."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

__all__ = ["aware"]


def aware(moment: datetime) -> datetime:
    """Return the moment with its zone: without, a browser would take it for its own."""
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
