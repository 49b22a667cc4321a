"""What waits is pushed to the browsers of those who have not read it, once, and only an id."""

import base64
import threading
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instant.messages import mark_read, notify
from instant.models import Message, PushSubscription, QueuedPush
from instant.stored.push import queue, sending, vapid
from instant.stored.push.relay import PushRelay

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(make_user, push):
    return make_user("ann")


@pytest.fixture
def relay():
    return PushRelay()


@pytest.fixture
def subscribe(service, post):
    def subscribe(user, name=None):
        client, browser = Client(), service.browser(name or user.username)
        client.force_login(user)
        assert post("push/subscribe", browser.subscription(), client).status_code == 200
        return browser

    return subscribe


def due_now():
    QueuedPush.objects.update(due_at=timezone.now())


def test_an_id_is_pushed_and_nothing_else(ann, subscribe, service, relay):
    browser = subscribe(ann)
    id_ = notify(ann, "Secret " * 500, "Very secret", "/orders/1/")
    relay.drain()
    [(path, headers, body)] = service.received
    assert path == "/ann"
    assert browser.read(body) == {"id": id_}
    assert b"ecret" not in body
    assert len(body) < 3000
    assert headers["Content-Encoding"] == "aes128gcm"
    assert headers["Topic"] == id_
    assert 86_390 < int(headers["TTL"]) <= 86_400
    assert not QueuedPush.objects.exists()
    assert relay.sent == 1
    relay.drain()
    assert len(service.received) == 1


def test_it_is_signed_as_push_services_demand(ann, subscribe, service, relay):
    subscribe(ann)
    notify(ann, "x")
    relay.drain()
    [(_path, headers, _body)] = service.received
    scheme, _, rest = headers["Authorization"].partition(" ")
    assert scheme == "vapid"
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert parts["k"] == vapid.public_key()
    raw = base64.urlsafe_b64decode(parts["k"] + "=" * (-len(parts["k"]) % 4))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    claims = jwt.decode(parts["t"], key, algorithms=["ES256"], audience=service.origin)
    assert claims["sub"] == "mailto:ops@example.com"
    assert 0 < claims["exp"] - timezone.now().timestamp() < 24 * 3600


def test_it_is_queued_in_the_transaction(ann, subscribe, service):
    subscribe(ann)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        notify(ann, "x")
        1 / 0  # noqa: B018
    assert not QueuedPush.objects.exists()


def test_all_browsers_of_all_users(
    make_user, ann, subscribe, service, relay, django_assert_num_queries
):
    bob, cy = make_user("bob"), make_user("cy")
    subscribe(ann, "a1")
    with CaptureQueriesContext(connection) as one:
        notify(ann, "x")
    count = len(one)  # forgotten with the next request
    subscribe(ann, "a2")
    subscribe(bob, "b1")
    with django_assert_num_queries(count):
        notify([ann, bob, cy], "x")
    relay.drain()
    assert sorted(service.paths()) == ["/a1", "/a1", "/a2", "/b1"]


def test_without_the_setting_nothing_is_asked(ann, subscribe, settings):
    subscribe(ann)
    settings.INSTANT = {**settings.INSTANT, "PUSH": None}
    notify(ann, "x")
    assert not QueuedPush.objects.exists()
    assert PushRelay().look() is None


def test_what_was_read_meanwhile_is_not_pushed(ann, subscribe, service, relay, push):
    push(DELAY=60)
    subscribe(ann)
    read, unread = notify(ann, "a"), notify(ann, "b")
    assert 55 < relay.look() <= 60
    mark_read(ann, [read])
    due_now()
    relay.drain()
    assert [headers["Topic"] for _, headers, _ in service.received] == [unread]
    assert not QueuedPush.objects.exists()


def test_a_browser_that_is_gone_is_forgotten(ann, subscribe, service, relay):
    subscribe(ann, "a")
    subscribe(ann, "b")
    subscribe(ann, "c")
    service.answers = {"/a": [(410, {})], "/b": [(404, {})]}
    notify(ann, "x")
    relay.drain()
    assert [one.endpoint[-1] for one in PushSubscription.objects.all()] == ["c"]
    assert not QueuedPush.objects.exists()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_that_is_busy_is_asked_again_later(
    ann, subscribe, service, relay, status, caplog
):
    subscribe(ann)
    service.answers["/ann"] = [(status, {}), (status, {})]
    notify(ann, "x")
    relay.drain()
    waits = []
    for _ in range(2):
        [one] = QueuedPush.objects.all()
        waits.append((one.attempts, (one.due_at - timezone.now()).total_seconds()))
        due_now()
        relay = PushRelay()
        relay.drain()
    assert [attempts for attempts, _ in waits] == [1, 2]
    assert 14 < waits[0][1] <= 15
    assert 29 < waits[1][1] <= 30
    assert len(service.received) == 3
    assert not QueuedPush.objects.exists()
    assert "pushes wait" in caplog.text


