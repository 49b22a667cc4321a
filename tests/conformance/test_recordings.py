"""What Centrifugo answered is what a server must answer: every recorded exchange, on every server."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.backend import Backend
from tests.conformance.player import Player
from tests.conformance.recordings import config_of, is_timed, scenarios
from tests.conformance.servers import SERVERS
from tests.conformance.signing import SETS, served

# Scenarios the embedded server doesn't pass yet, with the reason. The first goal of this file is that
# there is nothing here; a scenario that passes unexpectedly fails.
NOT_YET: dict[str, str] = {}

# Families without which the server is of no use: none of them may be in NOT_YET.
REQUIRED = (
    "api:",
    "connect:",
    "expiry:",
    "frame:",
    "history by client",
    "join and leave",
    "ping:",
    "presence by client",
    "publish by client",
    "push:",
    "recover:",
    "refresh",
    "server side:",
    "sub_refresh",
    "subscribe:",
    "two connections",
    "unsubscribe",
)
# Scenarios mostly wait, so many run side by side; each has a server to itself.
AT_ONCE = {"embedded": 12, "centrifugo": 10}


def _cases():
    for name in scenarios():
        reason = NOT_YET.get(name)
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        yield pytest.param("embedded", name, marks=marks, id=f"embedded-{name}")
        yield pytest.param(
            "centrifugo", name, marks=pytest.mark.real_server, id=f"centrifugo-{name}"
        )


async def _play(server, name):
    scenario, backend = scenarios()[name], Backend()
    async with (
        backend.running() as answers,
        SERVERS[server](config_of(scenario, answers)) as url,
    ):
        # Where the embedded server answers otherwise on purpose, that is recorded too.
        return await Player(url, backend).play(scenario.get(server, scenario["steps"]))


async def _play_all(server, names):
    for name in SETS:
        served(name)  # made now, since keys take the loop a while
    gate = asyncio.Semaphore(AT_ONCE[server])

    async def play(name):
        async with gate:
            return await _play(server, name)

    # Where time counts the others are waited for: they would take it.
    results = {}
    for timed in (True, False):
        some = [name for name in names if is_timed(scenarios()[name]) is timed]
        played = await asyncio.gather(*map(play, some), return_exceptions=True)
        results |= zip(some, played, strict=True)
    return results


@pytest.fixture(scope="session")
def played(request):
    """Play what is selected, all at once, at the first question about a server."""
    results = {}
    selected = {}
    for item in request.session.items:
        if item.originalname == "test_answers_as_recorded":
            params = item.callspec.params
            selected.setdefault(params["server"], []).append(params["name"])

    def result_of(server, name):
        if server not in results:
            with ThreadPoolExecutor(1) as thread:
                results[server] = thread.submit(
                    asyncio.run, _play_all(server, selected[server])
                ).result()
        return results[server][name]

    return result_of


@pytest.mark.conformance
@pytest.mark.parametrize(("server", "name"), list(_cases()))
def test_answers_as_recorded(server, name, played):
    result = played(server, name)
    if isinstance(result, BaseException):
        raise result
    for number, want, got in result:
        pytest.fail(f"step {number}\nwant {json.dumps(want)}\ngot  {json.dumps(got)}")


def test_required_families_are_all_there():
    assert [name for name in NOT_YET if name.startswith(REQUIRED)] == []
    assert set(NOT_YET) <= set(scenarios())
    for family in REQUIRED:
        assert any(name.startswith(family) for name in scenarios()), family
