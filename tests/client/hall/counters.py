"""
Numbers in the database that grow by one with each message.

They are in the table of sessions, by the name of their channel, so that the site needs no model.
"""

from datetime import UTC, datetime

from django.contrib.sessions.models import Session
from django.db import transaction

from instant import publish

_NEVER = datetime(2100, 1, 1, tzinfo=UTC)


def read(channel):
    found = Session.objects.filter(pk=channel).values_list("session_data", flat=True).first()
    return int(found or 0)


def count(channel):
    """Add one, publish the number with the commit, and return it."""
    with transaction.atomic():
        number = read(channel) + 1
        Session.objects.update_or_create(
            pk=channel, defaults={"session_data": str(number), "expire_date": _NEVER}
        )
        publish(channel, data={"n": number})
    return number
