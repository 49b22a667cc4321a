"""The helpers that users get for their own tests."""

import threading
import unittest

import pytest
from django.db import transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings

from instant import apublish, backends, batch, broadcast, publish
from instant.backends.locmem import LocmemBackend
from instant.testing import InstantTestMixin, capture_publications


def lost():
    try:
        with transaction.atomic():
            publish("lost", "x")
            raise LookupError
    except LookupError:
        pass


class InTestCase(TestCase):
    """Where no commit ever comes."""

    @classmethod
    def setUpTestData(cls):
        publish("before", "x")

    def setUp(self):
        publish("setup", "x")

    def test_sees_what_would_be_sent(self):
        with capture_publications() as sent:
            publish("a", "x")
            with transaction.atomic():
                publish("b", "x")
            lost()
            assert [p.channel for p in sent] == ["a", "b"]
        assert [p.channel for p in sent] == ["a", "b"]
        publish("after", "x")
        assert [p.channel for p in sent] == ["a", "b"]
        assert {p.state for p in sent} == {"deferred"}

    def test_a_rollback_around_the_capture(self):
        with pytest.raises(LookupError), transaction.atomic():
            with capture_publications() as sent:
                publish("a", "x")
            raise LookupError
        # It was there when the block ended; what comes after is not the capture's to know.
        sent.assert_published("a")

    def test_with_djangos_own_helper(self):
        with capture_publications() as sent:
            with self.captureOnCommitCallbacks(execute=True):
                publish("a", "x")
                publish("b", "x")
                lost()
            assert [p.channel for p in sent] == ["a", "b"]
            assert {p.state for p in sent} == {"sent"}

    def test_djangos_helper_without_capture(self):
        backend = backends.get_backend()
        assert isinstance(backend, LocmemBackend)
        start = len(backend.outbox)
        with self.captureOnCommitCallbacks(execute=True):
            publish("a", "x")
            publish("b", "x")
        assert [p.channel for p in backend.outbox[start:]] == ["a", "b"]

    def test_at_once_and_deferred(self):
        with capture_publications() as sent:
            publish("deferred", "x")
            publish("now", "x", on_commit=False)
        assert [(p.channel, p.state) for p in sent] == [("now", "sent"), ("deferred", "deferred")]


class InTransactionTestCase(TransactionTestCase):
    def test_sees_what_was_committed(self):
        with capture_publications() as sent:
            with transaction.atomic():
                publish("a", "x")
                lost()
            with pytest.raises(LookupError), transaction.atomic():
                publish("gone", "x")
                raise LookupError
        assert [(p.channel, p.state) for p in sent] == [("a", "sent")]


class WithMixin(InstantTestMixin, TestCase):
    def test_publications(self):
        publish("a", "x", event_class="shipped")
        self.publications.assert_published("a", event_class="shipped")

    def test_they_are_new_in_each_test(self):
        self.publications.assert_nothing_published()


class WithMixinAndNoDatabase(InstantTestMixin, SimpleTestCase):
    def test_needs_no_database(self):
        self.publications.assert_nothing_published()


class Assertions(InstantTestMixin, TestCase):
    def setUp(self):
        super().setUp()
        publish("a", "x", data={"n": 1}, event_class="e", bucket="b")
        publish("a", "y")

    def test_compares_what_is_given(self):
        found = self.publications.assert_published("a", "x")
        assert found.payload["data"] == {"n": 1}
        self.publications.assert_published("a", data={"n": 1}, event_class="e", bucket="b")
        self.publications.assert_published("a", "y", data=None, event_class=None, bucket="")
        self.publications.assert_published("a", site="Tests", count=2)
        self.publications.assert_nothing_published("b")

    def test_fails_with_a_listing(self):
        for arguments in (
            {"message": "z"},
            {"data": {"n": 2}},
            {"event_class": "f"},
            {"bucket": "c"},
            {"count": 1},
            {"count": 3},
            {"count": 0},
            {"message": "x", "data": None},
        ):
            with pytest.raises(AssertionError, match=r"Not published.*\n.*Published was:\n  a "):
                self.publications.assert_published("a", **arguments)
        with pytest.raises(AssertionError, match="Not published"):
            self.publications.assert_published("b")
        with pytest.raises(AssertionError, match="2 publications too many"):
            self.publications.assert_nothing_published()


def test_captures_other_threads_batches_and_broadcasts(publications):
    thread = threading.Thread(target=publish, args=("thread", "x"))
    thread.start()
    thread.join()
    with batch():
        broadcast(["a", "b"], "x")
    assert [p.channel for p in publications] == ["thread", "a", "b"]
    assert publications[-1].channel == "b"
    assert [p.channel for p in publications[:2]] == ["thread", "a"]
    assert "thread" in repr(publications)


async def test_captures_apublish(publications):
    await apublish("a", "x")
    publications.assert_published("a")


def test_an_outer_capture_sees_it_too():
    with capture_publications() as outer:
        with capture_publications() as inner:
            publish("a", "x")
        publish("b", "x")
    assert [p.channel for p in inner] == ["a"]
    assert [p.channel for p in outer] == ["a", "b"]


def test_the_plugin_keeps_suites_from_the_network():
    assert isinstance(backends.get_backend(), LocmemBackend)
    with override_settings(INSTANT={"DIR": "/nonexistent"}):  # no word of a backend
        assert isinstance(backends.get_backend(), LocmemBackend)


def test_unittest_runs_the_mixin_too():
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(WithMixinAndNoDatabase)
    assert suite.countTestCases() == 1
