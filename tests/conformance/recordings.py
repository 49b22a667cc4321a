"""The recorded exchanges, and the configs they were recorded with."""

import json
from functools import cache
from pathlib import Path

RECORDED = Path(__file__).parent / "recorded"
VERSION = "v6.9.1"


@cache
def scenarios():
    """Return the scenarios by name; each has a config's name and its steps."""
    lines = (RECORDED / f"{VERSION}.jsonl").read_text(encoding="utf-8").splitlines()
    return {scenario["scenario"]: scenario for scenario in map(json.loads, lines)}


@cache
def _configs():
    return json.loads((RECORDED / "configs.json").read_text(encoding="utf-8"))


def config_of(scenario, backend):
    """Return a config of the scenario's own, its proxies pointed at `backend` (a URL)."""
    return json.loads(json.dumps(_configs()[scenario["config"]]).replace("<backend>", backend))
