"""How two configs differ: what people see, and what a running server reads again."""

import pytest

from instant.centrifugo.config.defaults import compile_config
from instant.centrifugo.config.diff import needs_restart, readable
from instant.centrifugo.config.namespaces import compile_namespaces
from instant.centrifugo.config.proxies import compile_proxies
from tests.centrifugo.config.test_namespaces import declared
from tests.centrifugo.config.test_proxies import URLS


def test_the_diff_shows_no_secret():
    before = compile_config(None, allowed_origins=["https://a.example"], audience="site")
    after = compile_namespaces(before, [declared()], ())
    after["http_api"]["key"] = "another-secret"
    after["admin"] = {"password": "hunter2"}
    after = compile_proxies(after, URLS, secret="shared-secret")
    headers = after["channel"]["proxy"]["publish"]["http"]["static_headers"]
    headers["Authorization"] = "Basic hunter3"
    text = readable(before, after, "config.json")
    assert '+        "name": "order",' in text
    for secret in (
        before["http_api"]["key"],
        before["client"]["token"]["hmac_secret_key"],
        "another-secret",
        "hunter2",
        "shared-secret",
        "hunter3",
    ):
        assert secret not in text
    assert readable(before, before, "x") == ""
    assert readable(None, before, "x").startswith("--- x (as it is)")


@pytest.mark.parametrize(
    ("change", "restart"),
    [
        ({"channel": {"namespaces": [{"name": "x2"}]}}, False),
        ({"channel": {"without_namespace": {"presence": True}}}, False),
        ({"client": {"token": {"hmac_secret_key": "x"}}}, False),
        ({"client": {"allowed_origins": ["x"]}}, True),
        ({"http_api": {"key": "x"}}, True),
        ({"channel": {"max_length": 5}}, True),
        ({"channel": {"proxy": {"publish": {"endpoint": "http://a"}}}}, True),
        ({"channel": {"namespaces": [{"name": "x2", "subscribe_proxy_enabled": True}]}}, True),
        ({"channel": {"without_namespace": {"publish_proxy_enabled": True}}}, True),
        ({"channel": {"namespaces": [{"name": "x2", "subscribe_proxy_enabled": False}]}}, False),
    ],
)
def test_what_a_running_server_reads_again(change, restart):
    assert (
        needs_restart({"channel": {}, "client": {}}, {"channel": {}, "client": {}, **change})
        is restart
    )


def test_a_second_namespace_that_asks_needs_no_restart():
    """Its proxy was there at the start; the first one's was not."""

    def config(*kinds):
        listed = [{"name": f"x{kind}", f"{kind}_proxy_enabled": True} for kind in kinds]
        return {"channel": {"namespaces": listed}}

    assert needs_restart(config("publish"), config("publish", "subscribe"))
    assert not needs_restart(config("publish", "subscribe"), config("publish"))
    more = config("publish")
    more["channel"]["namespaces"].append({"name": "more", "publish_proxy_enabled": True})
    assert not needs_restart(config("publish"), more)
    more["channel"]["namespaces"][1]["publish_proxy_name"] = "theirs"
    assert needs_restart(config("publish"), more)
