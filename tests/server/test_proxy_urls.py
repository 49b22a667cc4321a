"""Where the server asks Django, and what would be in its way."""

import json

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.test.utils import override_script_prefix
from django.urls import path

from instant import Namespace, conf, responder
from instant.exceptions import InstantConfigError
from instant.server import proxy_urls

pytestmark = pytest.mark.usefixtures("registry")

URL = "http://127.0.0.1:8000"


@pytest.fixture
def folder(tmp_path):
    with override_settings(CENTRIFUGO_API_KEY=None, CENTRIFUGO_HMAC_KEY=None):
        yield tmp_path


def use(folder, **instant):
    return override_settings(
        INSTANT={"DIR": folder, "ALLOWED_ORIGINS": ["https://site.example"], **instant}
    )


def declare(name="order", **attributes):
    return type(name.title(), (Namespace,), {"name": name, "pattern": "<int:pk>", **attributes})


def written(folder):
    return json.loads((folder / "config.json").read_text())["channel"]


def messages():
    return [m for m in run_checks() if m.id in {"instant.E004", "instant.W005", "instant.W007"}]


@pytest.mark.parametrize("options", [{"authorize": "proxy"}, {"client_publish": "ask"}])
def test_e004_nobody_says_where(folder, options):
    cls = declare(**options)
    with use(folder):
        [message] = messages()
        assert message.id == "instant.E004"
        assert f"{cls.__module__}.Order" in message.msg
        assert "PROXY_URL" in message.msg
        with pytest.raises(CommandError) as info:
            call_command("syncws")
        assert str(info.value) == message.msg
    with use(folder, PROXY_URL=URL):
        assert messages() == []
    with use(folder), override_settings(DEBUG=True):
        assert messages() == []


def test_e004_names_what_the_project_declares_and_few_of_it(folder, registry):
    for number in range(5):
        responder(f"r{number}")(lambda call: None)
    with use(folder):
        [message] = messages()
    assert "instant." not in message.msg.partition("with authorize")[0]
    assert message.msg.count("<lambda>") == 3
    assert " and others: with" in message.msg


def test_e004_without_instants_urls(folder):
    declare(authorize="proxy")
    with (
        use(folder, PROXY_URL=URL),
        override_settings(ROOT_URLCONF=(path("a", Namespace),)),
        pytest.raises(InstantConfigError, match=r"Add to urls\.py"),
    ):
        proxy_urls.urls(conf.current())


def test_a_faulty_declaration_asks_nothing(folder):
    declare(authorize="proxy", presence="yes")
    with use(folder):
        assert messages() == []


@pytest.mark.parametrize(
    ("url", "hosts", "fine"),
    [
        ("http://127.0.0.1:8000", ["127.0.0.1"], True),
        ("http://127.0.0.1:8000", ["site.example"], False),
        ("http://web:8000", ["site.example"], False),
        ("http://WEB:8000", ["web"], True),
        ("http://[::1]:8000", ["[::1]"], True),
        ("http://a.site.example", [".site.example"], True),
        ("http://web", ["*"], True),
        ("http://web", [], False),
    ],
)
def test_w007_hosts(folder, url, hosts, fine):
    with use(folder, PROXY_URL=url), override_settings(ALLOWED_HOSTS=hosts):
        found = messages()
        assert [m.id for m in found] == ([] if fine else ["instant.W007"])
        assert fine or "ALLOWED_HOSTS" in found[0].hint


def test_w007_a_host_that_django_takes_for_none(folder):
    with use(folder, PROXY_URL="http://django_web:8000"), override_settings(ALLOWED_HOSTS=["*"]):
        [message] = messages()
        assert message.id == "instant.W007"
        assert "django_web" in message.msg
        assert "without “_”" in message.hint


def test_w007_under_debug_local_hosts_are_fine(folder):
    declare(authorize="proxy")
    with use(folder), override_settings(DEBUG=True, ALLOWED_HOSTS=[]):
        assert messages() == []


def test_w007_redirects(folder):
    with use(folder, PROXY_URL=URL):
        with override_settings(SECURE_SSL_REDIRECT=True):
            [message] = messages()
            assert (message.id, "https" in message.hint) == ("instant.W007", True)
            with override_settings(SECURE_REDIRECT_EXEMPT=["/proxy/"]):
                assert messages() == []
        with override_settings(PREPEND_WWW=True):
            [message] = messages()
            assert "www.127.0.0.1" in message.hint
    with use(folder, PROXY_URL="https://127.0.0.1"), override_settings(SECURE_SSL_REDIRECT=True):
        assert messages() == []


@pytest.mark.parametrize("prefix", ["/", "/app/"])
def test_only_proxy_url_says_what_stands_before_djangos_paths(folder, prefix):
    """A request of the site and a command know different prefixes, and write the same file."""
    for given, at in (
        (URL, "/instant/proxy/subscribe/"),
        (f"{URL}/app/", "/app/instant/proxy/subscribe/"),
    ):
        with use(folder, PROXY_URL=given), override_script_prefix(prefix):
            assert proxy_urls.urls(conf.current())["subscribe"] == f"{URL}{at}"


@pytest.mark.parametrize("wrong", [f"{URL}/instant", f"{URL}/app/instant/"])
def test_w007_the_path_of_instants_urls_is_no_part_of_it(folder, wrong):
    with use(folder, PROXY_URL=wrong):
        [message] = messages()
        assert message.id == "instant.W007"
        assert "Leave '/instant' out" in message.hint
    with use(folder, PROXY_URL=wrong.replace("instant", "instants")):
        assert messages() == []


def test_w007_redirects_are_looked_up_with_the_path_that_django_sees(folder):
    with (
        use(folder, PROXY_URL=URL),
        override_settings(
            SECURE_SSL_REDIRECT=True,
            FORCE_SCRIPT_NAME="/app",
            SECURE_REDIRECT_EXEMPT=["^app/instant/proxy/"],
        ),
    ):
        assert messages() == []


def test_nothing_is_checked_where_nothing_is_asked(folder):
    with use(folder), override_settings(DEBUG=True, ALLOWED_HOSTS=["site.example"]):
        assert messages() == []
