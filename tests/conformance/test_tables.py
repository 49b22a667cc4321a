"""What Centrifugo answered is what a server must answer: every line of every table."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from instant.embedded import EmbeddedServer
from instant.embedded.config.load import ConfigError, read
from tests.conformance import play_frames, play_replies, play_requests, play_tokens
from tests.conformance.recordings import config_of
from tests.conformance.servers import BINARY, SERVERS, starts
from tests.conformance.tables import expected, table, title

TABLES = ("tokens", "frames", "requests", "replies")
# Lines that the embedded server doesn't pass yet; one that passes unexpectedly fails.
NOT_YET = {
    "tokens": frozenset(),
    "frames": frozenset(),
    "requests": frozenset(),
    "replies": frozenset(),
    "configs": frozenset(
        (
            0,
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            8,
            9,
            10,
            11,
            12,
            13,
            14,
            15,
            16,
            17,
            18,
            19,
            20,
            21,
            22,
            23,
            24,
            25,
            26,
            27,
            28,
            29,
            30,
            31,
            32,
            33,
            34,
            35,
            36,
            37,
            38,
            39,
            40,
            41,
            42,
            43,
            44,
            45,
            46,
            47,
            48,
            49,
            54,
            56,
            57,
            63,
            64,
            70,
            72,
            76,
            77,
            79,
            80,
            82,
            83,
            84,
            85,
            86,
            87,
            88,
            89,
            90,
            91,
            92,
            94,
            97,
            99,
            101,
            104,
            105,
            106,
            107,
            110,
            111,
            112,
            114,
            115,
            116,
            118,
            119,
            120,
            123,
            126,
            127,
            128,
            129,
            130,
            131,
            132,
            133,
            135,
            139,
            140,
            143,
            144,
            145,
            149,
            150,
            160,
            163,
            164,
            169,
            170,
            173,
            175,
            177,
            178,
            179,
            180,
            181,
            182,
            183,
            184,
            186,
            187,
        )
    ),
}
_PLAYERS = {
    "tokens": play_tokens.answers,
    "frames": play_frames.answers,
    "requests": play_requests.answers,
}
_absent = pytest.mark.skipif(not BINARY, reason="no centrifugo binary on PATH or in CENTRIFUGO_BIN")


def _not_yet(name, number):
    return [pytest.mark.xfail(reason="not yet")] if number in NOT_YET[name] else []


def _configs():
    for number in range(len(table("configs"))):
        yield pytest.param(number, marks=_not_yet("configs", number))


def _cases(tables):
    for name in tables:
        for number, row in enumerate(table(name)):
            text = f"{name}-{number}-{title(row)[:60]}"
            marks = _not_yet(name, number)
            yield pytest.param("embedded", name, number, marks=marks, id=f"embedded-{text}")
            yield pytest.param("centrifugo", name, number, marks=_absent, id=f"centrifugo-{text}")


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
def test_answers_as_recorded(server, name, number, played):
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


@pytest.mark.parametrize("number", list(_configs()))
def test_starts_with_the_configs_that_the_real_server_starts_with(number, tmp_path):
    row = table("configs")[number]
    want = expected(row, "embedded")
    got = {value: _verdict(row["config"].replace("<v>", value), tmp_path) for value in want}
    assert got == want, row["config"]


@_absent
@pytest.mark.slow
@pytest.mark.conformance
@pytest.mark.parametrize("number", range(len(table("configs"))))
async def test_these_are_the_configs_that_the_real_server_starts_with(number):
    row = table("configs")[number]
    want = expected(row, "centrifugo")
    got = {value: await starts(row["config"].replace("<v>", value)) for value in want}
    assert got == want, row["config"]
