import pytest

from tests.centrifugo.binary.fake_release import serve


@pytest.fixture(autouse=True)
def _no_http_proxy(monkeypatch):
    """An HTTP proxy in the environment must not be asked for 127.0.0.1."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def fake():
    with serve() as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "server"