def test_it_waits_as_long_as_the_service_asks_and_so_do_others(ann, subscribe, service, relay):
    subscribe(ann)
    service.answers["/ann"] = [(429, {"Retry-After": "120"})]
    notify(ann, "a")
    relay.drain()
    notify(ann, "b")
    relay.drain()
    assert len(service.received) == 1
    for one in QueuedPush.objects.all():
        assert 110 < (one.due_at - timezone.now()).total_seconds() <= 120
    assert sorted(one.attempts for one in QueuedPush.objects.all()) == [0, 1]


def test_no_answer_is_tried_again(ann, subscribe, service, relay):
    subscribe(ann)
    PushSubscription.objects.update(endpoint=f"{service.origin}/ann")
    service.close()
    notify(ann, "x")
    relay.drain()
    assert QueuedPush.objects.get().attempts == 1


def test_it_is_given_up_when_it_is_old(ann, subscribe, service, relay):
    subscribe(ann)
    notify(ann, "x")
    QueuedPush.objects.update(created_at=timezone.now() - timedelta(days=2))
    relay.drain()
    assert not service.received
    assert not QueuedPush.objects.exists()


def test_what_is_refused_for_good_is_told_and_dropped(ann, subscribe, service, relay, caplog):
    subscribe(ann)
    service.answers["/ann"] = [(403, {})]
    notify(ann, "x")
    relay.drain()
    assert not QueuedPush.objects.exists()
    assert PushSubscription.objects.exists()
    assert "refuses a push: 403 said" in caplog.text
    assert (relay.sent, relay.failed) == (0, 1)


def test_a_session_that_ended_gets_nothing(ann, make_user, subscribe, service, relay):
    bob, cy = make_user("bob"), make_user("cy")
    for user in (ann, bob, cy):
        subscribe(user)
    notify([ann, bob, cy], "x")
    ann.set_password("other")
    ann.save()
    bob.is_active = False
    bob.save()
    PushSubscription.objects.filter(user=cy).update(expires_at=timezone.now())
    relay.drain()
    assert not service.received
    assert not PushSubscription.objects.exists()
    assert not QueuedPush.objects.exists()


def test_a_service_that_was_taken_out_gets_nothing(ann, subscribe, service, relay, monkeypatch):
    from instant.stored.push import addresses

    subscribe(ann)
    notify(ann, "x")
    monkeypatch.setattr(addresses, "LOCAL", frozenset())
    relay.drain()
    assert not service.received
    assert not PushSubscription.objects.exists()


def test_keys_that_are_no_point_of_the_curve(ann, subscribe, service, relay):
    subscribe(ann)
    subscribe(ann, "other")
    wrong = base64.urlsafe_b64encode(b"\x04" + b"\x01" * 64).decode().rstrip("=")
    PushSubscription.objects.filter(endpoint__endswith="/ann").update(p256dh=wrong)
    notify(ann, "x")
    relay.drain()
    assert service.paths() == ["/other"]
    assert [one.endpoint[-5:] for one in PushSubscription.objects.all()] == ["other"]


def test_who_has_a_page_open_is_left_alone_where_a_setting_says_so(
    ann, make_user, subscribe, service, relay, push, monkeypatch
):
    from instant.exceptions import ServerUnreachable
    from instant.stored.push import relay as module

    bob, cy = make_user("bob"), make_user("cy")
    for user in (ann, bob, cy):
        subscribe(user)
    push(UNLESS_PRESENT=True)

    def present(channel):
        if channel == f"user:{cy.pk}":
            raise ServerUnreachable("gone")
        return ["somebody"] if channel == f"user:{ann.pk}" else []

    monkeypatch.setattr(module, "present", present)
    notify([ann, bob, cy], "x")
    relay.drain()
    assert sorted(service.paths()) == ["/bob", "/cy"]


