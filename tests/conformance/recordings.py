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
    """Return a config of the scenario's own, its proxies pointed at `backend` (a URL)."""
    return json.loads(json.dumps(_configs()[scenario["config"]]).replace("<backend>", backend))
