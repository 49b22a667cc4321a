"""The settings of the proxies: PROXY_URL and CENTRIFUGO_PROXY_SECRET."""

import pytest
from django.test import override_settings

from instant import conf
from instant.exceptions import InstantConfigError

URL = "http://127.0.0.1:8000"


@pytest.fixture
def folder(tmp_path):
    with override_settings(CENTRIFUGO_API_KEY=None, CENTRIFUGO_HMAC_KEY=None):
        yield tmp_path


def use(folder, **instant):
    return override_settings(
        INSTANT={"DIR": folder, "ALLOWED_ORIGINS": ["https://site.example"], **instant}
    )


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (URL, URL), (URL + "/", URL), ("https://site.example", "https://site.example"),
        ("http://[::1]:8000", "http://[::1]:8000"), ("http://web", "http://web"), (None, None),
        ("https://site.example/app/", "https://site.example/app"),
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
        "", "127.0.0.1:8000", "ws://a", "http://", "http://a?x=1", "http://a#x",
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
