import json

import pytest

from instant.embedded.config.load import ConfigError, parse, read
from instant.embedded.config.schema import seconds
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
        ({"broker": {"enabled": True}}, "broker.enabled"),
        ({"http_server": {"tls": {"enabled": True}}}, "http_server.tls.enabled"),
        ({"grpc_api": {"enabled": True}}, "grpc_api.enabled"),
        ({"consumers": [{"enabled": True}]}, "consumers.[0]"),
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
        ({"client": {"channel_limit": "8"}}, "client.channel_limit: must be a whole number"),
        ({"client": {"channel_limit": True}}, "client.channel_limit: must be a whole number"),
        ({"sse": {"enabled": 1}}, "sse.enabled: must be true or false"),
        ({"client": 5}, "client: must be an object"),
        ({"client": {"allowed_origins": "x"}}, "client.allowed_origins: must be a list of strings"),
        ({"client": {"allowed_origins": ["["]}}, "client.allowed_origins: malformed"),
        ({"client": {"ping_interval": "5 s"}}, "client.ping_interval: '5 s' is not a duration"),
        ({"client": {"ping_interval": "5s", "pong_timeout": "5s"}}, "client.pong_timeout: must be less"),
        ({"channel": {"namespaces": [{"name": "a"}]}}, r"channel.namespaces.\[0\].name"),
        ({"channel": {"namespaces": [{"name": "ab"}, {"name": "ab"}]}}, r"channel.namespaces.\[1\].name: 'ab' is defined twice"),
        ({"channel": {"without_namespace": {"history_size": 1}}}, "history_size and history_ttl go together"),
        ({"channel": {"without_namespace": {"force_recovery": True}}}, "force_recovery: needs history_size"),
        ({"channel": {"without_namespace": {"history_size": 1, "history_ttl": "1000h"}}}, "greater than history_meta_ttl"),
        ({"channel": {"without_namespace": {"subscribe_proxy_enabled": True}}}, "channel.proxy.subscribe.endpoint: an enabled proxy"),
        ({"channel": {"without_namespace": {"publish_proxy_enabled": True, "publish_proxy_name": "no"}}}, "'no' is used for publish"),
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


def test_variables_in_values():
    secret = {"client": {"token": {"hmac_secret_key": "${CENTRIFUGO_VAR_S}!"}}}
    assert parse(secret, {"CENTRIFUGO_VAR_S": "s"}).token.secret == "s!"


@pytest.mark.parametrize(
    ("text", "value"),
    [("25s", 25), ("300ms", 0.3), ("1m", 60), ("720h", 2592000), ("1h2m3s", 3723), ("1.5s", 1.5), ("0", 0), ("0s", 0), ("", 0), ("-1s", -1)],
)  # fmt: skip
def test_durations(text, value):
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["5", "s", "5x", "1s2", "1 s"])
def test_no_durations(text):
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


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
