import os
from pathlib import Path

import pytest

from tests.centrifugo.binary.fake_release import script


@pytest.fixture
def folder(tmp_path, settings, monkeypatch):
    """INSTANT["DIR"], which isn't there yet; no other server is found."""
    for name in [name for name in os.environ if name.startswith("CENTRIFUGO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/nonexistent")
    settings.INSTANT = {"DIR": tmp_path / "server"}
    settings.ALLOWED_HOSTS = ["example.com"]
    return tmp_path / "server"


@pytest.fixture
def binary(folder):
    """Put a script into the folder as the binary."""

    def put(body: str) -> Path:
        folder.mkdir(exist_ok=True)
        path = folder / "centrifugo"
        path.write_bytes(script(body))
        path.chmod(0o755)
        return path

    return put
