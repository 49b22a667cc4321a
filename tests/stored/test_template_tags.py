"""What templates show of stored messages, and the address of the server."""

import pytest
from django.template import Context, RequestContext, Template
from django.test import override_settings

from instant.exceptions import InstantConfigError
from instant.models import Message


def render(source, request=None, **context):
    made = Context(context) if request is None else RequestContext(request, context)
    return Template("{% load instant %}" + source).render(made)


def message(content):
    return Message(channel="lab", content=content)


def test_f21_the_payload_of_a_message():
    one = message('{"channel": "lab", "data": {"x": [1, 2]}}')
    assert render("{{ message|payload }}", message=one) == "{&#x27;x&#x27;: [1, 2]}"
    assert render("{% with p=message|payload %}{{ p.x.1 }}{% endwith %}", message=one) == "2"
    for other in (message('{"channel": "lab", "message": "hi"}'), None, "text"):
        assert render("{{ message|payload }}", message=other) == "None"
        assert render("{% payload_pre message %}", message=other) == ""


def test_f21_the_payload_as_indented_json_is_escaped():
    found = render("{% payload_pre message %}", message=message('{"data": {"é": "<b>"}}'))
    assert found == "<pre>{\n  &quot;é&quot;: &quot;&lt;b&gt;&quot;\n}</pre>"


@pytest.mark.parametrize(
    ("public", "found"),
    [
        ("wss://live.example/connection/websocket", "wss://live.example/connection/websocket"),
        (["wss://a.example/x", "wss://b.example/x"], "wss://a.example/x"),
    ],
)
def test_f21_the_address(rf, public, found):
    with override_settings(INSTANT={"DIR": "/nonexistent", "PUBLIC_URL": public}):
        assert render("{% instant_ws_url %}", rf.get("/")) == found


def test_f21_the_address_of_the_requests_host(rf):
    found = render("{% instant_ws_url %}", rf.get("/", headers={"host": "localhost"}))
    assert found.startswith("ws://localhost:")
    assert found.endswith("/connection/websocket")
    with pytest.raises(InstantConfigError, match="needs the request"):
        render("{% instant_ws_url %}")
