"""Messages, requests and notifications of tenants that share their tables and their users' keys."""

import pytest

from instant import publish, responder
from instant.messages import acknowledge, mark_read, notify, outstanding, unread
from instant.models import Message, Ticket
from instant.stored.notifications import inbox
from instant.testing import call_rpc, run_jobs
from tests.tenancy.conftest import tenants  # noqa: F401  a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]


@pytest.fixture
def ann(make_user):
    return make_user("ann")


def test_a_message_is_its_tenant_s(ann, make_channel, store, tenants):  # noqa: F811
    store(MESSAGES="store")
    make_channel("$all", "users")
    with tenants.activate("acme"):
        id_ = publish("$all", "x").id
    with tenants.activate("globex"):
        assert outstanding(ann) == []
        assert acknowledge(ann, [id_]) == []
    with tenants.activate("acme"):
        assert [one.uuid.hex for one in outstanding(ann)] == [id_]
        assert len(acknowledge(ann, [id_])) == 1


def test_a_request_and_its_answer_are_their_tenant_s(ann, store, tenants):  # noqa: F811
    store(REQUESTS="store", RESPONSES="store")
    responder("predict")(lambda call: 7)
    with tenants.activate("acme"):
        call_rpc(ann, "instant.request", {"name": "predict"})
    with tenants.activate("globex"):
        assert run_jobs("request:predict") == 0
    with tenants.activate("acme"):
        assert run_jobs("request:predict") == 1
        [answer] = outstanding(ann)
    assert answer.payload["data"]["result"] == 7
    assert answer.request.pk == Ticket.objects.get().asked
    assert {one.tenant for one in Message.objects.all()} == {"acme"}


def test_notifications_are_their_tenant_s(ann, tenants):  # noqa: F811
    with tenants.activate("acme"):
        key = notify(ann, "of acme")
    with tenants.activate("globex"):
        notify(ann, "of globex")
        assert unread(ann) == 1
        assert [one["title"] for one in inbox.listed(ann)[0]] == ["of globex"]
        assert mark_read(ann, [key]) == 1
        assert mark_read(ann) == 0
    with tenants.activate("acme"):
        assert unread(ann) == 1
