"""Keys, bodies and statuses of the HTTP API."""

import json

import pytest

from tests.embedded.fakes import CONFIG


async def test_no_key_opens_nothing(site):
    for headers in (
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"X-API-Key": "", "Authorization": "bearer key"},
    ):
        assert (await site.api("info", **headers))[0] == 401
    assert (await site.api("info"))[0] == 200


@pytest.mark.parametrize("config", [{**CONFIG, "http_api": {}}])
async def test_an_empty_key_opens_nothing(site):
    assert (await site.api("info", **{"X-API-Key": ""}))[0] == 401
    async with site.http.post(f"{site.url}/api/info?api_key=") as response:
        assert response.status == 401


async def test_a_bug_is_error_100(site, monkeypatch, caplog):
    def broken(*args):
        raise RuntimeError("s3cret")

    monkeypatch.setattr(site.broker, "counts", broken)
    status, body = await site.api("info", {"channel": "s3cret"})
    assert (status, json.loads(body)["error"]["code"]) == (200, 100)
    assert "RuntimeError" in caplog.text
    assert "s3cret" not in caplog.text
    assert (await site.api("presence", {"channel": "room:1"}))[0] == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'{"channel":1}', b"[" * 100_000, b'{"commands":[[]]}', b'{"a":NaN}']
)  # fmt: skip
async def test_what_is_no_request_is_400(site, body):
    status, _ = await site.api("batch" if b"commands" in body else "publish", body)
    assert status == 400
