"""The server of a module's tests, the embedded one, then the real one; sites with their database."""

import pytest

from tests.cluster import Cluster, programs
from tests.live.jobs_site import JobsSite
from tests.live.pairs import PAIRS, made
from tests.live.servers import LiveServer
from tests.real_server import KINDS


@pytest.fixture(scope="module", params=KINDS)
def server(request, tmp_path_factory):
    live = LiveServer(request.param, tmp_path_factory.mktemp(request.param))
    live.start()
    yield live
    live.kill()


@pytest.fixture(scope="module")
def cluster():
    """PostgreSQL for the module's tests, None where it isn't installed."""
    found = programs()
    if found is None:
        yield None
        return
    with Cluster(found) as running:
        yield running


@pytest.fixture(params=PAIRS)
def jobs(request, tmp_path, cluster):
    """A site with jobs and responders, which serves."""
    found = made(JobsSite, request.param, tmp_path, cluster)
    try:
        found.server.start()
        found.serve()
        yield found
    finally:
        found.close()
