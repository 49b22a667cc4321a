"""What projects' tests get for stored messages and for requests."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from instant import arequest, broadcast, publish, request, responder
from instant.channels.names import user_channel
from instant.handlers import Refused
from instant.inbound import registry as handlers
from instant.messages import acknowledge, notify
from instant.models import Message, Ticket
from instant.stored.note import Note, noted
from instant.testing import answering, call_rpc, stored_messages
from tests.conftest import close_connections
from tests.tenancy.conftest import tenants  # noqa: F401  a fixture

pytestmark = pytest.mark.django_db


class TestStored:
    @pytest.fixture(autouse=True)
    def _team(self, store, make_channel, make_user):
        store(MESSAGES="cacheall")
        self.ann, self.bob = make_user("ann"), make_user("bob")
        self.other = make_user("other")
        self.team = make_channel("$team", "groups", members=[self.ann, self.bob])

    def test_what_was_stored(self):
        publish("$team", "before")
        with stored_messages() as stored:
            stored.assert_nothing_stored()
            with noted(Note(sender=self.ann, context={"thread": 1})):
                publish("$team", "x", data={"n": 1}, event_class="e")
            publish("$team", "y")
            publish("elsewhere", "z")
            found = stored.assert_stored("$team", "x", count=1)
            assert found.payload["data"] == {"n": 1}
            stored.assert_stored("$team", data={"n": 1}, event_class="e", sender=self.ann)
            stored.assert_stored("$team", context={"thread": 1})
            stored.assert_stored("$team", "y", data=None, sender=None, context=None)
            stored.assert_stored("$team", count=2)
            stored.assert_nothing_stored("elsewhere")
            assert len(stored) == 2
            assert stored[0] == found
            assert stored[:1] == [found]
            assert found.uuid.hex in repr(stored)
        publish("$team", "after")
        assert len(stored) == 2

    @pytest.mark.parametrize(
        "arguments",
        [
            {"message": "z"},
            {"data": {"n": 2}},
            {"event_class": "f"},
            {"context": {}},
            {"count": 0},
            {"count": 2},
            {"message": "x", "sender": None},
        ],
    )
    def test_what_fails_lists_what_there_is(self, arguments):
        with stored_messages() as stored:
            with noted(Note(sender=self.ann)):
                publish("$team", "x")
            with pytest.raises(AssertionError, match=r"Not stored.*\n.*Stored was:\n  \$team "):
                stored.assert_stored("$team", **arguments)
            with pytest.raises(AssertionError, match="Not stored"):
                stored.assert_stored("elsewhere")
            with pytest.raises(AssertionError, match="Not stored"):
                stored.assert_stored("$team", sender=self.bob)
            with pytest.raises(AssertionError, match="1 stored messages too many"):
                stored.assert_nothing_stored()
            with pytest.raises(AssertionError, match=r"too many"):
                stored.assert_nothing_stored("$team")

    def test_for_whom_and_by_whom(self):
        before = publish("$team", "before").id
        with stored_messages() as stored:
            id_ = publish("$team", "x").id
            [found] = stored.assert_outstanding(self.ann)
            assert found.uuid.hex == id_
            stored.assert_outstanding(self.bob, "$team", count=1)
            stored.assert_outstanding(self.bob, "elsewhere", count=0)
            stored.assert_outstanding(self.other, count=0)
            with pytest.raises(AssertionError, match="Not outstanding for .*other"):
                stored.assert_outstanding(self.other)
            with pytest.raises(AssertionError, match="Not acknowledged by .*ann.* on '.team'"):
                stored.assert_acknowledged(self.ann, "$team")
            acknowledge(self.ann, [id_, before])
            assert stored.assert_acknowledged(self.ann) == [found]
            stored.assert_acknowledged(self.bob, count=0)
            stored.assert_outstanding(self.ann, count=0)
            acknowledge(self.bob, [id_])
            assert not Message.objects.filter(uuid=id_).exists()
            # It went, and who acknowledged it is known.
            assert stored.assert_acknowledged(self.bob, "$team", count=1) == [found]
            stored.assert_acknowledged(self.bob, "elsewhere", count=0)
            stored.assert_acknowledged(self.other, count=0)
            stored.assert_stored("$team", "x", count=1)
            self.team.members.remove(self.bob)
            publish("$team", "y")
            stored.assert_outstanding(self.bob, count=0)
        acknowledge(self.ann, [publish("$team", "after").id])
        stored.assert_stored("$team", count=2)

    @pytest.mark.django_db(transaction=True)
    def test_nothing_that_was_rolled_back(self):
        with stored_messages() as stored:
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                publish("$team", "x")
                stored.assert_stored("$team")
                1 / 0  # noqa: B018
            stored.assert_nothing_stored()
            id_ = publish("$team", "y").id
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                acknowledge(self.ann, [id_])
                acknowledge(self.bob, [id_])
                1 / 0  # noqa: B018
            stored.assert_stored("$team", "y", count=1)
            stored.assert_acknowledged(self.ann, count=0)
            stored.assert_outstanding(self.ann, count=1)

    def test_notifications(self):
        with stored_messages() as stored:
            notify([self.ann], "Hello", "Ann", "/x/", kind="k", data={"n": 1})
            publish(user_channel(self.bob), data={"title": "no notification"})
            stored.assert_notified(
                self.ann, "Hello", body="Ann", url="/x/", kind="k", data={"n": 1}, count=1
            )
            for wrong in (
                {"title": "Bye"},
                {"body": "Bob"},
                {"url": ""},
                {"kind": ""},
                {"data": 2},
            ):
                with pytest.raises(AssertionError, match="Not notified"):
                    stored.assert_notified(self.ann, **wrong)
            with pytest.raises(AssertionError, match="Not notified"):
                stored.assert_notified(self.bob)
            stored.assert_outstanding(self.ann, user_channel(self.ann), count=1)
            stored.assert_outstanding(self.bob, count=0)

    def test_it_is_the_current_tenants(self, tenants):  # noqa: F811
        with tenants.activate("acme"), stored_messages() as stored:
            publish("$team", "x")
            with tenants.activate("globex"):
                broadcast(["$team"], "y")
                stored.assert_stored("$team", count=1)
            stored.assert_outstanding(self.ann, count=1)
        stored.assert_stored("$team", "x", count=1)


class TestAnswering:
    @pytest.fixture(autouse=True)
    def _weigh(self, registry):
        self.calls = []

        @responder("weigh", can=lambda call: call.user.username != "bob")
        def weigh(call, parcel: int):
            self.calls.append(parcel)
            return -parcel

        self.listed = list(handlers._registry)

    def test_by_a_function(self, make_user):
        ann = make_user("ann")
        with answering("weigh", lambda call, parcel: {"grams": parcel * 2}) as scales:
            scales.assert_nothing_asked()
            assert request("weigh", {"parcel": "7"}) == {"grams": 14}
            assert request("weigh", {"parcel": 8}, user=ann) == {"grams": 16}
        first = scales.assert_asked(user=None)
        assert (first.data, first.result) == ({"parcel": "7"}, {"grams": 14})
        assert isinstance(first.user, AnonymousUser)
        scales.assert_asked({"parcel": 8}, user=ann, count=1)
        scales.assert_replied({"grams": 16}, user=ann)
        scales.assert_asked(count=2)
        for assertion, arguments in (
            (scales.assert_asked, {"data": {"parcel": 9}}),
            (scales.assert_asked, {"data": {"parcel": 8}, "user": None}),
            (scales.assert_asked, {"count": 1}),
            (scales.assert_asked, {"count": 0}),
            (scales.assert_replied, {"result": {"grams": 15}}),
            (scales.assert_replied, {"result": {"grams": 14}, "user": ann}),
            (scales.assert_refused, {}),
        ):
            with pytest.raises(AssertionError, match=r"Not asked of 'weigh'.*\nAsked was:\n  "):
                assertion(**arguments)
        with pytest.raises(AssertionError, match="2 requests too many"):
            scales.assert_nothing_asked()
        assert self.calls == []
        assert handlers._registry == self.listed

    def test_by_a_value_by_an_exception_and_by_itself(self):
        with answering("weigh", {"grams": 1}) as scales:
            assert request("weigh", {"parcel": 7}) == {"grams": 1}
        with answering("weigh", Refused(503, "broken")) as scales:
            with pytest.raises(Refused, match="broken"):
                request("weigh", {"parcel": 7})
            scales.assert_refused(503, user=None, count=1)
            for wrong in ({"code": 409}, {"count": 2}):
                with pytest.raises(AssertionError, match="Not asked"):
                    scales.assert_refused(**wrong)
            with pytest.raises(AssertionError, match="Not asked"):
                scales.assert_replied()
        with answering("weigh") as scales:
            assert request("weigh", {"parcel": 7}) == -7
            scales.assert_replied(-7)
        assert self.calls == [7]

    def test_by_an_async_function(self):
        async def answer(call, parcel):
            return parcel + 1

        with answering("weigh", answer):
            assert request("weigh", {"parcel": 7}) == 8

    @pytest.mark.django_db(transaction=True)
    def test_for_async_code(self):
        async def ask():
            try:
                return await arequest("weigh", {"parcel": 7})
            finally:
                await sync_to_async(close_connections)()

        with answering("weigh", {"grams": 2}):
            assert asyncio.run(ask()) == {"grams": 2}

    def test_rights_and_arguments_are_the_responders(self, make_user):
        with answering("weigh", {"grams": 1}) as scales:
            with pytest.raises(Refused, match="permission denied"):
                request("weigh", {"parcel": 7}, user=make_user("bob"))
            with pytest.raises(Refused, match="parcel"):
                request("weigh", {"parcel": "heavy"})
            scales.assert_nothing_asked()

    def test_pages_get_their_answers_with_run(self, make_user):
        ann = make_user("ann")
        with answering("weigh", {"grams": 1}) as scales:
            call_rpc(ann, "instant.request", {"name": "weigh", "data": {"parcel": 7}})
            scales.assert_nothing_asked()
            assert scales.run() == 1
            scales.assert_asked({"parcel": 7}, user=ann)
        assert Ticket.objects.get().result == '{"grams":1}'

    def test_a_responder_that_nobody_declared(self):
        with pytest.raises(LookupError, match="@responder\\('weight'\\)"), answering("weight", 1):
            pass

    def test_what_raises_in_the_block_leaves_the_responder_as_it_was(self):
        with pytest.raises(ZeroDivisionError), answering("weigh", 1):
            1 / 0  # noqa: B018
        assert handlers._registry == self.listed
