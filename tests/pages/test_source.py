"""The element that listens: its tag, its position and the script that it needs."""

import re

import pytest
from django.template import Context, Template

from instant.deliveries import AtMostOnce
from instant.exceptions import InvalidChannelName
from instant.html import source
from tests.views.test_channel_data import declare, use

pytestmark = [pytest.mark.usefixtures("registry")]

SCRIPT = re.compile(r'<script src="/static/instant/instant.live.min.js" [^>]* defer></script>')
AT = ' offset="7" epoch="ep"'


def element(more="", channel="news"):
    return f'<instant-source channel="{channel}"{more}></instant-source>'


def test_the_element_and_its_position(server):
    assert source("news") == element(AT)
    assert source("news", events="moved, gone") == element(f' events="moved, gone"{AT}')
    [(method, body)] = {str(one): one for one in server.asked}.values()
    assert (method, body) == ("batch", {"commands": [{"history": {"channel": "news", "limit": 0}}]})


@pytest.mark.parametrize("answer", [500, {"replies": [{"error": {"code": 108, "message": "x"}}]}])
def test_without_a_position(server, answer):
    server.answers["batch"] = answer
    assert source("news") == element()


def test_a_channel_that_keeps_nothing_has_none(server):
    declare(delivery=AtMostOnce())
    assert source("order:1") == element(channel="order:1")
    assert server.asked == []


def test_without_a_server():
    assert source("news") == element()
    with use(1, TIMEOUT=1):
        assert source("news") == element()


async def test_an_event_loop_is_not_held_up(server):
    assert source("news") == element()
    assert server.asked == []


def test_what_is_no_channel(rf):
    with pytest.raises(InvalidChannelName):
        source("no space")
    for name in ("", None, 5):
        with pytest.raises(ValueError, match="have the variable of {% instant_source"):
            source(name)
    shown = Template("{% load instant %}{% instant_source missing %}")
    with pytest.raises(ValueError, match="have the variable of {% instant_source"):
        shown.render(Context({"request": rf.get("/")}))


def test_what_it_says_is_escaped():
    assert source("news", events='"><b>') == element(' events="&quot;&gt;&lt;b&gt;"')


def test_the_script_comes_once(pages):
    pages.template = '{% instant_source "news" %}|{% instant_source channel events="moved" %}'
    pages.context = {"channel": "user:1"}
    first, second = pages.get().content.decode().split("|")
    assert SCRIPT.sub("", first) == element() != first
    assert second == element(' events="moved"', "user:1")
    assert SCRIPT.match(pages.get().content.decode())


def test_without_a_request_there_is_nothing():
    """In an email."""
    assert Template('{% load instant %}{% instant_source "news" %}').render(Context()) == ""


def test_its_nonce(rf):
    template = Template('{% load instant %}{% instant_source "news" %}')
    text = template.render(Context({"csp_nonce": "n1", "request": rf.get("/")}))
    assert 'defer nonce="n1">' in text
