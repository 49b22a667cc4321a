"""Each message server with each database, and each test on as few as show all."""

import pytest

from tests.real_server import BINARY

EMBEDDED = [
    pytest.param(("embedded", "sqlite"), id="embedded-sqlite"),
    pytest.param(("embedded", "postgresql"), id="embedded-postgresql"),
]
CENTRIFUGO = [
    pytest.param(("centrifugo", name), id=f"centrifugo-{name}", marks=pytest.mark.real_server)
    for name in ("sqlite", "postgresql")
]
PAIRS = [*EMBEDDED, CENTRIFUGO[1]]
EVERY_PAIR = [*EMBEDDED, *CENTRIFUGO]


def made(site, pair, folder, cluster, *more):
    """Return a site of this class for a pair; skip the test where there is no PostgreSQL."""
    kind, database = pair
    if database == "postgresql" and cluster is None:
        pytest.skip("PostgreSQL is not installed on this machine.")
    found = site(kind, database, folder, cluster, *more)
    if kind == "centrifugo":
        found.env["CENTRIFUGO_BIN"] = BINARY
    return found
