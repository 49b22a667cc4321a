"""The script tag."""

import html
import json
import re

import django
import pytest
from django.core.management import call_command
from django.template import Context, RequestContext, Template
from django.test import RequestFactory, override_settings
from django.urls import path
from django.utils import translation

from instant.exceptions import InstantConfigError
from instant.html import bell, connect_sources, live_script, push_options

TEMPLATE = "{% load instant %}{% instant_script %}"


def render(context=None):
    return Template(TEMPLATE).render(context or Context())


def config(tag):
    return json.loads(html.unescape(re.search(r'data-instant="([^"]*)"', tag)[1]))


def test_one_external_script_with_its_config():
    tag = render()
    assert tag.startswith('<script src="/static/instant/instant.min.js" ')
    assert tag.endswith("></script>")
    assert config(tag) == {
        "size_limit": 65536,
        "tokenless": [],
        "calls": "/static/instant/instant.calls.min.js",
        "stored": "/static/instant/instant.stored.min.js",
        "csrf": {"cookie": "csrftoken", "header": "X-Csrftoken"},
        "urls": {
            "get_token": "/instant/get_token/",
            "history": "/instant/history/",
            "login": "/instant/login/",
            "logout": "/instant/logout/",
            "messages": "/instant/messages/",
            "presence": "/instant/presence/",
            "snapshot": "/instant/snapshot/",
            "subscribe": "/instant/subscribe/",
        },
        "texts": {
            "connecting": "Connecting…",
            "live": "Connected again.",
            "catching-up": "Catching up…",
            "offline": "Not connected. Trying again…",
            "stopped": "Not connected. Reload the page to try again.",
            "signed-out": "You are signed out.",
        },
    }
    assert "nonce" not in tag


@pytest.mark.parametrize(
    ("setting", "given", "shared"),
    [
        (False, "", False),
        (False, " shared=True", True),
        (True, "", True),
        (True, " shared=False", False),
    ],
)
def test_tabs_share_a_connection_where_the_page_or_the_setting_says_so(
    settings, setting, given, shared
):
    settings.INSTANT = {**settings.INSTANT, "SHARED_CONNECTION": setting}
    tag = Template(TEMPLATE.replace("script %", f"script{given} %")).render(Context())
    found = config(tag).get("shared")
    assert found == ("/static/instant/instant.shared.min.js" if shared else None)


def test_it_is_the_same_for_everybody(make_user, rf):
    user = make_user("ann")
    request = rf.get("/")
    request.user = user
    assert render(RequestContext(request)) == render()
    assert "ann" not in render(RequestContext(request))


@pytest.mark.parametrize(
    ("file", "environment", "limit"),
    [
        ({}, {}, 65536),
        ({"websocket": {"message_size_limit": 1000}}, {}, 1000),
        ({"emulation": {"max_request_body_size": 900}}, {}, 900),
        # Whatever the transport is: so the smaller one counts.
        ({"websocket": {"message_size_limit": 10**6}}, {}, 65536),
        (
            {"websocket": {"message_size_limit": 10**6}},
            {"CENTRIFUGO_EMULATION_MAX_REQUEST_BODY_SIZE": "200000"},
            200000,
        ),
        ({"websocket": {"message_size_limit": "many"}}, {}, 65536),
        ({"websocket": None, "emulation": []}, {}, 65536),
    ],
)
def test_the_page_knows_how_much_the_server_accepts_at_once(
    file, environment, limit, settings, tmp_path, monkeypatch
):
    (tmp_path / "config.json").write_text(json.dumps(file))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.INSTANT = {"DIR": tmp_path}
    assert config(render())["size_limit"] == limit


def test_a_page_knows_the_gateway_where_there_is_one(settings):
    assert "rpc" not in config(render())["urls"]
    settings.INSTANT = {**settings.INSTANT, "GATEWAY": True}
    assert config(render())["urls"]["rpc"] == "/instant/rpc/"


def test_both_scripts_have_the_names_that_the_storage_gives_them(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
    }
    call_command("collectstatic", "--noinput", verbosity=0)
    tag = render()
    [script] = re.findall(r'src="/static/([^"]*)"', tag)
    calls = config(tag)["calls"].removeprefix("/static/")
    stored = config(tag)["stored"].removeprefix("/static/")
    files = {"instant.min": script, "instant.calls.min": calls, "instant.stored.min": stored}
    for name, file in files.items():
        assert re.fullmatch(rf"instant/{re.escape(name)}\.[0-9a-f]{{12}}\.js", file)
        assert (tmp_path / file).exists()


@override_settings(CSRF_COOKIE_NAME='c"<', CSRF_HEADER_NAME="HTTP_X_MINE")
def test_settings_are_followed_and_escaped():
    tag = render()
    assert config(tag)["csrf"] == {"cookie": 'c"<', "header": "X-Mine"}
    assert tag.count("<") == 2


