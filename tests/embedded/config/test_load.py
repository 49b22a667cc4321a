import json
from dataclasses import replace

import pytest

from instant.embedded.config.load import ConfigError, parse, read
from tests.conformance.recordings import config_of, scenarios


def test_every_recorded_config_is_understood():
    for scenario in scenarios().values():
        assert parse(config_of(scenario, "http://app.example"), {})


def test_defaults_are_centrifugos():
    config = parse({}, {})
    assert (config.port, config.ping_interval, config.pong_timeout) == (8000, 25, 8)
    assert (config.channel_limit, config.queue_max_size, config.websocket_limit) == (
        128,
        2**20,
        2**16,
    )
    assert config.websocket_path == "/connection/websocket"
    assert not config.sse_path
    assert not config.names.without_namespace.has_history


def test_unknown_keys_are_all_named():
    config = {
        "log_level": "info",
        "client": {"tokens": {}},
        "channel": {"namespaces": [{"name": "ns", "allow_subscribe_for_clients": True}]},
        "rpc": {"proxy": {"http": {"static_header": {}}}},
    }
    with pytest.raises(ConfigError) as caught:
        parse(config, {})
    assert str(caught.value) == (
        "unknown keys in config: log_level, client.tokens, "
        "channel.namespaces.[0].allow_subscribe_for_clients, rpc.proxy.http.static_header"
    )


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"engine": {"type": "redis"}}, "engine.type"),
        ({"broker": {"enabled": True, "type": "nats"}}, "broker.enabled"),
        ({"http_server": {"tls": {"enabled": True}}}, "http_server.tls.enabled"),
        ({"grpc_api": {"enabled": True}}, "grpc_api.enabled"),
        ({"consumers": [{"enabled": True, "name": "main", "type": "kafka"}]}, "consumers.[0]"),
        ({"client": {"proxy": {"connect": {"enabled": True, "endpoint": "grpc://x"}}}}, "client.proxy.connect.endpoint"),
        ({"channel": {"without_namespace": {"subscription_type": "map"}}}, "channel.without_namespace.subscription_type"),
    ],
)  # fmt: skip
def test_what_only_centrifugo_does_is_refused(config, path):
    with pytest.raises(ConfigError, match="run Centrifugo") as caught:
        parse(config, {})
    assert str(caught.value).startswith(path + ":")


def test_what_does_no_harm_is_accepted():
    parse(
        {
            "admin": {"enabled": True, "password": "x"},
            "usage_stats": {"disabled": True},
            "prometheus": {"enabled": True},
            "health": {"enabled": True},
            "node": {"name": "A"},
            "log": {"level": "debug"},
            "engine": {"type": "memory"},
            "http_server": {"tls": {"enabled": False, "cert_pem": "x"}},
            "broker": {"enabled": False, "type": "nats"},
        },
        {},
    )


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"client": {"channel_limit": "8 "}}, "client.channel_limit: must be a whole number"),
        ({"client": {"channel_limit": [8]}}, "client.channel_limit: must be a whole number"),
        ({"sse": {"enabled": "yes"}}, "sse.enabled: must be true or false"),
        ({"client": 5}, "client: must be an object"),
        ({"client": {"allowed_origins": {"x": 1}}}, "client.allowed_origins: must be a list of strings"),
        ({"client": {"allowed_origins": ["["]}}, "client.allowed_origins: malformed"),
        ({"client": {"ping_interval": "5 s"}}, "client.ping_interval: '5 s' is not a duration"),
        ({"client": {"ping_interval": "5s", "pong_timeout": "5s"}}, "client.pong_timeout: must be less"),
        ({"channel": {"namespaces": [{"name": "a"}]}}, r"channel.namespaces.\[0\].name"),
        ({"channel": {"namespaces": [{"name": "ab"}, {"name": "ab"}]}}, r"channel.namespaces.\[1\].name: 'ab' is defined twice"),
        ({"channel": {"without_namespace": {"history_size": 1}}}, "history_size and history_ttl go together"),
        ({"channel": {"without_namespace": {"force_recovery": True}}}, "force_recovery: needs history_size"),
        ({"channel": {"without_namespace": {"history_size": 1, "history_ttl": "1000h"}}}, "greater than history_meta_ttl"),
        ({"channel": {"without_namespace": {"subscribe_proxy_enabled": True}}}, "channel.proxy.subscribe.endpoint: an enabled proxy"),
        ({"channel": {"without_namespace": {"publish_proxy_enabled": True, "publish_proxy_name": "no"}}}, "publish_proxy_name: there is no 'no' in proxies"),
        ({"http_server": {"internal_port": "x"}}, "http_server.internal_port"),
        ({"client": {"subscribe_to_user_personal_channel": {"enabled": True, "personal_channel_namespace": "no"}}}, "no namespace 'no'"),
    ],
)  # fmt: skip
def test_contradictions_name_the_key(config, words):
    with pytest.raises(ConfigError, match=words):
        parse(config, {})


