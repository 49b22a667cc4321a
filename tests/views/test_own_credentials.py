"""INSTANT["AUTHENTICATION"]: clients that bring their own credentials."""

import subprocess
import sys
from datetime import timedelta

import jwt
import pytest
from django.contrib.sessions.models import Session
from django.test import Client, override_settings
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.tokens import AccessToken

from instant.exceptions import InstantConfigError
from instant.rights import credentials
from tests.views import authenticators

HERE = "tests.views.authenticators"
DRF = "rest_framework.authentication"
SIMPLEJWT = "rest_framework_simplejwt.authentication.JWTAuthentication"
CROSS = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
NAMES = ["$users"]
NAMES_OF_ALL = [
    "login", "logout", "get_token", "subscribe", "presence", "history", "snapshot",
    "messages/outstanding", "messages/acknowledge",
]  # fmt: skip
KEY = "test-hmac-key-0123456789-0123456789-0123456789"


def using(*paths, **more):
    return override_settings(INSTANT={"DIR": "/nonexistent", "AUTHENTICATION": list(paths), **more})


@pytest.fixture
def native(db):
    """A client that is no browser: no cookies, no Origin, no CSRF token."""
    return Client(enforce_csrf_checks=True, raise_request_exception=False)


@pytest.fixture(autouse=True)
def nothing_seen():
    authenticators.seen.clear()


def whose(response):
    """The ``sub`` of an answer's tokens."""
    assert response.status_code == 200, response.content
    body = response.json()
    values = [body["ws_token"]] if "ws_token" in body else []
    values += [channel["token"] for channel in body["channels"]]
    subjects = {
        jwt.decode(value, KEY, algorithms=["HS256"], audience="tests")["sub"] for value in values
    }
    assert len(subjects) == 1
    return subjects.pop()


def ask(client, post, name, **headers):
    if name == "get":
        return client.get("/instant/get_token/", headers=headers)
    return post(client, name, {"channels": ["public", *NAMES]}, headers=headers)


@pytest.fixture(autouse=True)
def channels(make_channel):
    make_channel("public")
    make_channel("$users", "users")


@pytest.fixture
def kinds(make_user):
    """Each kind of authenticator with a good and a bad header for ann."""
    user = make_user("ann")
    key = Token.objects.create(user=user).key
    access = str(AccessToken.for_user(user))
    expired = AccessToken.for_user(user)
    expired.set_exp(lifetime=-timedelta(seconds=1))
    unsigned = jwt.encode(jwt.decode(access, options={"verify_signature": False}), None, "none")
    return {
        f"{HERE}.bearer": ("Bearer ann", ["Bearer nobody", "Bearer "]),
        f"{DRF}.TokenAuthentication": (
            f"Token {key}",
            ["Token wrong", "Token", "Token a b", f"Token {key}x"],
        ),
        SIMPLEJWT: (
            f"Bearer {access}",
            ["Bearer wrong", f"Bearer {expired}", f"Bearer {access}x", f"Bearer {unsigned}"],
        ),
    }


PATHS = [f"{HERE}.bearer", f"{DRF}.TokenAuthentication", SIMPLEJWT]


@pytest.mark.parametrize("name", NAMES_OF_ALL[4:])
def test_the_other_endpoints_take_them_too(native, post, kinds, name):
    """Refused by the rule, which asks for a channel, not by the check or as anonymous."""
    good, (bad, *_) = kinds[PATHS[0]]
    with using(*PATHS):
        # snapshot/ takes many, of which none has a state, and messages of all channels may wait.
        answered = 200 if name in {"snapshot", "messages/outstanding"} else 400
        assert ask(native, post, name, Authorization=good).status_code == answered
        assert ask(native, post, name, Authorization=bad).status_code == 401
        assert ask(native, post, name).status_code == 403


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["get", "get_token", "subscribe"])
def test_a_native_client_needs_no_cookie_and_no_csrf_token(native, post, kinds, path, name):
    good, _ = kinds[path]
    with using(path):
        response = ask(native, post, name, Authorization=good)
        subject = whose(response)
    assert subject not in {"", None}
    assert "$users" in [channel["name"] for channel in response.json()["channels"]]
    assert "sessionid" not in response.cookies


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["get", "get_token", "subscribe"])
@pytest.mark.parametrize("session", [False, True])
def test_wrong_credentials_are_401_with_or_without_a_session(
    native, post, kinds, make_user, path, name, session
):
    if session:
        native.force_login(make_user("bob"))
    with using(path):
        for bad in kinds[path][1]:
            response = ask(native, post, name, Authorization=bad)
            assert response.status_code == 401, bad
            assert response["WWW-Authenticate"]
            assert response["Cache-Control"] == "private, no-store"
            assert set(response.json()) == {"error"}
            assert "nobody" not in response.content.decode()


