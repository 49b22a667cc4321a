"""Workers' tokens in the admin."""

import pytest
from django.contrib.auth.models import Permission

from instant.models import WorkerToken
from instant.stored import worker_token

pytestmark = pytest.mark.django_db

LIST = "/admin/instant/workertoken/"


@pytest.fixture
def may(client, make_user):
    def log_in(*names):
        user = make_user("ann", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def token():
    return worker_token.new_token("predict", "gpu 1")


def test_neither_the_token_nor_its_hash_is_shown(may, token):
    row, text = token
    browser = may("view_workertoken")
    assert worker_token.find_token(text) == row
    for path in (LIST, f"{LIST}{row.pk}/change/"):
        page = browser.get(path).content.decode()
        assert "predict" in page
        assert "gpu 1" in page
        assert text not in page
        assert WorkerToken.objects.get().digest not in page


def test_nothing_is_made_or_edited(may, token):
    row, _ = token
    browser = may("view_workertoken", "change_workertoken", "add_workertoken")
    assert browser.get(f"{LIST}add/").status_code == 403
    change = f"{LIST}{row.pk}/change/"
    assert browser.post(change, {"responder": "other", "label": "x"}).status_code == 403
    assert WorkerToken.objects.get().responder == "predict"


def test_they_are_revoked(may, token):
    row, text = token
    body = {"action": "revoke", "_selected_action": [row.pk]}
    browser = may("change_workertoken")
    page = browser.post(LIST, body, follow=True).content.decode()
    assert "1 token was revoked." in page
    assert worker_token.find_token(text) is None
    before = WorkerToken.objects.get().revoked_at
    browser.post(LIST, body)
    assert WorkerToken.objects.get().revoked_at == before


def test_not_by_those_who_may_only_look(may, token):
    row, text = token
    may("view_workertoken").post(LIST, {"action": "revoke", "_selected_action": [row.pk]})
    assert worker_token.find_token(text) == row


def test_not_by_others(may, token):
    assert may("view_ticket").get(LIST).status_code == 403