def test_the_environment_wins_over_the_file():
    config = parse(
        {"client": {"token": {"hmac_secret_key": "file"}}, "http_api": {"key": "file"}},
        {
            "CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY": "env",
            "CENTRIFUGO_CLIENT_TOKEN_AUDIENCE": "site",
            "CENTRIFUGO_CLIENT_ALLOWED_ORIGINS": "http://a http://b:*",
            "CENTRIFUGO_HTTP_API_KEY": "env key",
            "CENTRIFUGO_HTTP_SERVER_PORT": "1234",
            "CENTRIFUGO_HTTP_SERVER_ADDRESS": "127.0.0.1",
        },
    )
    assert (config.token.secret, config.token.audience) == ("env", "site")
    assert (config.api_key, config.port, config.address) == ("env key", 1234, "127.0.0.1")
    assert config.origins.allow("http://b:80")
    assert config.subscription_token.secret == "env"
    with pytest.raises(ConfigError, match="CENTRIFUGO_HTTP_SERVER_PORT"):
        parse({}, {"CENTRIFUGO_HTTP_SERVER_PORT": "x"})


def with_header(value):
    proxy = {"enabled": True, "endpoint": "http://x", "http": {"static_headers": {"X-A": value}}}
    return {"client": {"proxy": {"connect": proxy}, "token": {"hmac_secret_key": value}}}


def test_variables_in_headers():
    config = parse(with_header("${CENTRIFUGO_VAR_S}!"), {"CENTRIFUGO_VAR_S": "s"})
    assert config.connect_proxy.static_headers == {"X-A": "s!"}
    # Centrifugo reads them nowhere else.
    assert config.token.secret == "${CENTRIFUGO_VAR_S}!"
    with pytest.raises(ConfigError, match="no variable CENTRIFUGO_VAR_S"):
        parse(with_header("${CENTRIFUGO_VAR_S}!"), {})


ZEROS = {
    "client": {
        "channel_limit": 0,
        "ping_interval": "0s",
        "stale_close_delay": 0,
        "queue_max_size": False,
        "history_max_publication_limit": "0",
    },
    "channel": {"private_prefix": "", "max_length": 0.5},
    "websocket": {"handler_prefix": ""},
}


def test_zero_in_a_file_is_the_default():
    found, default = parse(ZEROS, {}), parse({}, {})
    assert replace(found, origins=default.origins) == default


def test_zero_in_the_environment_is_zero():
    config = parse(
        {"client": {"history_max_publication_limit": 5}},
        {
            "CENTRIFUGO_CLIENT_HISTORY_MAX_PUBLICATION_LIMIT": "0",
            "CENTRIFUGO_CLIENT_PONG_TIMEOUT": "0s",
            "CENTRIFUGO_CLIENT_STALE_CLOSE_DELAY": "0s",
        },
    )
    assert (config.history_limit, config.pong_timeout, config.stale_close_delay) == (0, 0, 15)


def test_negative_is_no_limit():
    names = ("connection_limit", "user_connection_limit", "history_max_publication_limit")
    config = parse({"client": dict.fromkeys((*names, "queue_max_size"), -1)}, {})
    assert (config.connection_limit, config.user_connection_limit, config.history_limit) == (
        0,
        0,
        0,
    )
    assert config.queue_max_size > 2**60


def test_keys_in_capitals():
    namespaces = [{"NAME": "ab", "PRESENCE": 1}, {"name": "cd", "Presence": 1}]
    config = parse(
        {"Client": {"Channel_Limit": 7}, "channel": {"namespaces": namespaces}},
        {
            "CENTRIFUGO_CLIENT_CONCURRENCY": "3",
            "CENTRIFUGO_CHANNEL_NAMESPACES_AB_JOIN_LEAVE": "true",
        },
    )
    found = config.names.namespaces
    assert (config.channel_limit, config.concurrency) == (7, 3)
    assert (found["ab"].presence, found["ab"].join_leave, found["cd"].presence) == (1, 1, 1)


@pytest.mark.parametrize(
    ("raw", "found"),
    [("x", ["x"]), (5, ["5"]), ([True, None, 1.5], ["1", "", "1.5"]), ({}, []), ("a b", ["a b"])],
)
def test_a_list_of_one(raw, found):
    config = {"client": {"proxy": {"connect": {"enabled": True, "endpoint": "http://x"}}}}
    config["client"]["proxy"]["connect"]["http_headers"] = raw
    assert parse(config, {}).connect_proxy.headers == set(found)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"websocket": "/api"}, "http_api.handler_prefix: '/api' is the path of websocket"),
        ({"websocket": "/connection/sse/"}, "sse.handler_prefix: '/connection/sse' is the path"),
        ({"sse": "/emulation"}, "emulation.handler_prefix"),
        ({"websocket": "x"}, "'x' is not a path"),
        ({"websocket": "/a b"}, "'/a b' is not a path"),
        ({"websocket": "/{"}, "has a brace"),
        ({"websocket": "host/x"}, "a path of one host"),
    ],
)
def test_paths(sections, words):
    config = {name: {"handler_prefix": path} for name, path in sections.items()}
    config.setdefault("sse", {})["enabled"] = True
    with pytest.raises(ConfigError, match=words):
        parse(config, {})
    # What belongs to another port is in nobody's way.
    if sections == {"websocket": "/api"}:
        assert parse({**config, "http_server": {"internal_port": "9000"}}, {})


def test_files(tmp_path):
    path = tmp_path / "config.json"
    with pytest.raises(ConfigError, match="No such file"):
        read(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        read(path)
    path.write_text("[]")
    with pytest.raises(ConfigError, match="must hold an object"):
        read(path)
    path.write_text(json.dumps({"http_server": {"port": 1}}))
    assert read(path) == {"http_server": {"port": 1}}
    path.write_text("null")
    assert read(path) == {}
    path.write_text('{"http_server": {"port": NaN}}')
    with pytest.raises(ConfigError, match="NaN is no value of JSON"):
        read(path)
