import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instant.embedded.config.load import ConfigError, parse

pytestmark = pytest.mark.timed


def read(**variables):
    return parse({}, {f"CENTRIFUGO_{name}": value for name, value in variables.items()})


def test_every_type_of_value():
    config = read(
        CLIENT_PING_INTERVAL="5s",
        CLIENT_PONG_TIMEOUT="2s",
        CLIENT_CHANNEL_LIMIT="7",
        CLIENT_INSECURE="T",
        SSE_ENABLED="1",
        CLIENT_ALLOWED_ORIGINS="http://a http://b:*",
        CLIENT_PROXY_CONNECT_ENABLED="true",
        CLIENT_PROXY_CONNECT_ENDPOINT="http://app.example",
        CLIENT_PROXY_CONNECT_HTTP_STATIC_HEADERS='{"X-Secret": "s"}',
        CLIENT_PROXY_CONNECT_HTTP_STATUS_TO_CODE_TRANSFORMS='[{"status_code": 403, "to_error": {"code": 403, "message": "no"}}]',
        HTTP_SERVER_INTERNAL_PORT="9000",
    )
    assert (config.ping_interval, config.pong_timeout, config.channel_limit) == (5, 2, 7)
    assert config.insecure
    assert config.sse_path == "/connection/sse"
    assert config.origins.allow("http://b:80")
    assert config.connect_proxy.static_headers == {"X-Secret": "s"}
    assert config.connect_proxy.errors[403].code == 403
    assert config.internal_port == 9000


def test_namespaces_by_name_and_as_json():
    config = read(
        CHANNEL_NAMESPACES="chat my-news.v2",
        CHANNEL_NAMESPACES_CHAT_PRESENCE="true",
        CHANNEL_NAMESPACES_MY_NEWS_V2_HISTORY_SIZE="10",
        CHANNEL_NAMESPACES_MY_NEWS_V2_HISTORY_TTL="60s",
        CHANNEL_NAMESPACES_MY_NEWS_V2_ALLOWED_DELTA_TYPES="fossil",
        RPC_NAMESPACES="calc",
        RPC_NAMESPACES_CALC_PROXY_ENABLED="true",
        RPC_NAMESPACES_CALC_PROXY_NAME="maths",
        PROXIES="maths",
        PROXIES_MATHS_ENDPOINT="http://app.example/calc",
    )
    chat, news = config.names.namespaces["chat"], config.names.namespaces["my-news.v2"]
    assert (chat.presence, chat.history_size) == (True, 0)
    assert (news.presence, news.history_size, news.history_ttl) == (False, 10, 60)
    assert news.allowed_delta_types == ("fossil",)
    assert config.proxies["rpc", "maths"].endpoint == "http://app.example/calc"
    namespaces = [{"name": "chat", "presence": True}]
    config = read(CHANNEL_NAMESPACES=json.dumps(namespaces), CHANNEL_NAMESPACES_CHAT_JOIN_LEAVE="1")
    assert config.names.namespaces["chat"].presence
    assert config.names.namespaces["chat"].join_leave


def test_variables_win_over_the_file_item_by_item():
    config = parse(
        {"channel": {"namespaces": [{"name": "chat", "presence": True}, {"name": "news"}]}},
        {"CENTRIFUGO_CHANNEL_NAMESPACES_CHAT_PRESENCE": "false"},
    )
    assert not config.names.namespaces["chat"].presence
    assert set(config.names.namespaces) == {"chat", "news"}


def test_an_empty_variable_is_none_and_an_unknown_one_nothing():
    config = parse(
        {"http_api": {"key": "file"}},
        {
            "CENTRIFUGO_HTTP_API_KEY": "",
            "CENTRIFUGO_PORT": "tcp://10.0.0.1:80",
            "CENTRIFUGO_X": "1",
        },
    )
    assert config.api_key == "file"


@pytest.mark.parametrize(
    ("name", "value"),
    [("CLIENT_INSECURE", "yes"), ("HTTP_SERVER_PORT", "x"), ("CHANNEL_NAMESPACES", "[{]"), ("CLIENT_PROXY_CONNECT_HTTP_STATIC_HEADERS", "x")],
)  # fmt: skip
def test_what_can_not_be_read_names_the_variable_and_not_the_value(name, value):
    with pytest.raises(ConfigError, match=f"^CENTRIFUGO_{name}: ") as caught:
        read(**{name: value})
    assert "yes" not in str(caught.value)


@pytest.mark.parametrize(
    "variables",
    [{"GRPC_API_ENABLED": "true"}, {"ENGINE_TYPE": "redis"}, {"CHANNEL_WITHOUT_NAMESPACE_SUBSCRIPTION_TYPE": "map"}],
)  # fmt: skip
def test_what_only_centrifugo_does_is_refused(variables):
    with pytest.raises(ConfigError, match="run Centrifugo for it"):
        read(**variables)


NAMES = st.sampled_from(
    [
        "CLIENT_INSECURE",
        "HTTP_SERVER_PORT",
        "CHANNEL_NAMESPACES",
        "PROXIES",
        "CLIENT_PING_INTERVAL",
        "CONSUMERS",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "client", "channel", "namespaces", "token", "proxies", "rpc"]),
            inner,
        )
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(NAMES, st.text(max_size=8) | JSON.map(json.dumps), max_size=3),
    st.dictionaries(st.sampled_from(["client", "channel", "proxies", "rpc", "x"]), JSON),
)
def test_any_config_is_read_or_refused(variables, content):
    with contextlib.suppress(ConfigError):
        parse(content, {f"CENTRIFUGO_{name}": value for name, value in variables.items()})
