"""Where the server asks Django: settings, checks, and what is written into its config."""

import json

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.urls import path

from instant import Namespace, conf
from instant.centrifugo.proxy import HEADER
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


# Settings


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (URL, URL), (URL + "/", URL), ("https://site.example", "https://site.example"),
        ("http://[::1]:8000", "http://[::1]:8000"), ("http://web", "http://web"), (None, None),
    ],
)  # fmt: skip
def test_proxy_url(folder, given, found):
    with use(folder, PROXY_URL=given):
        assert conf.current().proxy_url == found
        assert conf.current().proxy_url_given is (given is not None)


def test_under_debug_it_is_where_runserver_listens(folder):
    with use(folder), override_settings(DEBUG=True):
        assert conf.current().proxy_url == URL
        assert conf.current().proxy_url_given is False


@pytest.mark.parametrize(
    "wrong",
    [
        "", "127.0.0.1:8000", "ws://a", "http://", "http://a/instant/", "http://a?x=1", "http://a#x",
        "http://u:p@a", "http://a:port", "http://a:99999", 8000, "grpc://a", "http://[::1",
    ],
)  # fmt: skip
def test_wrong_proxy_urls(folder, wrong):
    with use(folder, PROXY_URL=wrong), pytest.raises(InstantConfigError, match="PROXY_URL"):
        conf.current()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("hush", ("hush",)), (["hush", "old"], ("hush", "old")), (("hush",), ("hush",)),
        (None, ()), ("", ()), ([], ()),
    ],
)  # fmt: skip
def test_secrets(folder, given, found):
    with use(folder), override_settings(CENTRIFUGO_PROXY_SECRET=given):
        assert conf.current().proxy_secrets == found
        assert "'hush'" not in repr(conf.current())


@pytest.mark.parametrize(
    "wrong", [1, True, ["hush", ""], [None], "hüsh", "hu\nsh", {"hush": 1}, " "]
)
def test_wrong_secrets(folder, wrong):
    with use(folder), override_settings(CENTRIFUGO_PROXY_SECRET=wrong):
        with pytest.raises(InstantConfigError, match="CENTRIFUGO_PROXY_SECRET must be") as info:
            conf.current()
        assert "hush" not in str(info.value)
        assert info.value.__cause__ is None


# What is written


@pytest.mark.parametrize("options", [{"authorize": "proxy"}, {"client_publish": "ask"}])
def test_a_namespace_that_asks(folder, options, capsys):
    declare(**options)
    with use(folder, PROXY_URL=URL):
        call_command("syncws")
        [secret] = conf.current().proxy_secrets
        found = written(folder)
        assert found["proxy"]["sub_refresh"] == {
            "endpoint": f"{URL}/instant/proxy/sub_refresh/",
            "timeout": "3s",
            "http": {"static_headers": {HEADER: secret}},
        }
        [order] = [ns for ns in found["namespaces"] if ns["name"] == "order"]
        asks = {key for key in order if key.endswith("_proxy_enabled")}
        assert asks == (
            {"subscribe_proxy_enabled", "sub_refresh_proxy_enabled"}
            if "authorize" in options
            else {"publish_proxy_enabled"}
        )
        assert found["without_namespace"]["publish_proxy_enabled"] is True
        out = capsys.readouterr().out
        assert "restart it" in out
        assert secret not in out
        call_command("syncws")
        assert capsys.readouterr().out.startswith("Up to date")
        with pytest.raises(SystemExit), override_settings(CENTRIFUGO_PROXY_SECRET="new-one"):
            call_command("syncws", "--check")
        out = capsys.readouterr().out
        assert f'+            "{HEADER}": "… (another)"' in out
        assert secret not in out
        assert "new-one" not in out


def test_it_goes_with_the_last_that_asks(folder, registry, capsys):
    with use(folder):
        call_command("syncws")
        before = written(folder)
        cls = declare(authorize="proxy")
        with use(folder, PROXY_URL=URL):
            call_command("syncws")
        registry.remove(cls)
        call_command("syncws")
        assert written(folder) == before
    assert capsys.readouterr().out.count("restart it.") == 3


def test_proxies_for_rows_alone(folder):
    """The setting alone is enough: then rows say who may publish."""
    declare("room", rows=True)
    with use(folder):
        call_command("syncws")
        assert "publish_proxy_enabled" not in json.dumps(written(folder))
    with use(folder, PROXY_URL=URL):
        call_command("syncws")
        found = written(folder)
        assert found["without_namespace"]["publish_proxy_enabled"] is True
        options = {ns["name"]: ns for ns in found["namespaces"]}
        assert options["room"]["publish_proxy_enabled"] is True
        assert "publish_proxy_enabled" not in options["user"]


def test_secrets_of_the_settings_and_of_the_environment(folder, monkeypatch):
    declare(authorize="proxy")

    def header():
        return written(folder)["proxy"]["publish"]["http"]["static_headers"][HEADER]

    with use(folder, PROXY_URL=URL):
        with override_settings(CENTRIFUGO_PROXY_SECRET=["new", "old"]):
            call_command("syncws")
            assert header() == "new"
        assert conf.current().proxy_secrets == ("new",)
        monkeypatch.setenv("CENTRIFUGO_VAR_PROXY_SECRET", "from-outside")
        with use(folder, PROXY_URL=URL):
            call_command("syncws")
            assert header() == "${CENTRIFUGO_VAR_PROXY_SECRET}"
            assert conf.current().proxy_secrets == ("from-outside",)
        monkeypatch.delenv("CENTRIFUGO_VAR_PROXY_SECRET")
        with use(folder, PROXY_URL=URL):
            assert conf.current().proxy_secrets == ()


# What is in the way


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


def test_e004_without_instants_urls(folder):
    declare(authorize="proxy")
    with (
        use(folder, PROXY_URL=URL),
        override_settings(ROOT_URLCONF=(path("a", Namespace),)),
        pytest.raises(InstantConfigError, match=r"Add to urls\.py"),
    ):
        proxy_urls.endpoints(conf.current())


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


def test_nothing_is_checked_where_nothing_is_asked(folder):
    with use(folder), override_settings(DEBUG=True, ALLOWED_HOSTS=["site.example"]):
        assert messages() == []
