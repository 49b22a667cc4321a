"""Settings: who wins, what is refused, what is kept."""

import json
import os

import pytest
from django.test import override_settings

from instant import conf
from instant.embedded.config.globs import Origins
from instant.exceptions import InstantConfigError
from tests.tracebacks import shown_locals

VARIABLES = list(conf.ENVIRONMENT.values())


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    conf._forget()
    yield
    conf._forget()


@pytest.fixture
def folder(tmp_path):
    """A server's folder with a config.json; settings that name nothing else."""

    def write(**data):
        (tmp_path / "config.json").write_text(json.dumps(data))

    write(
        http_server={"address": "127.0.0.1", "port": 9001},
        client={"token": {"hmac_secret_key": "file-hmac", "audience": "file-site"}},
        http_api={"key": "file-key"},
    )
    with override_settings(
        INSTANT={"DIR": tmp_path},
        CENTRIFUGO_API_KEY=None,
        CENTRIFUGO_HMAC_KEY=None,
        CENTRIFUGO_PORT=None,
        CENTRIFUGO_HOST=None,
    ):
        yield write


def test_nothing_to_copy_all_is_in_the_file(folder):
    found = conf.current()
    assert (found.api_key, found.hmac_key) == ("file-key", "file-hmac")
    assert found.audience == "file-site"
    assert found.api_url == "http://127.0.0.1:9001"
    assert found.public_port == 9001


def test_environment_wins_over_the_file(folder, monkeypatch):
    monkeypatch.setenv("CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY", "env-hmac")
    monkeypatch.setenv("CENTRIFUGO_HTTP_API_KEY", "env-key")
    monkeypatch.setenv("CENTRIFUGO_HTTP_SERVER_PORT", "9002")
    monkeypatch.setenv("CENTRIFUGO_CLIENT_TOKEN_AUDIENCE", "env-site")
    found = conf.current()
    assert (found.api_key, found.hmac_key) == ("env-key", "env-hmac")
    assert (found.public_port, found.audience) == (9002, "env-site")


def test_with_tenants_no_variable_names_one_audience(folder, monkeypatch, settings):
    monkeypatch.setenv("CENTRIFUGO_CLIENT_TOKEN_AUDIENCE", "env-site")
    settings.INSTANT = {**settings.INSTANT, "TENANT": "tests.tenancy.fake.ContextTenants"}
    with pytest.raises(InstantConfigError, match="CENTRIFUGO_CLIENT_TOKEN_AUDIENCE"):
        conf.current()


def test_settings_win_over_all_and_are_read_when_used(folder, monkeypatch):
    monkeypatch.setenv("CENTRIFUGO_HTTP_API_KEY", "env-key")
    for value in ("one", "two"):
        with override_settings(
            CENTRIFUGO_API_KEY=value,
            CENTRIFUGO_HMAC_KEY=f"{value}-hmac",
            CENTRIFUGO_HOST="https://push.example/base/",
            CENTRIFUGO_PORT=443,
        ):
            found = conf.current()
            assert (found.api_key, found.hmac_key) == (value, f"{value}-hmac")
            assert found.api_url == "https://push.example:443/base"
    assert conf.current().api_key == "env-key"


def test_a_changed_file_is_read_again(folder):
    assert conf.current().api_key == "file-key"
    folder(http_api={"key": "another"})
    assert conf.current().api_key == "another"


def test_it_is_kept_until_then(folder):
    assert conf.current() is conf.current()


def test_what_a_thread_resolves_while_a_setting_changes_is_not_kept(folder, monkeypatch):
    """A live server's thread in a test, for one."""
    resolve = conf.resolve
    change = override_settings(CENTRIFUGO_API_KEY="new-key")

    def slow():
        found = resolve()
        monkeypatch.setattr(conf, "resolve", resolve)
        change.enable()  # as another thread does at this moment
        return found

    conf._forget()
    monkeypatch.setattr(conf, "resolve", slow)
    try:
        assert conf.current().api_key == "file-key"
        assert conf.current().api_key == "new-key"
    finally:
        change.disable()


def test_a_file_that_appears_later(tmp_path):
    with override_settings(INSTANT={"DIR": tmp_path}, CENTRIFUGO_API_KEY=None):
        with pytest.raises(InstantConfigError, match="installws"):
            _ = conf.current().api_key
        (tmp_path / "config.json").write_text('{"http_api": {"key": "k"}}')
        assert conf.current().api_key == "k"


def test_internal_port_is_the_apis(folder):
    folder(http_server={"port": 9001, "internal_port": "9002", "internal_address": "10.0.0.1"})
    assert conf.current().api_url == "http://10.0.0.1:9002"
    assert conf.current().public_port == 9001
    with override_settings(CENTRIFUGO_PORT=9003):  # the setting is the API's address
        assert conf.current().api_url == "http://10.0.0.1:9003"
        assert conf.current().public_port == 9001


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ({}, "http://localhost:8427"),
        ({"address": "0.0.0.0"}, "http://localhost:8427"),
        ({"address": "::"}, "http://localhost:8427"),
        ({"address": "::1", "port": 9}, "http://[::1]:9"),
        ({"address": "10.1.1.1", "tls": {"enabled": True}}, "https://10.1.1.1:8427"),
    ],
)
def test_address_of_the_api_from_the_file(folder, server, url):
    folder(http_server=server)
    assert conf.current().api_url == url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("http://localhost", "http://localhost:8427"),
        ("localhost", "http://localhost:8427"),
        ("http://localhost:9000", "http://localhost:9000"),
        ("http://[::1]", "http://[::1]:8427"),
    ],
)
def test_centrifugo_host(host, url):
    with override_settings(CENTRIFUGO_HOST=host):
        assert conf.current().api_url == url


