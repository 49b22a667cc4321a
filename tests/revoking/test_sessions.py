"""Sessions that end, go on as another user's, or outlive a change of the password."""

import pytest
from django.contrib.auth import get_user_model, login, logout, update_session_auth_hash
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from instant.centrifugo.api.commands import Disconnect, Unsubscribe
from instant.models import Revocation
from instant.revoking import follow_up, request_end, run
from instant.revoking.affected import Affected

HERE = "tests.revoking.test_sessions"
ENGINES = ["db", "cache", "cached_db", "signed_cookies"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
seen = []


@csrf_exempt
def acts_as(request, name):
    """Log in over the session, as django-hijack, django-su and django-loginas do."""
    assert request.user.is_authenticated  # they ask whether this user may
    login(request, get_user_model().objects.get(username=name), MODEL_BACKEND)
    seen.append("logged in")
    return HttpResponse()


@csrf_exempt
def impersonates(request, name):
    """Only name somebody in the session, as django-impersonate does."""
    request.session["_impersonate"] = name
    return HttpResponse()


@csrf_exempt
def leaves(request):
    logout(request)
    return HttpResponse()


@csrf_exempt
def changes_password(request, name):
    """Save first, and say later that the session goes on; a mail is sent in between."""
    assert request.user.is_authenticated
    user = get_user_model().objects.get(username=name)
    user.set_password("new")
    if request.GET.get("also"):
        user.is_staff = False
    if request.GET.get("atomic"):
        with transaction.atomic():
            user.save()
    else:
        user.save()
    seen.append("mail")
    if user == request.user:
        update_session_auth_hash(request, user)
    return HttpResponse()


MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
urlpatterns = [
    path("act-as/<name>/", acts_as),
    path("impersonate/<name>/", impersonates),
    path("leave/", leaves),
    path("password/<name>/", changes_password),
    path("instant/", include("instant.urls")),
]


class Impersonation:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if name := request.session.get("_impersonate"):
            request.user = get_user_model().objects.get(username=name)
        return self.get_response(request)


@pytest.fixture
def told(client):
    """What the server was told since it was asked last, among what the views have done."""
    seen.clear()
    client.answer = seen.append

    def tell():
        found = list(seen)
        seen.clear()
        return found

    return tell


@pytest.fixture
def people(make_user):
    return {name: make_user(name) for name in ("ann", "bob", "boss")}


@pytest.fixture
def browser(people):
    browser = Client(headers={"Sec-Fetch-Site": "same-origin"})
    browser.force_login(people["boss"])
    with override_settings(ROOT_URLCONF=HERE, MIDDLEWARE=MIDDLEWARE):
        yield browser


def back(*users):
    return [
        Disconnect(sub, 4000, "permissions changed") for sub in sorted(str(u.pk) for u in users)
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_impersonation_by_login_ends_with_it(settings, told, people, browser, engine):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    browser.force_login(people["boss"])
    told()
    browser.post("/act-as/ann/")
    assert told() == ["logged in", *back(people["boss"])]
    browser.post("/act-as/boss/")
    assert told() == ["logged in", *back(people["ann"])]
    browser.post("/act-as/boss/")
    assert told() == ["logged in"]
    browser.post("/leave/")
    assert told() == back(people["boss"])


@pytest.mark.parametrize("engine", ENGINES)
def test_logging_out_ends_what_was_opened_while_a_middleware_named_others(
    settings, told, people, browser, engine
):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.MIDDLEWARE = [*MIDDLEWARE, f"{HERE}.Impersonation"]
    browser.force_login(people["boss"])
    for name in ("ann", "bob", ""):
        browser.post(f"/impersonate/{name or 'boss'}/")
        for view in ("get_token", "subscribe"):
            answer = browser.post(f"/instant/{view}/", "{}", content_type="application/json")
            assert answer.status_code == 200
    assert browser.session["instant_users"] == [str(people[n].pk) for n in ("ann", "bob")]
    told()
    browser.post("/leave/")
    assert told() == back(*people.values())


def test_logging_out_while_a_middleware_names_another_ends_both(settings, told, people, browser):
    settings.MIDDLEWARE = [*MIDDLEWARE, f"{HERE}.Impersonation"]
    browser.post("/impersonate/ann/")
    told()
    browser.post("/leave/")
    assert told() == back(people["ann"], people["boss"])


def test_the_login_endpoint_too(told, people, browser):
    body = {"username": "ann", "password": "pw"}
    answer = browser.post("/instant/login/", body, content_type="application/json")
    assert answer.status_code == 200
    assert told() == back(people["boss"])


def test_an_ordinary_login_costs_nothing(told, people, browser, django_assert_num_queries):
    request = HttpRequest()
    with django_assert_num_queries(2):  # Django's own: last_login
        for one in (None, request):
            user_logged_in.send(type(people["ann"]), request=one, user=people["ann"])
    assert told() == []
    assert Revocation.objects.count() == 0


def test_a_logout_without_a_request_is_left_to_the_looker(told, people):
    user_logged_out.send(type(people["ann"]), request=None, user=people["ann"])
    assert request_end.ended()
    [row] = Revocation.objects.all()
    assert follow_up.follow_up(row.due_at) == 1
    assert told() == back(people["ann"])


def test_what_fails_breaks_neither_login_nor_logout(
    told, people, browser, monkeypatch, settings, caplog
):
    def broken(*_):
        raise DatabaseError("odd")

    monkeypatch.setattr(run, "record", broken)
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    with transaction.atomic():
        browser.post("/act-as/ann/")
        assert browser.session["_auth_user_id"] == str(people["ann"].pk)
        browser.post("/leave/")
        assert "_auth_user_id" not in browser.session
    assert len([r for r in caplog.records if "are not asked again" in r.getMessage()]) == 2


# The password


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["", "?atomic=1"])
def test_a_changed_password_is_enforced_when_the_session_is_good_again(told, people, browser, how):
    token = browser.get("/instant/get_token/").json()["ws_token"]
    assert token
    told()
    browser.post(f"/password/boss/{how}")
    assert told() == ["mail", *back(people["boss"])]
    [row] = Revocation.objects.all()
    assert row.is_last
    assert Affected.from_json(row.loss) == Affected(sessions={str(people["boss"].pk)})
    assert browser.get("/instant/get_token/").json()["csrf_token"]
    assert browser.session["_auth_user_id"] == str(people["boss"].pk)


@pytest.mark.django_db(transaction=True)
def test_what_else_is_lost_is_enforced_at_the_commit(client, told, people, browser, make_channel):
    make_channel("$staff", "staff")
    boss = people["boss"]
    boss.is_staff = True
    boss.save()
    told()
    browser.post("/password/boss/?also=1")
    assert told() == [Unsubscribe(str(boss.pk), "$staff"), "mail", *back(boss)]
    losses = [Affected.from_json(row.loss) for row in Revocation.objects.order_by("pk")]
    assert Affected(sessions={str(boss.pk)}) in losses
    assert Affected(subscriptions={str(boss.pk): {"$staff"}}) in losses
    assert len(losses) == 2


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_request_it_is_enforced_at_the_commit(told, people):
    people["ann"].set_password("new")
    people["ann"].save()
    assert told() == back(people["ann"])


@pytest.mark.django_db(transaction=True)
def test_a_process_that_dies_before_the_end_leaves_its_row(told, people):
    request_end.began(None, environ={})
    try:
        people["ann"].set_password("new")
        people["ann"].save()
        assert told() == []
        [row] = Revocation.objects.all()
        assert follow_up.follow_up(row.due_at) == 1
        assert told() == back(people["ann"])
    finally:
        left = request_end.ended()
    run.check_at_end(left)  # it was only slow
    assert told() == back(people["ann"])
    assert Revocation.objects.filter(is_last=True).exists()
    assert not Revocation.objects.filter(is_last=False).exists()
