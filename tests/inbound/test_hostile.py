"""What pages send that no page should: it is refused, and nothing of it is a failure in the log."""

import json
import logging

import pytest
from django.test import Client, override_settings

from instant import Namespace, on_message, on_publish, on_rpc
from instant.centrifugo.proxy import HEADER
from tests.inbound.asking import SECRET, body, call, error

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]

BAD = error(400, "bad request")
DEEP = "[" * 500 + "]" * 500


@pytest.fixture(autouse=True)
def _no_failures(caplog):
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        yield
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def raw(kind, user, data, **more):
    """Ask with data that is text of JSON, as the server hands it on."""
    text = json.dumps(body(user, data=0, **more)).replace('"data": 0', f'"data": {data}')
    response = Client().post(
        f"/instant/proxy/{kind}/", text, content_type="application/json", headers={HEADER: SECRET}
    )
    assert response.status_code == 200
    return response.json()


@pytest.mark.parametrize(
    "method",
    ["report.\0", "report.\ud800", "report." + "x" * 200, "report.a b", "report.é", "report.a/b",
     "report.%2f", "report.a:b", "report.*", "__proto__", "", "report.\n"],
)  # fmt: skip
def test_a_pattern_answers_for_methods_that_could_be_declared(make_user, method):
    on_rpc("report.*", rate="100/m", once=True)(lambda call: call.method)
    ann = make_user("ann")
    assert call(ann, method, {"instant:id": "a"}) == error(404, "there is no such method")
    assert call(ann, "report.a-b_c.9", None) == {"result": {"data": "report.a-b_c.9"}}


@pytest.mark.parametrize("data", ["1e999", "[-1e999]", '{"a":{"b":1e400}}', "9" * 5000])
def test_a_number_that_none_can_be(make_user, data):
    on_rpc("echo")(lambda call, data: data)
    assert raw("rpc", make_user("ann"), data, method="echo") == BAD


@pytest.mark.parametrize("data", [r'"\ud83d"', r'{"\udc00":1}', r'["\ud83d x"]', DEEP])
@pytest.mark.parametrize("kind", ["rpc", "publish"])
def test_what_no_function_could_store_or_look_into(room, make_user, kind, data):
    on_rpc("echo", once=True, cache=10)(lambda call, data: data)
    on_publish("room:*")(lambda call: None)
    sent = f'{{"x":{data},"instant:id":"a"}}'
    more = {"method": "echo"} if kind == "rpc" else {"channel": "room:1"}
    assert raw(kind, make_user("ann"), sent, **more)["error"]["code"] == 400
    assert raw(kind, make_user("ann2"), r'{"x":"\ud83d\ude00"}', **more)["result"]


@pytest.mark.parametrize("data", [r'{"x":"\ud83d"}'])
def test_a_copy_of_it_harms_no_publication(room, make_user, data):
    on_message("room:*")(lambda message: None)
    assert raw("publish", make_user("ann"), data, channel="room:1") == {"result": {}}


def test_a_key_of_any_text_is_counted(make_user):
    on_rpc("x", rate="1/m", per=lambda call: "\ud83d", cache=5, vary=lambda call: "\ud83d")(
        lambda call: 1
    )
    ann = make_user("ann")
    assert call(ann, "x") == {"result": {"data": 1}}
    assert call(ann, "x")["error"]["code"] == 429


@pytest.fixture
def room(registry):
    class Room(Namespace):
        name = "room"
        pattern = "<int:pk>"
        client_publish = "ask"

        def can_subscribe(self, user, pk):
            return True

        def can_publish(self, user, pk):
            return True

    return Room


def test_what_is_wrong_with_many_fields_is_told_briefly(make_user):
    on_rpc("x")(lambda call, a=0: a)
    many = ",".join(f'"k{number}":1' for number in range(60_000))
    answer = raw("rpc", make_user("ann"), f"{{{many}}}", method="x")
    assert answer == error(422, "data: 60,000 values are wrong or not expected")
