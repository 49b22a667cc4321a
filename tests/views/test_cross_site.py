"""Every combination of what a browser says about where a POST comes from (decision 8)."""

import itertools

import pytest
from django.test import Client, override_settings

SITES = [
    None,
    "same-origin",
    "same-site",
    "cross-site",
    "none",
    "",
    "SAME-ORIGIN",
    "same-origin, x",
]
OWN = ["http://testserver", "https://trusted.example", "https://a.wild.example"]
FOREIGN = [
    "https://evil.example", "null", "", "https://testserver", "http://testserver:8000",
    "http://testserver.evil.example", "http://evil.example/http://testserver", "http://TESTSERVER",
    "http://trusted.example", "https://trusted.example:444", "https://wild.example.evil",
    "https://awild.example", "http://a.wild.example", "http://[broken", "testserver", "*",
    "http://testserver@evil.example", "https://evil.example#.wild.example", "file://", "null, null",
    "http://testserver, https://evil.example",
]  # fmt: skip
TOKENS = [None, "good", "bad"]
NAMES = [
    "login", "logout", "get_token", "subscribe", "presence", "history", "snapshot",
    "messages/outstanding", "messages/acknowledge",
]  # fmt: skip


BODIES = {
    "login": {"username": "ann", "password": "wrong"},
    **{name: {"channels": []} for name in ["logout", "get_token", "subscribe"]},
}


def passes(site, origin, token):
    """The rule, written once more."""
    if site == "same-origin" or origin in OWN:
        return True
    return site is None and origin is None and token == "good"


COMBINATIONS = list(itertools.product(SITES, [None, *OWN, *FOREIGN], TOKENS))


@pytest.mark.parametrize("name", NAMES)
@override_settings(
    CSRF_TRUSTED_ORIGINS=["https://trusted.example", "https://*.wild.example"],
    INSTANT={"DIR": "/nonexistent", "THROTTLE": None},
)
@pytest.mark.slow
def test_all_of_them(make_user, post, name):
    """A password that is wrong or a session that stays shows what was refused before."""
    make_user("ann")
    client = Client(enforce_csrf_checks=True)
    good = client.get("/instant/get_token/").json()["csrf_token"]
    wrong = []
    for site, origin, token in COMBINATIONS:
        headers = {"Sec-Fetch-Site": site, "Origin": origin}
        headers |= {"X-CSRFToken": {"good": good, "bad": "x" * 64}.get(token)}
        headers = {header: value for header, value in headers.items() if value is not None}
        body = BODIES.get(name, {"channel": "$nobodys"})
        response = post(client, name, body, headers=headers)
        assert response["Content-Type"] == "application/json"
        text = response.json().get("error", "")
        refused = "another site" in text or "CSRF token" in text
        # What is let through fails on the rule: the password is wrong, the channel nobody's.
        assert response.status_code == (200 if not refused and "channels" in body else 403)
        if refused == passes(site, origin, token):
            wrong.append((site, origin, token))
    assert wrong == []
    assert len(COMBINATIONS) == 600


@pytest.mark.parametrize("name", NAMES[:4])
def test_over_https_the_own_origin_is_the_https_one(make_user, post, name):
    make_user("ann")
    body = {"username": "ann", "password": "pw"}
    for origin, status in [("https://testserver", 200), ("http://testserver", 403)]:
        response = post(Client(), name, body, headers={"Origin": origin}, secure=True)
        assert response.status_code == status
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        headers = {
            "Origin": "https://testserver",
            "X-Forwarded-Proto": "https",
            "Host": "testserver",
        }
        assert post(Client(), name, body, headers=headers).status_code == 200


def test_without_these_headers_https_asks_for_the_referer_as_django_does(make_user, post):
    client = Client(enforce_csrf_checks=True)
    token = client.get("/instant/get_token/", secure=True).json()["csrf_token"]
    headers = {"X-CSRFToken": token}
    assert post(client, "logout", headers=headers, secure=True).status_code == 403
    headers["Referer"] = "https://evil.example/"
    assert post(client, "logout", headers=headers, secure=True).status_code == 403
    headers["Referer"] = "https://testserver/page"
    assert post(client, "logout", headers=headers, secure=True).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("&".join(f"a{n}=1" for n in range(1001)), "application/x-www-form-urlencoded"),
        ("--x\r\nbroken", "multipart/form-data; boundary=" + "x" * 300),
    ],
)
def test_a_form_that_can_not_be_read_is_no_error_of_ours(db, body, kind, caplog):
    """Where nothing tells the site, Django looks for its token there."""
    client = Client(enforce_csrf_checks=True)
    client.get("/instant/get_token/")
    response = client.post("/instant/logout/", body, content_type=kind)
    assert (response.status_code, [*response.json()]) == (400, ["error"])
    assert "instant.views" not in {record.name for record in caplog.records}


def test_a_get_changes_nothing_and_tells_other_sites_nothing(make_user, make_channel):
    """Another site's page may send it; without CORS it may not read the answer."""
    make_channel("public")
    client = Client()
    client.force_login(make_user())
    cross = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    response = client.get("/instant/get_token/", headers=cross)
    assert response.status_code == 200
    assert not [header for header in response.headers if header.startswith("Access-Control")]
    assert response["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("get_token", "GET, POST"), *[(name, "POST") for name in NAMES if name != "get_token"]],
)
def test_methods(db, name, allowed):
    """HEAD and OPTIONS too, which Django would answer for a class of views."""
    client = Client(enforce_csrf_checks=True)
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "FOO"):
        response = client.generic(method, f"/instant/{name}/")
        if method in allowed.split(", "):
            assert response.status_code == 200
            continue
        assert (response.status_code, response["Allow"]) == (405, allowed), method
        assert response["Content-Type"] == "application/json"
        assert response["Cache-Control"] == "private, no-store"
