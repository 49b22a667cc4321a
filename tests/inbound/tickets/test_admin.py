"""Queued calls in the admin."""

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission

from instant.models import Ticket

pytestmark = pytest.mark.django_db

LIST = "/admin/instant/ticket/"


@pytest.fixture
def may(client, make_user):
    def log_in(*names):
        user = make_user("ann", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(user)
        return client

    return log_in


def ticket(state="queued", **fields):
    fields = {
        "method": "report.build", "queue": "bulk", "priority": 5, "data": '"secret 1"',
        "result": '"secret 2"', "message": "secret 3", "owner": "7", **fields,
    }  # fmt: skip
    return Ticket.objects.create(state=state, **fields)


def text(client, path):
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_the_list_says_how_far_each_is(may):
    ticket()
    ticket("failed", error="whoever ran it died, 3 times", code=500)
    page = text(may("view_ticket", "view_ticket_content"), LIST)
    for said in ("report.build", "queued", "failed", "bulk", "whoever ran it died, 3 times"):
        assert said in page
    assert "secret" not in page


@pytest.mark.parametrize("state", ["queued", "failed"])
def test_tickets_are_filtered(may, state):
    ticket()
    ticket("failed")
    page = text(may("view_ticket"), f"{LIST}?state__exact={state}&queue=bulk")
    assert page.count("field-method") == 1


def test_the_content_is_for_those_with_the_permission(may):
    one = ticket()
    page = text(may("view_ticket"), f"{LIST}{quote(one.pk)}/change/")
    assert "report.build" in page
    assert "secret" not in page
    assert 'name="_save"' not in page


def test_who_may_see_the_content(may):
    one = ticket()
    page = text(may("view_ticket", "view_ticket_content"), f"{LIST}{quote(one.pk)}/change/")
    for said in ("secret 1", "secret 2", "secret 3"):
        assert said in page


def test_nothing_can_be_added_or_edited(may):
    one = ticket()
    client = may("view_ticket", "change_ticket")
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{quote(one.pk)}/change/", {"state": "done"}).status_code == 403


def test_cancelling_is_for_those_who_may_change(may, publications):
    live, ended = ticket("running"), ticket("done")
    client = may("change_ticket")
    chosen = {"action": "cancel", "_selected_action": [live.pk, ended.pk]}
    page = client.post(LIST, chosen, follow=True).content.decode()
    assert "1 job was cancelled." in page
    assert Ticket.objects.get(pk=live.pk).state == "cancelled"
    assert Ticket.objects.get(pk=ended.pk).state == "done"


def test_whoever_may_only_see_cancels_nothing(may):
    live = ticket()
    client = may("view_ticket")
    client.post(LIST, {"action": "cancel", "_selected_action": [live.pk]})
    assert Ticket.objects.get(pk=live.pk).state == "queued"
