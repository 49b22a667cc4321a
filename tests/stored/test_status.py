"""What is known of whether somebody is there: by pings of a row, else by presence."""

from datetime import timedelta

import pytest
from django.utils import timezone

from instant import Namespace, presence
from instant.exceptions import InstantConfigError, ServerUnreachable
from instant.messages import ping, pong
from instant.models import Channel, WorkerToken
from instant.stored import worker_token
from instant.stored.status import NotPinged, find_row, status
from tests.tenancy.conftest import tenants  # noqa: F401  a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture
def present(monkeypatch):
    """Say who is there, or why nobody knows."""

    def present(answer):
        def asked(channel):
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(presence, "present", asked)

    return present


def test_of_a_row_its_pings_say_it(make_channel, present):
    present([object()])
    make_channel("lab", answers_pings=True)
    assert status("lab") == ("unknown", "ping", None, None)
    ping("lab")
    pong("lab")
    found = status("lab")
    assert (found.availability, found.by) == ("online", "ping")
    assert found.last_pong >= found.last_ping
    Channel.objects.update(last_pong=timezone.now() - timedelta(hours=1))
    Channel.objects.update(last_ping=timezone.now() - timedelta(seconds=30))
    assert status("lab").availability == "offline"


def test_a_row_that_answers_no_pings(make_channel):
    make_channel("lab")
    with pytest.raises(NotPinged, match="answers no pings"):
        status("lab")


@pytest.mark.parametrize(
    ("there", "known"),
    [
        ([object()], "online"),
        ([], "offline"),
        (ServerUnreachable("away"), "unknown"),
        (InstantConfigError("no key"), "unknown"),
    ],
)
def test_of_a_namespace_presence_says_it(registry, present, there, known):
    class Room(Namespace):
        name, pattern, presence = "room", "<int:pk>", True

    present(there)
    assert status("room:1") == (known, "presence", None, None)


def test_an_open_namespace_without_presence(registry, present):
    class Room(Namespace):
        name, pattern, authorize = "room", "<int:pk>", "open"

    present([object()])
    with pytest.raises(NotPinged, match="has no presence"):
        status("room:1")
    Room.presence = True
    assert status("room:1").availability == "online"


def test_a_row_is_found_by_its_exact_name(make_channel):
    row = make_channel("lab")
    assert find_row("lab") == row
    assert find_row("Lab") is None
    assert find_row("other") is None


def test_a_worker_s_token_is_known_by_its_hash(tenants):  # noqa: F811
    with tenants.activate("acme"):
        row, text = worker_token.new_token("predict", "gpu 1")
        assert text not in str(WorkerToken.objects.values().get())
        assert str(row) == "predict (gpu 1)"
        assert worker_token.find_token(text) == row
        assert worker_token.find_token(text + "x") is None
        assert worker_token.find_token("\ud800") is None
        used = WorkerToken.objects.get().used_at
        worker_token.find_token(text)  # a minute later it is noted again
        assert WorkerToken.objects.get().used_at == used
        WorkerToken.objects.update(used_at=used - timedelta(minutes=2))
        worker_token.find_token(text)
        assert WorkerToken.objects.get().used_at >= used
    with tenants.activate("globex"):
        assert worker_token.find_token(text) is None
        assert not worker_token.own_tokens()
    with tenants.activate("acme"):
        row.revoke()
        assert worker_token.find_token(text) is None
        assert [*worker_token.own_tokens()] == [row]
        assert str(worker_token.new_token("other")[0]).startswith("other (")