@pytest.mark.parametrize("path", PATHS)
def test_the_challenge_is_the_classes_own(native, post, kinds, path):
    with using(path):
        found = ask(native, post, "get", Authorization=kinds[path][1][0])["WWW-Authenticate"]
    assert found.partition(" ")[0] == ("Token" if "Token" in path.rpartition(".")[2] else "Bearer")


@pytest.mark.slow  # six hundred of them
@pytest.mark.parametrize("name", NAMES_OF_ALL)
@pytest.mark.parametrize("site", [CROSS, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}, {}])
@pytest.mark.parametrize(
    "authorization",
    ["Bogus x", "Bearer nobody", "Bearer", "Basic YW5uOnB3", "Token x", "x", " ", ""],
)
@pytest.mark.parametrize("paths", [[], PATHS, [*PATHS, f"{DRF}.BasicAuthentication"]])
def test_no_authorization_header_opens_the_cross_site_check_for_a_session(
    native, post, make_user, name, site, authorization, paths
):
    """A page of another site that CORS lets send this header still gets nothing."""
    make_user("ann")
    native.force_login(make_user("bob"))
    with using(*paths):
        body = {"username": "ann", "password": "pw"}
        response = post(native, name, body, headers={**site, "Authorization": authorization})
    assert response.status_code in {401, 403}
    assert "_auth_user_id" in native.session


@pytest.mark.parametrize("name", ["get_token", "subscribe"])
def test_credentials_that_the_browser_adds_keep_the_check(native, post, make_user, name):
    make_user("ann")
    basic = {"Authorization": "Basic YW5uOnB3"}
    with using(f"{DRF}.BasicAuthentication"):
        assert ask(native, post, name, **basic, **CROSS).status_code == 403
        assert ask(native, post, name, **basic).status_code == 403
        same = {"Sec-Fetch-Site": "same-origin"}
        assert whose(ask(native, post, name, **basic, **same)) != ""


@pytest.mark.parametrize(
    "path", [f"{HERE}.cookie", f"{DRF}.SessionAuthentication", f"{DRF}.RemoteUserAuthentication"]
)
@pytest.mark.parametrize("authorization", [{}, {"Authorization": "Bearer x"}])
def test_an_authenticator_sees_nothing_that_a_browser_adds(
    native, post, make_user, path, authorization
):
    """Else a bogus header and a cookie together would be a way round the check."""
    user = make_user("ann")
    native.force_login(user)
    native.cookies["token"] = "ann"
    with using(path):
        for name in ("get_token", "subscribe"):
            response = post(native, name, {}, headers={**CROSS, **authorization}, REMOTE_USER="ann")
            assert response.status_code == 403
        # The session still counts where the site is right, as if nothing had been asked.
        same = {"Sec-Fetch-Site": "same-origin", **authorization}
        assert whose(ask(native, post, "get_token", **same)) == str(user.pk)


def test_own_credentials_win_over_the_session(native, post, make_user):
    ann, bob = make_user("ann"), make_user("bob")
    native.force_login(bob)
    with using(f"{HERE}.bearer"):
        assert whose(ask(native, post, "subscribe", Authorization="Bearer ann")) == str(ann.pk)
        assert whose(ask(native, post, "get")) == str(bob.pk)
    [request, _] = authenticators.seen
    assert not request.COOKIES
    assert "HTTP_COOKIE" not in request.META
    assert "Cookie" not in request.headers


def test_several_are_asked_in_order(native, post, kinds, make_user):
    bob = make_user("bob")
    with using(*PATHS, f"{HERE}.api_key"):
        token = kinds[f"{DRF}.TokenAuthentication"][0]
        ann = whose(ask(native, post, "get", Authorization=token))
        assert whose(ask(native, post, "get", **{"X-Api-Key": "bob"})) == str(bob.pk) != ann
        both = {"Authorization": token, "X-Api-Key": "bob"}
        assert whose(ask(native, post, "get", **both)) == ann


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("session", [False, True])
def test_an_inactive_user_is_nobody(native, post, kinds, make_user, path, session):
    """Anonymous, or wrong credentials where the class says so; never the session's user."""
    from django.contrib.auth import get_user_model

    if session:
        native.force_login(make_user("bob"))
    get_user_model().objects.filter(username="ann").update(is_active=False)
    with using(path):
        response = ask(native, post, "subscribe", Authorization=kinds[path][0])
        if path == f"{HERE}.bearer":
            assert whose(response) == ""
        else:
            assert response.status_code == 401
    with using(f"{HERE}.bearer", ANONYMOUS=False):
        response = ask(native, post, "get_token", Authorization="Bearer ann")
        assert response.status_code == 403


@pytest.mark.parametrize("path", PATHS)
def test_a_deleted_user_is_401(native, post, kinds, path):
    from django.contrib.auth import get_user_model

    get_user_model().objects.filter(username="ann").delete()
    with using(path):
        assert ask(native, post, "get", Authorization=kinds[path][0]).status_code == 401


