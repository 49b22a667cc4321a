"""The recorded exchanges, and the configs they were recorded with."""

import json
from functools import cache
from pathlib import Path

RECORDED = Path(__file__).parent / "recorded"
VERSION = "v6.9.1"


@cache
def scenarios():
    """Return the scenarios by name; each has a config's name and its steps."""
    found = {}
    for path in sorted(RECORDED.glob(f"{VERSION}*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            scenario = json.loads(line)
            assert scenario["scenario"] not in found, "two recordings of one name"
            found[scenario["scenario"]] = scenario
    return found


@cache
def _configs():
    return json.loads((RECORDED / "configs.json").read_text(encoding="utf-8"))


def config_of(scenario, backend):
    """
    Return a config of the scenario's own, its proxies pointed at `backend` (a URL).

    Times that the scenario isn't about are long: a busy machine takes a second for a step.
    """
    config = json.loads(json.dumps(_configs()[scenario["config"]]).replace("<backend>", backend))
    steps = json.dumps(scenario.get("steps"))  # a table has none
    client = config.setdefault("client", {})
    if '"stale"' not in steps:
        client["stale_close_delay"] = "60s"
    if "pong_timeout" in client and '"no pong"' not in steps:
        client["pong_timeout"] = "1990ms"  # less than the interval, which clients are told
    if "slow" not in steps:
        for proxy in _proxies(config):
            proxy["timeout"] = "60s"
    return config


def _proxies(config):
    """Return what has an endpoint and a timeout."""
    if not isinstance(config, dict):
        return []
    inner = [found for member in config.values() for found in _proxies(member)]
    return [config, *inner] if config.keys() >= {"endpoint", "timeout"} else inner


def is_timed(scenario):
    """Tell whether something ends by itself soon in it."""
    return "ping_interval" in _configs()[scenario["config"]].get("client", {})