@pytest.mark.parametrize(
    "bad",
    [
        {"CENTRIFUGO_HOST": "ftp://x"}, {"CENTRIFUGO_HOST": 5}, {"CENTRIFUGO_HOST": "http://"},
        {"CENTRIFUGO_HOST": "http://u:p@x"}, {"CENTRIFUGO_HOST": "http://x:99999"},
        {"CENTRIFUGO_PORT": "x"}, {"CENTRIFUGO_PORT": 99999}, {"CENTRIFUGO_PORT": -1},
        {"CENTRIFUGO_API_KEY": 5}, {"CENTRIFUGO_API_KEY": "a\r\nX-Evil: 1"},
        {"CENTRIFUGO_HMAC_KEY": b"bytes"},
        {"INSTANT": []}, {"INSTANT": {"BACKEND": 5}}, {"INSTANT": {"DIR": 5}},
        {"INSTANT": {"PUBLIC_URL": "http://x"}}, {"INSTANT": {"ALLOWED_ORIGINS": "https://x"}},
        {"INSTANT": {"ANONYMOUS": "no"}}, {"INSTANT": {"LOGIN": 1}},
        {"INSTANT": {"TOKEN_USE": 0}}, {"INSTANT": {"TOKEN_LIFE": 1.5}},
        {"INSTANT": {"TOKEN_USE": True}}, {"INSTANT": {"TIMEOUT": 0}},
        {"INSTANT": {"TIMEOUT": "1"}}, {"INSTANT": {"TIMEOUT": float("inf")}},
        {"INSTANT": {"TIMEOUT": 10**400}}, {"INSTANT": {"TOKEN_LIFE": 5}}, {"INSTANT": {"DIR": ""}},
        {"INSTANT": {"PUBLIC_URL": []}}, {"INSTANT": {"PUBLIC_URL": ["ws://a", "http://b"]}},
        {"INSTANT": {"PUBLIC_URL": ["ws://a", None]}}, {"INSTANT": {"PUBLIC_URL": {"ws://a"}}},
        {"INSTANT": {"PUBLIC_URL": "ws://"}}, {"CENTRIFUGO_PORT": 0}, {"CENTRIFUGO_PORT": True},
        {"CENTRIFUGO_PORT": 8.7}, {"INSTANT": {"THROTTLE": True}},
        {"INSTANT": {"THROTTLE": {"PAIR": "ten"}}}, {"INSTANT": {"TRUSTED_PROXIES": "10.0.0.0/8"}},
        {"INSTANT": {"TRUSTED_PROXIES": ["10.0.0.1/8"]}}, {"INSTANT": {"AUTHENTICATION": "a.b"}},
        {"INSTANT": {"AUTHENTICATION": ["nodots"]}}, {"INSTANT": {"AUTHENTICATION": [print]}},
        {"INSTANT": {"AUTHENTICATION": None}},
    ],
)  # fmt: skip
def test_wrong_values_are_refused_by_name(bad):
    [(name, value)] = bad.items()
    if isinstance(value, dict):
        [name] = value
        bad = {"INSTANT": {"DIR": "/nonexistent", **value}}
    with override_settings(**bad), pytest.raises(InstantConfigError, match=name) as info:
        conf.current()
    if "KEY" in name:
        assert "Evil" not in str(info.value)


def test_a_password_in_the_host_is_not_repeated():
    with (
        override_settings(CENTRIFUGO_HOST="http://user:hunter2@host"),
        pytest.raises(InstantConfigError) as info,
    ):
        conf.current()
    assert "hunter2" not in str(info.value)


def test_a_refused_key_is_in_no_traceback():
    with override_settings(CENTRIFUGO_API_KEY="hunter2\n"):
        try:
            conf.current()
        except InstantConfigError:
            shown = shown_locals()
    assert "CENTRIFUGO_API_KEY" in shown
    assert "hunter2" not in shown


def test_keys_of_any_kind_are_refused():
    with override_settings(INSTANT={1: 2, "x": 3}), pytest.raises(InstantConfigError):
        conf.current()


def test_an_unknown_key_is_refused_by_name():
    with (
        override_settings(INSTANT={"TIMOUT": 1}),
        pytest.raises(InstantConfigError, match="'TIMOUT'.*TIMEOUT"),
    ):
        conf.current()


def test_dir_is_in_base_dir_and_never_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with override_settings(INSTANT={}, BASE_DIR="/srv/site"):
        assert str(conf.current().config_file) == "/srv/site/centrifugo/config.json"
    with (
        override_settings(INSTANT={}, BASE_DIR=None),
        pytest.raises(InstantConfigError, match="BASE_DIR"),
    ):
        _ = conf.current().config_file


