"""The proxies in the server's config."""

import json

import pytest

from instant.centrifugo.config.defaults import compile_config
from instant.centrifugo.config.proxies import compile_proxies, secrets_in
from instant.centrifugo.proxy import HEADER, KINDS
from instant.exceptions import InstantConfigError
from tests.centrifugo.config.checkconfig import complaints, needs_binary

URLS = {kind: f"http://127.0.0.1:8000/instant/proxy/{kind}/" for kind in KINDS}


def base(**channel):
    return compile_config(
        {"channel": channel}, allowed_origins=["https://a.example"], audience="site"
    )


def proxies(config):
    return config["channel"]["proxy"]


def test_what_is_written():
    found = compile_proxies({}, URLS, secret="s")
    assert found == {
        "channel": {
            "proxy": {
                kind: {
                    "timeout": "3s",
                    "endpoint": URLS[kind],
                    "http": {"static_headers": {HEADER: "s"}},
                }
                for kind in ("subscribe", "publish", "sub_refresh")
            },
            "without_namespace": {
                "publish_proxy_enabled": True,
                "sub_refresh_proxy_enabled": True,
            },
        }
    }


def test_who_may_stay_is_asked_of_rows_and_of_users_own_channels():
    before = base()
    found = compile_proxies(before, URLS)["channel"]
    [user] = [entry for entry in found["namespaces"] if entry["name"] == "user"]
    assert user["sub_refresh_proxy_enabled"] is True
    assert found["without_namespace"]["sub_refresh_proxy_enabled"] is True
    theirs = {"name": "user", "sub_refresh_proxy_name": "another"}
    kept = compile_proxies({"channel": {"namespaces": [theirs]}}, URLS)["channel"]["namespaces"]
    assert kept == [theirs]


def test_a_secret_is_made_once():
    first = compile_proxies(base(), URLS)
    [secret] = secrets_in(first, {})
    assert len(secret) == 64
    assert secret not in {first["http_api"]["key"], first["client"]["token"]["hmac_secret_key"]}
    assert compile_proxies(first, URLS) == first
    changed = compile_proxies(first, URLS, secret="another")
    assert secrets_in(changed, {}) == ("another",)
    assert compile_proxies(changed, URLS) == changed


def test_it_is_taken_away_again_and_the_rest_stays():
    before = base(max_length=99)
    copy = json.loads(json.dumps(before))
    assert compile_proxies(compile_proxies(before, URLS), None) == before == copy
    assert compile_proxies(before, None) == before


def test_what_a_person_added_stays():
    config = compile_proxies(base(), URLS)
    subscribe = proxies(config)["subscribe"]
    subscribe["timeout"] = "10s"
    subscribe["http_headers"] = ["X-Request-Id"]
    subscribe["http"]["tls"] = {"enabled": True}
    subscribe["http"]["static_headers"]["X-Other"] = "1"
    moved = {kind: url.replace("8000", "9000") for kind, url in URLS.items()}
    after = proxies(compile_proxies(config, moved))["subscribe"]
    assert after == {**subscribe, "endpoint": moved["subscribe"]}


def test_what_a_page_sends_is_handed_on_where_it_is_wanted():
    urls = {**URLS, "rpc": "http://127.0.0.1:8000/instant/proxy/rpc/"}
    plain = compile_proxies(base(), urls, secret="s")
    wanted = compile_proxies(plain, urls, with_cookie=["rpc"], with_meta=["rpc", "publish"])
    rpc = wanted["rpc"]["proxy"]
    assert (rpc["http_headers"], rpc["include_connection_meta"]) == (["Cookie"], True)
    publish = proxies(wanted)["publish"]
    assert publish["include_connection_meta"] is True
    assert "http_headers" not in publish
    assert proxies(wanted)["sub_refresh"] == proxies(plain)["sub_refresh"]
    assert compile_proxies(wanted, urls) == plain


def test_nobodys_cookies_are_handed_on_by_hand():
    config = compile_proxies(base(), URLS)
    for names in (["X-Request-Id", "cookie"], ["COOKIE", "X-Request-Id"]):
        proxies(config)["publish"]["http_headers"] = names
        kept = proxies(compile_proxies(config, URLS))["publish"]["http_headers"]
        assert kept == ["X-Request-Id"]
    kept = proxies(compile_proxies(config, URLS, with_cookie=["publish"]))["publish"]
    assert kept["http_headers"] == ["X-Request-Id", "Cookie"]
    proxies(config)["publish"]["http_headers"] = "Cookie"
    with pytest.raises(InstantConfigError, match="http_headers"):
        compile_proxies(config, URLS)


def test_a_header_in_other_letters_is_the_same():
    config = compile_proxies(base(), URLS)
    headers = proxies(config)["publish"]["http"]["static_headers"]
    headers[HEADER.lower()] = headers.pop(HEADER)
    [secret] = secrets_in(config, {})
    after = compile_proxies(config, URLS)
    assert proxies(after)["publish"]["http"]["static_headers"] == {HEADER: secret}


