"""Asks as the server does."""

import json
from itertools import count

from django.test import Client

from instant.centrifugo.proxy import HEADER

SECRET = "proxy-secret-0123456789"
CLIENTS = (f"c{number}" for number in count())
"""Each call is another connection's: of one so many are answered, see INSTANT["CALLS"]."""

DENIED = {"error": {"code": 403, "message": "permission denied"}}


def body(user, **more):
    return {
        "client": next(CLIENTS), "transport": "websocket", "protocol": "json", "encoding": "json",
        "user": user if isinstance(user, str) else str(user.pk), **more,
    }  # fmt: skip


def ask(kind, user, *, secret=SECRET, client=None, cookie="", **more):
    client = client or Client(raise_request_exception=False)
    response = client.post(
        f"/instant/proxy/{kind}/",
        json.dumps(body(user, **more)),
        content_type="application/json",
        headers={HEADER: secret, **({"Cookie": cookie} if cookie else {})},
    )
    assert response.status_code == 200
    assert len(response.json()) == 1
    return response.json()


def call(user, method, data=None, **more):
    return ask("rpc", user, method=method, data=data, **more)


def publish(user, channel, data, **more):
    return ask("publish", user, channel=channel, data=data, **more)


def error(code, message):
    return {"error": {"code": code, "message": message}}