def test_nonce_of_django_csp():
    request = RequestFactory().get("/")
    request.csp_nonce = "abc"
    assert ' nonce="abc"></script>' in render(RequestContext(request))


def test_nonce_of_the_context():
    assert ' nonce="abc"></script>' in render(Context({"csp_nonce": "abc"}))


if django.VERSION >= (6, 0):

    def test_nonce_of_django_6():
        from django.middleware import csp

        request = RequestFactory().get("/")
        csp.ContentSecurityPolicyMiddleware(lambda r: None).process_request(request)
        tag = render(RequestContext(request))
        assert f' nonce="{csp.get_nonce(request)}"></script>' in tag


@pytest.mark.parametrize(
    ("url", "sources"),
    [
        (None, ["ws://testserver:8427", "http://testserver:8427"]),
        ("wss://push.example/connection/websocket", ["wss://push.example", "https://push.example"]),
        (
            ["ws://[::1]:9000/x", "wss://b", "wss://b/y"],
            ["ws://[::1]:9000", "http://[::1]:9000", "wss://b", "https://b"],
        ),
    ],
)
def test_what_a_content_security_policy_has_to_name(url, sources):
    with override_settings(INSTANT={"DIR": "/nonexistent", "PUBLIC_URL": url}):
        assert connect_sources(RequestFactory().get("/")) == sources


class NoUrls:
    urlpatterns = [path("", lambda request: None)]


@override_settings(ROOT_URLCONF=NoUrls)
def test_missing_urls_say_what_to_add():
    with pytest.raises(InstantConfigError, match=r'include\("instant.urls"\)'):
        render()


def test_the_bell_is_the_same_for_everybody():
    made = Template("{% load instant %}{% instant_bell %}").render(Context())
    [found] = re.findall(r'data-instant-bell="([^"]+)"', made)
    found = json.loads(html.unescape(found))
    assert found["urls"] == {
        "list": "/instant/notifications/",
        "read": "/instant/notifications/read/",
    }
    assert found["texts"]["unread"] == "{n} unread"
    assert made.startswith("<instant-bell hidden></instant-bell><script src=")
    assert bell("n0nce").endswith(' defer nonce="n0nce"></script>')
    with translation.override("de"):
        assert "{n} ungelesen" in bell()


def test_the_script_of_live_pages_is_there_once_a_request():
    request = RequestFactory().get("/")
    text = "{% load instant %}{% instant_live %}"
    made = Template(text).render(RequestContext(request))
    assert made.startswith('<script src="/static/instant/instant.live.min.js" ')
    assert made.endswith(" defer></script>")
    assert config(made.replace("data-instant-live", "data-instant"))["life"] == 3600
    assert live_script(request) == ""
    assert Template(text).render(RequestContext(request)) == ""
    assert live_script(RequestFactory().get("/")) == made
    assert live_script(None) == live_script(Context()) == ""  # an email has no scripts


def test_the_script_of_live_pages_has_the_nonce():
    request = RequestFactory().get("/")
    request.csp_nonce = "n0nce"
    assert live_script(request).endswith(' defer nonce="n0nce"></script>')
    context = RequestContext(RequestFactory().get("/"), {"csp_nonce": "other"})
    assert live_script(context).endswith(' defer nonce="other"></script>')


def test_the_bell_offers_what_the_settings_switch_on(settings):
    assert push_options() is None
    assert '"push"' not in html.unescape(bell())
    key = "qEL-Ejtk7zQ7gVXPWNnqqPqzvVMH7qvLPMDHdvMW5mw"
    push = {"PRIVATE_KEY": key, "CONTACT": "mailto:ops@example.com"}
    settings.INSTANT = {**settings.INSTANT, "PUSH": push}
    [found] = re.findall(r'data-instant-bell="([^"]+)"', bell())
    found = json.loads(html.unescape(found))
    assert found["texts"]["push"] == "Notify me on this device"
    script = found["push"].pop("script")
    assert script == "/static/instant/instant.push.min.js"
    assert found["push"] == push_options()
    assert found["push"]["urls"]["worker"] == "/instant/push/worker.js"
    assert found["push"]["key"].startswith("B")  # a point of the curve, uncompressed
    assert key not in bell()


def test_the_lite_script(settings):
    with pytest.raises(InstantConfigError, match="LITE"):
        Template("{% load instant %}{% instant_lite %}").render(Context())
    settings.INSTANT = {**settings.INSTANT, "LITE": True}
    made = Template("{% load instant %}{% instant_lite %}").render(Context({"csp_nonce": "n0"}))
    assert made == (
        '<script src="/static/instant/instant.lite.min.js" data-instant-lite="/instant/lite/" '
        'nonce="n0"></script>'
    )
