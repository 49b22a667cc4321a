"""Whether somebody answers on a channel: pings, answers, and the rule of two minutes."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from instant import publish
from instant.exceptions import PublishError
from instant.messages import acknowledge, aping, apong, ping, pong
from instant.models import Channel, Message
from instant.stored import availability as rule
from instant.testing import capture_publications

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Time stands still, so that boundaries can be tried."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture(autouse=True)
def captured():
    with capture_publications() as captured:
        yield captured


def ago(seconds):
    return None if seconds is None else NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("ping_ago", "pong_ago", "found"),
    [
        (None, None, "unknown"),
        (None, 5, "unknown"),  # an answer to nothing
        (121, 1, "unknown"),
        (120.001, 1, "unknown"),
        (120, 1, "online"),
        (120, None, "offline"),
        (60, None, "offline"),
        (60, 59, "online"),
        (60, 70, "online"),  # by another host's clock
        (60, 70.001, "offline"),
        (9.999, 69, "online"),  # a ping has ten seconds; the answer to the one before counts
        (9.999, 120, "online"),
        (9.999, 120.001, "offline"),
        (10, 69, "offline"),
        (0, None, "offline"),
        (-5, 60, "online"),
    ],
)
@pytest.mark.parametrize("answers", [True, False])
def test_f8_f9_property_and_querysets_say_the_same(
    make_channel, ping_ago, pong_ago, found, answers
):
    row = make_channel(
        "lab", answers_pings=answers, last_ping=ago(ping_ago), last_pong=ago(pong_ago)
    )
    wanted = found if answers else "unknown"
    assert row.availability == wanted
    rows = Channel.objects
    by_query = {"unknown": rows.unknown(), "offline": rows.offline(), "online": rows.online()}
    assert [name for name, queryset in by_query.items() if queryset.exists()] == [wanted]
    for other in {"unknown", "offline", "online"} - {wanted}:
        assert rows.exclude(rule.condition(other, NOW)).exists()
    assert not rows.exclude(rule.condition(wanted, NOW)).exists()


def test_f10_a_ping_is_published_and_never_stored(make_channel, settings, captured):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"MESSAGES": "store"}}
    row = make_channel("lab", answers_pings=True)
    assert ping(row.name)
    row.refresh_from_db()
    assert row.last_ping == NOW
    [publication] = captured
    assert publication.channel == "lab"
    assert publication.payload["event_class"] == "instant:ping"
    assert not Message.objects.exists()
    publish("lab", "x")
    assert Message.objects.exists()


@pytest.mark.parametrize("fields", [{"answers_pings": False}, {"is_active": False}])
def test_f10_no_ping_where_nobody_would_answer(make_channel, captured, fields):
    row = make_channel("lab", **{"answers_pings": True, **fields})
    assert not ping(row.name)
    assert not ping("other")
    row.refresh_from_db()
    assert row.last_ping is None
    assert not list(captured)


def test_an_answer_makes_it_online(make_channel, make_user):
    ann = make_user("ann")
    row = make_channel("$lab", "groups", members=[ann], answers_pings=True)
    ping("$lab")
    row.refresh_from_db()
    assert row.availability == "offline"
    with pytest.raises(PermissionDenied):
        pong("$lab", user=make_user("bob"))
    row.refresh_from_db()
    assert row.last_pong is None
    assert pong("$lab", user=ann)
    row.refresh_from_db()
    assert row.availability == "online"


def test_python_code_may_answer(make_channel):
    make_channel("lab", answers_pings=True)
    make_channel("mute")
    assert pong("lab")
    assert not pong("mute")
    assert not pong("missing")
    assert Channel.objects.get(name="lab").last_pong == NOW
    assert Channel.objects.get(name="mute").last_pong is None


@pytest.mark.django_db(transaction=True)
async def test_the_async_twins(make_channel, in_threads):
    await Channel.objects.acreate(name="lab", level="public", answers_pings=True)
    assert await aping("lab")
    assert await apong("lab")
    assert await Channel.objects.online().acount() == 1


def test_who_acknowledges_is_there(make_channel, make_user, settings):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"MESSAGES": "cache"}}
    ann = make_user("ann")
    make_channel("$lab", "groups", members=[ann], answers_pings=True, last_ping=NOW)
    make_channel("$mute", "groups", members=[ann])
    acknowledge(ann, [publish("$lab", "x").id, publish("$mute", "x").id])
    assert Channel.objects.get(name="$lab").availability == "online"
    assert Channel.objects.get(name="$mute").last_pong is None


def test_the_command_pings_all_in_few_queries(
    make_channel, captured, capsys, django_assert_max_num_queries
):
    Channel.objects.bulk_create(
        Channel(name=f"lab{n}", level="public", answers_pings=True) for n in range(600)
    )
    make_channel("mute")
    with django_assert_max_num_queries(9):
        call_command("pingchannels")
    assert capsys.readouterr().out == "Pinged: 600.\n"
    assert len({publication.channel for publication in captured}) == 600
    assert Channel.objects.filter(last_ping=NOW).count() == 600


def test_the_command_goes_on_until_it_is_stopped(make_channel, monkeypatch, capsys):
    make_channel("lab", answers_pings=True)
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("instant.management.commands.pingchannels.time.sleep", sleep)
    call_command("pingchannels", every=60)
    assert capsys.readouterr().out == "Pinged: 1.\n" * 2
    assert pauses == [60, 60]
    with pytest.raises(CommandError, match="above 0"):
        call_command("pingchannels", every=0)


@pytest.mark.django_db(transaction=True)
def test_the_command_fails_where_the_server_is_away(make_channel, monkeypatch, capsys):
    make_channel("lab", answers_pings=True)

    def away(*_args, **_kwargs):
        raise PublishError("The server is away.")

    monkeypatch.setattr("instant.stored.pinging.ping_all", away)
    with pytest.raises(SystemExit):
        call_command("pingchannels")
    assert "Not pinged: The server is away." in capsys.readouterr().err


@pytest.mark.only_on("postgresql")
@pytest.mark.django_db(transaction=True)
def test_the_command_outlives_a_restart_of_the_database(make_channel, monkeypatch, capsys):
    make_channel("lab", answers_pings=True)
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 1:
            end_connection()
        if len(pauses) == 3:
            raise KeyboardInterrupt

    def end_connection():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            [pid] = cursor.fetchone()
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        other.close()

    monkeypatch.setattr("instant.management.commands.pingchannels.time.sleep", sleep)
    call_command("pingchannels", every=60)
    out, err = capsys.readouterr()
    assert (out, err) == ("Pinged: 1.\n" * 3, "")


def test_many_answers_write_one_a_second(make_channel, monkeypatch):
    make_channel("lab", answers_pings=True)
    written = []
    for seconds in (0, 0.5, 0.9, 1.1, 1.2, -30, 2.5):
        now = NOW + timedelta(seconds=seconds)
        monkeypatch.setattr("django.utils.timezone.now", lambda now=now: now)
        assert pong("lab")
        written.append((Channel.objects.get().last_pong - NOW).total_seconds())
    # A clock that was put back says when somebody was there, too.
    assert written == [0, 0, 0, 1.1, 1.1, -30, 2.5]