def test_without_credentials_one_is_anonymous_and_is_checked(native, post):
    with using(*PATHS):
        assert whose(ask(native, post, "get")) == ""
        assert ask(native, post, "subscribe").status_code == 403
        assert whose(ask(native, post, "subscribe", **{"Sec-Fetch-Site": "same-origin"})) == ""


def test_by_default_nobody_looks_at_the_header(native, post, kinds):
    for path in PATHS:
        assert whose(ask(native, post, "get", Authorization=kinds[path][0])) == ""
        assert ask(native, post, "subscribe", Authorization=kinds[path][0]).status_code == 403


def test_login_and_logout_stay_the_sessions(native, post, make_user):
    make_user("ann")
    native.force_login(make_user("bob"))
    header = {"Authorization": "Bearer ann"}
    with using(f"{HERE}.bearer"):
        assert post(native, "logout", headers=header).status_code == 403
        body = {"username": "ann", "password": "pw"}
        assert post(native, "login", body, headers=header).status_code == 403
        same = header | {"Sec-Fetch-Site": "same-origin"}
        assert post(native, "logout", headers=same).status_code == 200
    assert "_auth_user_id" not in native.session
    assert authenticators.seen == []


def test_a_body_can_be_part_of_the_credentials(native, post, make_user):
    user = make_user("ann")
    with using(f"{HERE}.signed_body"):
        assert whose(post(native, "subscribe", {"channels": ["$users"], "x": "signed"})) == str(
            user.pk
        )
        assert post(native, "subscribe", {"x": "signed" + "x" * 70_000}).status_code == 400


@pytest.mark.parametrize("in_session", [False, True])
def test_no_cookie_is_set(native, post, make_user, in_session):
    """Nor a session begun with each request, for a CSRF token that nobody needs."""
    make_user("ann")
    with using(f"{HERE}.bearer"), override_settings(CSRF_USE_SESSIONS=in_session):
        for name in ("get", "get_token", "subscribe"):
            response = ask(native, post, name, Authorization="Bearer ann")
            assert response.status_code == 200
            assert not response.cookies
            assert response.json().get("csrf_token", "") == ""
        assert not Session.objects.exists()
        assert ask(native, post, "get").json()["csrf_token"]


def test_an_inactive_user_is_anonymous_for_the_rest_of_the_site_too(rf, make_user):
    user = make_user("ann", is_active=False)
    request = rf.get("/", headers={"Authorization": "Bearer ann"})
    found = credentials.authenticate(request, [f"{HERE}.bearer"])
    assert found.is_anonymous
    user.is_active = True
    user.save()
    assert credentials.authenticate(request, [f"{HERE}.bearer"]) == user
    assert credentials.authenticate(rf.get("/"), [f"{HERE}.bearer"]) is None
    assert credentials.authenticate(request, []) is None


def test_a_site_without_sessions(native, post, make_user):
    user = make_user("ann")
    with using(f"{HERE}.bearer"), override_settings(MIDDLEWARE=[]):
        assert whose(ask(native, post, "subscribe", Authorization="Bearer ann")) == str(user.pk)
        assert whose(ask(native, post, "get", Authorization="Bearer ann")) == str(user.pk)
        assert whose(ask(native, post, "get")) == ""


@pytest.mark.parametrize("path", [f"{HERE}.buggy", f"{HERE}.later", f"{HERE}.missing"])
def test_what_is_broken_lets_nobody_in(native, post, make_user, path):
    native.force_login(make_user("ann"))
    with using(path):
        response = ask(native, post, "get", Authorization="Bearer ann")
    assert response.status_code == 500
    assert "secret-in-a-bug" not in response.content.decode()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (f"{HERE}.missing", "can't be imported"),
        ("nowhere.at_all", "can't be imported"),
        (f"{HERE}.later", "no “async def”"),
        (f"{HERE}.HERE", "can't be imported"),
        ("instant.conf.Conf", "must be a function"),
        ("instant.conf.ENVIRONMENT", "must be a function"),
    ],
)
def test_what_is_no_authenticator(path, said):
    with pytest.raises(InstantConfigError, match=said) as info:
        credentials.authenticators([path])
    assert path in str(info.value)


def test_four_queries_still(native, kinds, django_assert_max_num_queries):
    for path in PATHS:
        with using(path), django_assert_max_num_queries(4):
            native.get("/instant/get_token/", headers={"Authorization": kinds[path][0]})


def test_drf_is_imported_only_where_it_is_named():
    code = (
        "import sys, django; from django.conf import settings;"
        "settings.configure(INSTALLED_APPS=['django.contrib.auth',"
        "'django.contrib.contenttypes', 'instant'], BASE_DIR='/nonexistent');"
        "django.setup();"
        "import instant.views.identity, instant.checks;"
        "from instant.rights.credentials import authenticate;"
        "from django.http import HttpRequest;"
        "authenticate(HttpRequest(), ['tests.views.authenticators.bearer']);"
        "sys.exit(any(name.startswith('rest_framework') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