def test_somebody_elses_proxies():
    theirs = {"publish": {"endpoint": "http://other.example/"}}
    with pytest.raises(InstantConfigError, match=r"channel\.proxy\.publish .*publish_proxy_name"):
        compile_proxies(base(proxy=theirs), URLS)
    config = base(proxy=theirs, without_namespace={"publish_proxy_enabled": True})
    assert compile_proxies(config, None) == config


def test_somebody_elses_proxy_for_what_has_no_namespace():
    """The server then asks there, as its config says; and it isn't taken away."""
    theirs = {"publish_proxy_name": "theirs", "publish_proxy_enabled": False}
    config = compile_proxies(base(without_namespace=theirs), URLS)
    assert config["channel"]["without_namespace"].items() >= theirs.items()
    config["channel"]["without_namespace"]["publish_proxy_enabled"] = True
    after = compile_proxies(config, None)
    assert after["channel"]["without_namespace"]["publish_proxy_enabled"] is True


@pytest.mark.parametrize(
    "channel",
    [
        {"proxy": []}, {"proxy": {"publish": "x"}}, {"proxy": {"publish": {"http": 1}}},
        {"proxy": {"publish": {"http": {"static_headers": [{"key": "a", "value": "b"}]}}}},
    ],
)  # fmt: skip
def test_wrong_shapes_are_told(channel):
    with pytest.raises(InstantConfigError, match=r"channel\.proxy.* must be an object"):
        compile_proxies({"channel": channel}, URLS)


@pytest.mark.parametrize(
    "channel",
    [None, [], {"proxy": None}, {"proxy": {"publish": None, "subscribe": {"http": []}}}],
)
def test_wrong_shapes_show_no_secret(channel):
    assert secrets_in({"channel": channel}, {}) == ()


def test_variables_are_put_in():
    config = compile_proxies({}, URLS, secret="${CENTRIFUGO_VAR_A}-x")
    assert secrets_in(config, {"CENTRIFUGO_VAR_A": "y"}) == ("y-x",)
    assert secrets_in(config, {"CENTRIFUGO_VAR_A": ""}) == ()
    assert secrets_in(config, {}) == ()


@needs_binary
@pytest.mark.parametrize("secret", [None, "${CENTRIFUGO_VAR_PROXY_SECRET}"])
def test_the_server_takes_it_strictly(tmp_path, secret):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(compile_proxies(base(), URLS, secret=secret)))
    env = {"CENTRIFUGO_VAR_PROXY_SECRET": "without it the server does not start"}
    assert complaints(path, env) == ""


CALLS = {**URLS, "rpc": "http://127.0.0.1:8000/instant/proxy/rpc/"}


def test_calls_are_handed_on_where_there_are_handlers():
    before = base()
    found = compile_proxies(before, CALLS, secret="s")
    assert found["rpc"] == {
        "proxy": {
            "timeout": "3s", "endpoint": CALLS["rpc"], "http": {"static_headers": {HEADER: "s"}},
        },
        "without_namespace": {"proxy_enabled": True},
    }  # fmt: skip
    assert secrets_in(found, {}) == ("s",)
    assert compile_proxies(found, CALLS) == found
    assert compile_proxies(found, URLS) == compile_proxies(before, URLS, secret="s")
    assert "rpc" not in compile_proxies(found, None)


def test_other_peoples_calls_stay():
    theirs = {"rpc": {"proxy": {"endpoint": "http://other/"}, "namespaces": [{"name": "x"}]}}
    assert compile_proxies(theirs, URLS)["rpc"] == theirs["rpc"]
    with pytest.raises(InstantConfigError, match=r"rpc\.proxy .* asks another.* “proxy_name”"):
        compile_proxies(theirs, CALLS)
    ours = compile_proxies({"rpc": {"namespaces": [{"name": "x"}]}}, CALLS)
    assert compile_proxies(ours, None)["rpc"] == {"namespaces": [{"name": "x"}]}


def test_where_a_page_is_is_handed_on_where_it_is_wanted():
    urls = {**URLS, "rpc": "http://127.0.0.1:8000/instant/proxy/rpc/"}
    theirs = compile_proxies(base(), urls)
    theirs["rpc"]["proxy"]["http_headers"] = ["X-Mine", "x-forwarded-for"]
    wanted = compile_proxies(theirs, urls, with_address=["rpc"])
    assert wanted["rpc"]["proxy"]["http_headers"] == ["X-Mine", "X-Forwarded-For"]
    assert not [p for p in proxies(wanted).values() if "http_headers" in p]
    assert compile_proxies(wanted, urls, with_address=["rpc"]) == wanted
    assert compile_proxies(wanted, urls)["rpc"]["proxy"]["http_headers"] == ["X-Mine"]
    wanted["rpc"]["proxy"]["http_headers"] = "X-Mine"
    with pytest.raises(InstantConfigError, match="http_headers"):
        compile_proxies(wanted, urls)