def test_the_seeds_settings_need_no_base_dir():
    with override_settings(INSTANT=None, BASE_DIR=None):
        assert conf.current().hmac_key
        with (
            override_settings(CENTRIFUGO_API_KEY=None),
            pytest.raises(InstantConfigError, match="BASE_DIR"),
        ):
            _ = conf.current().api_key


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
@pytest.mark.parametrize("fault", ["directory", "garbage", "list", "permission"])
def test_an_unreadable_file_names_user_path_and_variables(tmp_path, monkeypatch, fault):
    path = tmp_path / "config.json"
    if fault == "directory":
        path.mkdir()
    elif fault == "permission":
        path.write_text("{}")
        # root reads everything, so the refusal is played
        monkeypatch.setattr(
            "pathlib.Path.read_bytes",
            lambda self: (_ for _ in ()).throw(PermissionError(13, "Permission denied")),
        )
    else:
        path.write_text("{" if fault == "garbage" else "[]")
    with override_settings(INSTANT={"DIR": tmp_path}, CENTRIFUGO_API_KEY=None):
        with pytest.raises(InstantConfigError, match="CENTRIFUGO_HTTP_API_KEY") as info:
            _ = conf.current().api_key
        assert str(path) in str(info.value)
        if fault == "permission":
            assert "the user '" in str(info.value)
        assert conf.current().hmac_key  # a setting: the file isn't needed for it


def test_secrets_are_not_in_the_repr(folder):
    assert "file-key" not in repr(conf.current())
    assert "file-hmac" not in repr(conf.current())


def test_allowed_origins():
    with override_settings(
        CSRF_TRUSTED_ORIGINS=["https://*.example.com", "https://a.example"],
        ALLOWED_HOSTS=["Site.example", ".wild.example", "*", "[::1]"],
        DEBUG=False,
    ):
        assert conf.current().allowed_origins == (
            "https://*.example.com",
            "https://a.example",
            "https://site.example",
            "http://site.example",
            "https://wild.example",
            "http://wild.example",
            "https://*.wild.example",
            "http://*.wild.example",
            r"https://\[::1\]",
            r"http://\[::1\]",
        )
    with override_settings(DEBUG=True, ALLOWED_HOSTS=[]):
        assert conf.current().allowed_origins == (
            "http://localhost:*",
            "http://localhost",
            "http://*.localhost:*",
            "http://*.localhost",
            "http://127.0.0.1:*",
            "http://127.0.0.1",
            r"http://\[::1\]:*",
            r"http://\[::1\]",
        )
    with override_settings(DEBUG=True, ALLOWED_HOSTS=["10.0.0.7", ".shop.example", "*"]):
        may = Origins(conf.current().allowed_origins).allow
        assert may("http://10.0.0.7:8000")
        assert may("https://a.shop.example:8443")
        assert may("http://any.example:1")
    with override_settings(DEBUG=False, ALLOWED_HOSTS=[".shop.example", "localhost", "we[i]rd"]):
        may = Origins(conf.current().allowed_origins).allow
        assert may("https://shop.example")
        assert may("https://a.b.shop.example")
        assert may("http://localhost")
        assert not may("https://myshop.example")
        assert not may("https://shop.example:8000")
        assert not may("http://weird")
    with override_settings(INSTANT={"DIR": "/x", "ALLOWED_ORIGINS": ["https://only.example"]}):
        assert conf.current().allowed_origins == ("https://only.example",)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("ws://localhost:8427", "ws://localhost:8427/connection/websocket"),
        ("wss://a.example/", "wss://a.example/connection/websocket"),
        ("wss://a.example/ws", "wss://a.example/ws"),
        ("wss://a.example?x=1", "wss://a.example/connection/websocket?x=1"),
        (("ws://b", "ws://c/d"), ["ws://b/connection/websocket", "ws://c/d"]),
    ],
)
def test_a_public_url_without_a_path_is_completed(given, found):
    with override_settings(INSTANT={"DIR": "/x", "PUBLIC_URL": given}):
        assert conf.current().public_url == found


def test_differences_between_django_and_the_file(folder, monkeypatch):
    assert conf.differences(conf.current()) == []
    monkeypatch.setenv("CENTRIFUGO_HTTP_API_KEY", "env-key")
    with override_settings(CENTRIFUGO_HMAC_KEY="other", CENTRIFUGO_PORT=9001):
        assert conf.differences(conf.current()) == [
            "CENTRIFUGO_HTTP_API_KEY",
            "CENTRIFUGO_HMAC_KEY",
        ]
    monkeypatch.delenv("CENTRIFUGO_HTTP_API_KEY")
    conf._forget()
    with override_settings(CENTRIFUGO_PORT=443):
        assert conf.differences(conf.current()) == ["CENTRIFUGO_PORT"]
        with override_settings(CENTRIFUGO_HOST="https://push.example"):
            assert conf.differences(conf.current()) == []  # a proxy's port is not the server's
