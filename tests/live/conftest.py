"""The server of a module's tests: the embedded one, then the real one."""

import pytest

from tests.live.servers import LiveServer
from tests.real_server import KINDS


@pytest.fixture(scope="module", params=KINDS)
def server(request, tmp_path_factory):
    live = LiveServer(request.param, tmp_path_factory.mktemp(request.param))
    live.start()
    yield live
    live.kill()
