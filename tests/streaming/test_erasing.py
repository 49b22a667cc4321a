"""A user is deleted while something is written for them."""

import threading

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import signals

from instant.exceptions import StreamLost
from instant.models import Stream
from instant.streams import read, stream


@pytest.mark.django_db
def test_the_writer_is_kept_out_until_the_deletion_is_over(make_user, by_hand):
    ann, seen = make_user("ann"), []

    def look(**_kwargs):
        seen.append(list(Stream.objects.order_by("pk").values_list("channel", "state")))
        raise KeyError("rolled back")

    with stream("answer:1", user=ann) as out, stream("answer:2", user=make_user("bob")):
        signals.pre_delete.connect(look, sender=get_user_model())
        try:
            with pytest.raises(KeyError), transaction.atomic():
                ann.delete()
        finally:
            signals.pre_delete.disconnect(look, sender=get_user_model())
        out.write("All the same")
    assert seen == [[("answer:1", "cancelled"), ("answer:2", "writing")]]
    assert read("answer:1") == ("All the same", "done")


@pytest.mark.only_on("postgresql")
@pytest.mark.django_db(transaction=True)
def test_a_user_is_deleted_however_fast_is_written(make_user, at_once):
    for number in range(5):
        user, begun, ends = make_user(f"user{number}"), threading.Event(), []

        def write(user=user, begun=begun, ends=ends):
            try:
                with stream("answer:1", user=user) as out:
                    while True:
                        out.write("x")
                        begun.set()
            except StreamLost as exc:
                ends.append(exc)
            finally:
                connection.close()

        thread = threading.Thread(target=write)
        thread.start()
        assert begun.wait(10)
        try:
            user.delete()
        finally:
            Stream.objects.all().update(claim="")
            thread.join(20)
        assert len(ends) == 1
        assert read("answer:1") is None