def test_what_a_process_left_that_died_is_anothers_later(ann, subscribe, service, relay):
    subscribe(ann)
    notify(ann, "x")
    [left] = queue.claim(10)
    relay.drain()
    assert not service.received
    due_now()
    relay.drain()
    assert service.paths() == ["/ann"]
    queue.done([left])  # who had it before changes nothing


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql")
def test_two_relays_push_once(make_user, push, subscribe, service):
    users = [make_user(f"u{n}") for n in range(30)]
    for user in users:
        subscribe(user)
    notify(users, "x")
    start = threading.Barrier(4)

    def drain():
        start.wait()
        PushRelay().drain()
        connection.close()

    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(service.paths()) == sorted(f"/u{n}" for n in range(30))


def test_the_commands(ann, subscribe, service, capsys, settings):
    subscribe(ann)
    notify(ann, "x")
    call_command("relay_push", "--once")
    assert capsys.readouterr().out == "Pushed: 1, failed: 0. Reminded: 0, failed: 0.\n"
    call_command("vapidkeys")
    said = capsys.readouterr().out
    key = said.split('"PRIVATE_KEY": "')[1].split('"')[0]
    settings.INSTANT = {
        **settings.INSTANT, "PUSH": {"PRIVATE_KEY": key, "CONTACT": "mailto:a@example.com"}
    }  # fmt: skip
    assert len(vapid.public_key()) == 87
    settings.INSTANT = {**settings.INSTANT, "PUSH": None}
    with pytest.raises(CommandError, match="PUSH"):
        call_command("relay_push", "--once")


def test_no_setting_shows_its_key(push, settings):
    from instant import conf

    assert settings.INSTANT["PUSH"]["PRIVATE_KEY"] not in repr(conf.current())


def test_a_user_who_is_deleted_takes_what_waits_along(ann, make_user, subscribe, service):
    bob = make_user("bob")
    subscribe(ann)
    subscribe(bob)
    notify([ann, bob], "x")
    ann.delete()
    connection.check_constraints()
    assert [one.subscription.user for one in QueuedPush.objects.all()] == [bob]
    Message.objects.all().delete()
    assert not QueuedPush.objects.exists()


def test_no_service_is_obeyed_for_longer_than_six_hours(ann, subscribe, service, relay):
    subscribe(ann)
    service.answers["/ann"] = [(429, {"Retry-After": "999999999"})]
    notify(ann, "x")
    relay.drain()
    hours = (QueuedPush.objects.get().due_at - timezone.now()).total_seconds() / 3600
    assert 5.9 < hours <= 6


def test_one_that_was_renewed_while_its_service_answered_stays(
    ann, subscribe, service, relay, monkeypatch
):
    subscribe(ann)
    notify(ann, "x")
    real = sending.send

    def send(requests, timeout):
        PushSubscription.objects.update(renewed_at=timezone.now())
        return real(requests, timeout)

    monkeypatch.setattr(sending, "send", send)
    service.answers["/ann"] = [(410, {})]
    relay.drain()
    assert PushSubscription.objects.exists()


def test_it_lives_no_longer_at_the_service_than_it_would_have(ann, subscribe, service, relay, push):
    push(TTL=3600)
    subscribe(ann)
    notify(ann, "x")
    QueuedPush.objects.update(created_at=timezone.now() - timedelta(minutes=50))
    relay.drain()
    [(_, headers, _)] = service.received
    assert 590 < int(headers["TTL"]) <= 600


def test_what_another_relay_has_taken_in_between_is_its_own(ann, subscribe):
    subscribe(ann)
    notify(ann, "x")
    first = []

    def before(execute, sql, *rest):
        if sql.startswith("UPDATE") and not first:
            first.append(None)
            first[:] = queue.claim(1)
        return execute(sql, *rest)

    with connection.execute_wrapper(before):
        assert queue.claim(1) == []
    assert len(first) == 1


def test_whose_claim_is_over_neither_ends_nor_delays_it(ann, subscribe):
    subscribe(ann)
    notify(ann, "x")
    [mine] = queue.claim(1)
    due_now()
    [another] = queue.claim(1)
    queue.done([mine])
    queue.later(mine, timezone.now() + timedelta(days=1), failed=True)
    one = QueuedPush.objects.get()
    assert (one.claim, one.due_at, one.attempts) == (another.claim, another.due_at, 0)
