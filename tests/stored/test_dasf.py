"""
Each rule of dasf-broker-django, F1 to F21, with the tests that show it here, or why there is none.

What other files don't show is tested here; docs/migrating/dasf.md says where things are.
"""

import ast
from functools import cache
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.test import override_settings
from django.utils import timezone

from instant import publish, request, responder
from instant.html import websocket_url
from instant.messages import acknowledge, outstanding
from instant.models import Channel, Message
from instant.stored.note import Note, noted
from instant.testing import answered_here, capture_publications

HERE = "tests/stored/test_dasf.py"
RULES, REQUESTS = "tests/stored/test_rules.py", "tests/stored/test_requests.py"
OBJECTS, STATUS = "tests/rights/test_objects.py", "tests/views/test_channel_status.py"
AVAILABILITY, ADMIN = "tests/stored/test_availability.py", "tests/stored/test_admin.py"
SENDING = "tests/stored/test_sending.py"
TAGS = "tests/stored/test_template_tags.py"

SHOWN = {
    "F1 topics made by messages": [
        (SENDING, "test_f1_a_message_makes_its_channel"),
        (SENDING, "test_f1_only_for_those_who_may_add_channels"),
        (SENDING, "test_f1_no_name_that_isn_t_a_private_rows"),
        (SENDING, "test_f1_off_by_default"),
    ],
    "F2 the four rules": [
        (RULES, "test_f2_cache_lets_a_message_go_when_one_reader_acknowledged"),
        (RULES, "test_f2_cacheall_lets_it_go_when_every_reader_did"),
        (RULES, "test_f2_store_keeps_it_for_ever"),
        (RULES, "test_two_readers_at_once_leave_nothing_behind"),
    ],
    "F3 which rule is in force": [
        (RULES, "test_f3_the_channels_own_setting_wins"),
        (RULES, "test_f3_requests_and_responses_have_defaults_of_their_own"),
    ],
    "F4 where the WebSockets are": "the message server has them: asgi.py mounts nothing",
    "F5 addresses behind a proxy": [(HERE, "test_f5_addresses_behind_a_proxy")],
    "F6 what a topic has": [(HERE, "test_f6_a_channels_fields")],
    "F7 consumers, producers, viewers": [
        (OBJECTS, "test_f7_consumers_by_object_permission"),
        (OBJECTS, "test_f7_producers_and_status_viewers"),
        (OBJECTS, "test_f7_anonymous_visitors_hold_what_guardians_user_does"),
        (OBJECTS, "test_f7_who_loses_it_is_unsubscribed"),
    ],
    "F8 availability": [(AVAILABILITY, "test_f8_f9_property_and_querysets_say_the_same")],
    "F9 filters by it": [(AVAILABILITY, "test_f8_f9_property_and_querysets_say_the_same")],
    "F10 pings": [
        (AVAILABILITY, "test_f10_a_ping_is_published_and_never_stored"),
        (AVAILABILITY, "test_f10_no_ping_where_nobody_would_answer"),
        (AVAILABILITY, "test_the_command_pings_all_in_few_queries"),
    ],
    "F11 what a message has": [(HERE, "test_f11_a_messages_fields")],
    "F12 what is outstanding": [(HERE, "test_f12_what_is_outstanding")],
    "F13 stored or not, it is sent": [
        (HERE, "test_f13_a_message_is_sent_whether_stored_or_not"),
        (SENDING, "test_a_sender_needs_the_right_and_is_noted"),
    ],
    "F14 response topics": [
        (HERE, "test_f14_an_answer_is_for_whoever_asked"),
        (REQUESTS, "test_requests_and_answers_are_messages_where_the_rule_says_so"),
    ],
    "F15 response topics that end": [
        (REQUESTS, "test_an_answer_goes_ten_minutes_after_it_was_looked_at"),
    ],
    "F16 views": [
        (STATUS, "test_f16_the_codes"),
        (STATUS, "test_f16_who_may_see_the_status"),
        (STATUS, "test_f16_ping_is_post_for_whoever_may_publish"),
    ],
    "F17 the admin's topics": [
        (ADMIN, "test_f17_the_list_counts_messages"),
        (ADMIN, "test_f17_f18_filters_by_availability"),
        (ADMIN, "test_f17_ping"),
        (ADMIN, "test_the_lists_take_the_same_queries_however_many"),
    ],
    "F18 the admin's messages": [
        (ADMIN, "test_f18_filters_and_search"),
        (ADMIN, "test_f18_resend"),
        (ADMIN, "test_f18_ping_and_collect"),
    ],
    "F19 consumers of Channels": "another protocol: the message server speaks Centrifugo's",
    "F20 tokens": [(STATUS, "test_f20_a_bearer_token_is_enough")],
    "F21 template tags": [
        (TAGS, "test_f21_the_payload_of_a_message"),
        (TAGS, "test_f21_the_payload_as_indented_json_is_escaped"),
        (TAGS, "test_f21_the_address"),
    ],
}
"""By rule the tests, or the reason why there is none."""


