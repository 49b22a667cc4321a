"""What Centrifugo answered is what a server must answer: every line of every table."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from instant.embedded import EmbeddedServer
from instant.embedded.config.load import ConfigError, read
from tests.conformance import play_frames, play_replies, play_requests, play_tokens
from tests.conformance.recordings import config_of
from tests.conformance.servers import SERVERS, starts
from tests.conformance.tables import expected, table, title

TABLES = ("tokens", "frames", "requests", "replies")
_PLAYERS = {
    "tokens": play_tokens.answers,
    "frames": play_frames.answers,
    "requests": play_requests.answers,
}


def _cases(tables):
    for name in tables:
        for number, row in enumerate(table(name)):
            text = f"{name}-{number}-{title(row)[:60]}"
            yield pytest.param("embedded", name, number, id=f"embedded-{text}")
            yield pytest.param(
                "centrifugo", name, number, marks=pytest.mark.real_server, id=f"centrifugo-{text}"
            )


async def _play(server, name):
    """Return what the server made of a table: by line, by value."""
    found = [None] * len(table(name))
    if name == "replies":
        application = play_replies.Application()
        async with (
            application.running() as answers,
            SERVERS[server](config_of({"config": "proxied answers"}, answers)) as url,
        ):
            return await play_replies.answers(url, application, table(name))
    by_config = {}
    for number, row in enumerate(table(name)):
        by_config.setdefault(row["config"], []).append(number)
    for config, numbers in by_config.items():
        async with SERVERS[server](config_of({"config": config}, "")) as url:
            rows = [table(name)[number] for number in numbers]
            for number, answers in zip(numbers, await _PLAYERS[name](url, rows), strict=True):
                found[number] = answers
    return found


@pytest.fixture(scope="session")
def played():
    """Play a table at the first question about it."""
    results = {}

    def answers_of(server, name):
        if (server, name) not in results:
            with ThreadPoolExecutor(1) as thread:
                results[server, name] = thread.submit(asyncio.run, _play(server, name)).result()
        return results[server, name]

    return answers_of


def _differences(want, got):
    return [
        f"with {value}\nwant {json.dumps(want[value])}\ngot  {json.dumps(got[value])}"
        for value in want
        if not _same(want[value], got[value])
    ]


def _same(want, got):
    """Compare two answers; a ttl hangs on where in a second the exchange began."""
    if isinstance(want, dict) and isinstance(got, dict):
        return want.keys() == got.keys() and all(
            abs(want[name] - got[name]) <= 2
            if name == "ttl" and isinstance(want[name], int) and isinstance(got[name], int)
            else _same(want[name], got[name])
            for name in want
        )
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(map(_same, want, got))
    return type(want) is type(got) and want == got


@pytest.mark.conformance
@pytest.mark.parametrize(("server", "name", "number"), list(_cases(TABLES)))
def test_a_line_is_answered_as_recorded(server, name, number, played):
    want, got = expected(table(name)[number], server), played(server, name)[number]
    found = _differences(want, got)
    assert not found, "\n".join(found)


def _verdict(text, folder):
    """Tell what the embedded server makes of a config: it starts, or refuses it in words."""
    path = folder / "config.json"
    path.write_text(text, encoding="utf-8")
    try:
        EmbeddedServer(read(path), variables={})
    except ConfigError:
        return "refused"
    return "starts"


@pytest.mark.parametrize("number", range(len(table("configs"))))
def test_starts_with_the_configs_that_the_real_server_starts_with(number, tmp_path):
    row = table("configs")[number]
    want = expected(row, "embedded")
    got = {value: _verdict(row["config"].replace("<v>", value), tmp_path) for value in want}
    assert got == want, row["config"]


@pytest.mark.real_server
@pytest.mark.slow
@pytest.mark.conformance
@pytest.mark.parametrize("number", range(len(table("configs"))))
async def test_these_are_the_configs_that_the_real_server_starts_with(number):
    row = table("configs")[number]
    want = expected(row, "centrifugo")
    got = {value: await starts(row["config"].replace("<v>", value)) for value in want}
    assert got == want, row["config"]
