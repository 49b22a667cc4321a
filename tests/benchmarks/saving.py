"""What a save costs where the model tells of it, until the commit."""

from django.contrib.auth import get_user_model
from django.db import transaction

from instant.broadcasting import receivers
from instant.broadcasts import broadcasts
from tests.benchmarks.timing import median_of, rounds, table, verdict

MOST = 0.1
"""Milliseconds that a save may take longer."""


class _Rollback(Exception):
    """Nothing is sent: what sending takes is measured elsewhere."""


def run(count=300, times=7):
    """Save one user again and again, before its model broadcasts and after."""
    user = get_user_model().objects.create(username="saver")
    numbers = iter(range(10_000_000))

    def save():
        user.first_name = str(next(numbers))
        user.save()

    def saves():
        try:
            with transaction.atomic():
                found = median_of(save, count)
                raise _Rollback
        except _Rollback:
            return found

    before = rounds({"save()": saves}, count=times)

    @broadcasts(get_user_model())
    class _Options:
        channels = staticmethod(lambda user: f"user:{user.pk}")
        fields = ("first_name",)

    receivers.connect()
    after = rounds({"save() of a model that broadcasts": saves}, count=times)
    table("One save in a transaction, sqlite", before | after, "save()")
    more = after["save() of a model that broadcasts"] - before["save()"]
    verdict(f"at most {MOST} ms more ({more:.3f})", more <= MOST)
