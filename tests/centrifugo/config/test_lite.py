"""One-way connections in the server's config."""

import pytest

from instant.centrifugo.config.known_faults import exposing
from instant.centrifugo.config.lite import compile_lite
from instant.centrifugo.config.proxies import compile_proxies
from instant.centrifugo.proxy import HEADER, KINDS

URL = "http://127.0.0.1:8000/instant/proxy/connect/"
ASKING = compile_proxies({}, dict.fromkeys(KINDS, "http://127.0.0.1:8000/x/"), secret="s")


def compiled(config=ASKING, *, is_used=True, url=URL):
    return compile_lite(config, is_used=is_used, url=url)


def test_it_adds_transports_and_whom_to_ask():
    found = compiled()
    assert found["uni_http_stream"] == found["uni_sse"] == {"enabled": True}
    proxy = found["client"]["proxy"]["connect"]
    assert proxy["enabled"] is True
    assert proxy["endpoint"] == URL
    assert proxy["http"]["static_headers"] == {HEADER: "s"}
    assert proxy["http_headers"] == ["Cookie"]
    assert compiled(found) == found


def test_it_lets_nobody_end_the_server():
    """The check warns of connect proxies, whose answers may subscribe; ours subscribes nobody."""
    assert list(exposing(compiled())) == []
    theirs = {"client": {"proxy": {"connect": {"enabled": True, "endpoint": "http://other/"}}}}
    assert list(exposing({**ASKING, **theirs})) == ["client.proxy.connect"]


def test_it_is_taken_away_again():
    found = compiled(compiled(), is_used=False)
    assert "proxy" not in found["client"]
    assert compiled(compiled(), url=None)["client"] == {}


def test_without_it_nothing_changes():
    assert {k: v for k, v in compiled(is_used=False).items() if v} == ASKING


def test_without_anybody_to_ask_there_are_no_tickets():
    assert "proxy" not in compiled({}, url=None)["client"]
    assert compiled({}, url=None)["uni_sse"] == {"enabled": True}


def test_another_applications_proxy_stays():
    theirs = {"enabled": True, "endpoint": "http://other/"}
    config = {**ASKING, "client": {"proxy": {"connect": theirs}}}
    for found in (compiled(config), compiled(config, is_used=False)):
        assert found["client"]["proxy"]["connect"] == theirs


@pytest.mark.parametrize("transport", ["uni_http_stream", "uni_sse"])
def test_what_is_switched_off_by_hand_stays_off(transport):
    assert compiled({**ASKING, transport: {"enabled": False}})[transport] == {"enabled": False}


def test_options_that_were_added_by_hand_stay():
    config = compiled()
    config["client"]["proxy"]["connect"] |= {"timeout": "1s", "http_headers": ["X-A"]}
    proxy = compiled(config)["client"]["proxy"]["connect"]
    assert (proxy["timeout"], proxy["http_headers"]) == ("1s", ["X-A", "Cookie"])
