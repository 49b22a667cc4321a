"""Tables of recordings: one exchange a line, with a value that takes many forms.

`<v>` in a line stands for the value. `answers` is a list of `[values, answer]`: what the server
made of it with each of these values. Where the embedded server answers otherwise on purpose, its
own answer comes third, and docs/differences.md says why.
"""

import json
from functools import cache

from tests.conformance.recordings import RECORDED


@cache
def table(name):
    """Return the lines of a table."""
    path = RECORDED / "tables" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def expected(row, server):
    """Return what the server is to answer, by value."""
    found = {}
    for values, *answers in row["answers"]:
        answer = answers[-1] if server == "embedded" else answers[0]
        found |= dict.fromkeys(values, answer)
    return found


def title(row):
    """Name a line by what is sent."""
    sent = row.get("answered") or row.get("body") or row.get("claims") or row.get("config", "")
    where = row.get("proxy") or row.get("path") or ""
    text = row["sent"][-1] if "sent" in row else f"{where} {sent}"
    return text if "header" not in row else f"{row['header']} {text}"