@cache
def names_in(file):
    tree = ast.parse((Path(__file__).parents[2] / file).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in tree.body if isinstance(node, kinds)}


def test_all_rules_are_listed():
    assert [rule.split()[0] for rule in SHOWN] == [f"F{n}" for n in range(1, 22)]


@pytest.mark.parametrize("rule", SHOWN)
def test_the_tests_are_there(rule):
    shown = SHOWN[rule]
    if not isinstance(shown, str):
        assert [name for file, name in shown if name not in names_in(file)] == []


@pytest.fixture
def store(settings):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"MESSAGES": "cacheall"}}


def test_f5_addresses_behind_a_proxy(rf):
    url = "wss://live.example/connection/websocket"
    with override_settings(INSTANT={"DIR": "/nonexistent", "PUBLIC_URL": url}):
        assert websocket_url(rf.get("/")) == url


@pytest.mark.django_db
def test_f6_a_channels_fields(make_user):
    row = Channel.objects.create(name="topic", level="public")
    row.refresh_from_db()
    assert (row.store, row.answers_pings, row.status_level) == ("", False, "staff")
    assert (row.last_ping, row.last_pong, row.availability) == (None, None, "unknown")
    assert row.publish_level == "nobody"  # as is_public = False
    with pytest.raises(IntegrityError), transaction.atomic():
        Channel.objects.create(name="topic", level="public")


@pytest.mark.django_db
def test_f11_a_messages_fields(store, make_channel, make_user):
    ann, bob = make_user("ann"), make_user("bob")
    row = make_channel("$topic", "groups", members=[ann, bob])
    before = timezone.now()
    with noted(Note(sender=ann, context=7)), capture_publications():
        id_ = publish("$topic", data={"x": 1}).id
    message = Message.objects.get()
    assert (message.uuid.hex, message.row, message.channel) == (id_, row, "$topic")
    assert (message.sender, message.context, message.is_reply) == (ann, "7", False)
    assert message.payload["data"] == {"x": 1}
    assert before <= message.created_at <= timezone.now()
    acknowledge(bob, [id_])
    assert [one.user for one in message.acknowledgements.all()] == [bob]
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.create(uuid=message.uuid, channel="$topic", row=row, content="{}")
    ann.delete()
    message.refresh_from_db()
    assert message.sender is None  # it is kept
    row.delete()
    assert not Message.objects.exists()


@pytest.mark.django_db
def test_f12_what_is_outstanding(store, make_channel, make_user):
    ann, bob = make_user("ann"), make_user("bob")
    make_channel("$topic", "groups", members=[ann, bob])
    with capture_publications():
        first, second = publish("$topic", 1).id, publish("$topic", 2).id
    acknowledge(ann, [first])
    assert [one.uuid.hex for one in outstanding(ann, "$topic")] == [second]
    assert [one.uuid.hex for one in outstanding(bob, "$topic")] == [first, second]  # in order


@pytest.mark.django_db
@pytest.mark.parametrize("rule", Channel.Store)
def test_f13_a_message_is_sent_whether_stored_or_not(store, make_channel, rule):
    make_channel("topic", store=rule)
    with capture_publications() as captured:
        publish("topic", "x")
    captured.assert_published("topic", "x", count=1)
    assert Message.objects.exists() is (rule != "disabled")


@pytest.mark.django_db(transaction=True)
def test_f14_an_answer_is_for_whoever_asked(store, registry, make_user):
    @responder("double")
    def double(call, x: int):
        return x * 2

    root, other = (make_user(name, is_superuser=True) for name in ("root", "other"))
    with answered_here():
        assert request("double", {"x": 2}, user=root) == 4
    [answer] = outstanding(root)
    assert answer.is_reply
    assert answer.channel.startswith("ticket:")
    assert outstanding(other) == []
