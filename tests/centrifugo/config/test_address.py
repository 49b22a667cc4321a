"""Where a server listens."""

import pytest

from instant.centrifugo.config.address import Address, listens_at
from instant.exceptions import InstantConfigError


@pytest.mark.parametrize(
    ("config", "environ", "expected"),
    [
        ({}, {}, Address("", 8000)),
        ({"http_server": {"address": "::1", "port": 8427}}, {}, Address("::1", 8427)),
        ({"http_server": {"port": "8427"}}, {}, Address("", 8427)),
        (
            {"http_server": {"port": 8427}},
            {"CENTRIFUGO_HTTP_SERVER_PORT": "9000", "CENTRIFUGO_HTTP_SERVER_ADDRESS": "10.0.0.1"},
            Address("10.0.0.1", 9000),
        ),
        ({"http_server": {"tls": {"enabled": True}}}, {}, Address("", 8000, tls=True)),
    ],
)
def test_where_the_server_listens_by_itself(config, environ, expected):
    assert listens_at(config, environ) == expected


def test_a_port_that_is_none_is_named():
    with pytest.raises(InstantConfigError, match=r"http_server\.port.*'many'"):
        listens_at({"http_server": {"port": "many"}}, {})


@pytest.mark.parametrize(
    ("address", "websocket"),
    [
        (Address("127.0.0.1", 8427), "ws://127.0.0.1:8427/connection/websocket"),
        (Address("", 8427), "ws://localhost:8427/connection/websocket"),
        (Address("0.0.0.0", 8427), "ws://localhost:8427/connection/websocket"),
        (Address("::1", 8427, tls=True), "wss://[::1]:8427/connection/websocket"),
    ],
)
def test_websocket_address(address, websocket):
    assert address.websocket == websocket
