"""A server that is killed and started again."""

import pytest

from instant import publish
from instant.exceptions import ServerUnreachable
from tests.live.servers import LiveServer, use
from tests.real_server import KINDS

pytestmark = pytest.mark.conformance


@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_between_two_publishes(kind, tmp_path):
    """The next publish finds the new server by itself; in between it says what is wrong."""
    live = LiveServer(kind, tmp_path)
    live.start()
    with use(live):
        first = publish("public", data=1)
        live.kill()
        with pytest.raises(ServerUnreachable, match="runws"):
            publish("public", data=2)
        live.start()
        again = publish("public", data=3)
    live.kill()
    assert first.epoch != again.epoch  # the memory engine forgets: another history
    assert again.offset == 1
