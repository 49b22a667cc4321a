import os
import subprocess
from pathlib import Path

import pytest

from tests.centrifugo.binary.fake_release import serve
from tests.interpreters import Python
from tests.ports import free_port
from tests.server.conftest import folder

__all__ = ["folder"]  # a fixture

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_http_proxy(monkeypatch):
    """An HTTP proxy in the environment must not be asked for 127.0.0.1."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def fake():
    with serve() as server:
        yield server


class Project:
    """A project without a database, whose manage.py runs in a process of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path / "centrifugo"
        self.port = free_port()
        (path / "project_settings.py").write_text(
            "from pathlib import Path\n"
            "BASE_DIR = Path(__file__).resolve().parent\n"
            "SECRET_KEY = 'project'\n"
            "ALLOWED_HOSTS = ['example.com']\n"
            "INSTALLED_APPS = ['django.contrib.auth', 'django.contrib.contenttypes', 'instant']\n"
            "DATABASES = {}\n"
            "SITE_NAME = 'My shop'\n"
            f"CENTRIFUGO_PORT = {self.port}\n"  # the default one may be somebody's
        )
        (path / "elsewhere").mkdir()

    def set(self, line: str) -> None:
        with (self.path / "project_settings.py").open("a") as file:
            file.write(f"{line}\n")

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("CENTRIFUGO_", "DJANGO_")) and key != "PYTHONUNBUFFERED"
        }
        env["PYTHONPATH"] = os.pathsep.join([str(self.path), str(ROOT)])
        env["DJANGO_SETTINGS_MODULE"] = "project_settings"
        env["PATH"] = "/nonexistent"
        return Python(
            ["-m", "django", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Not BASE_DIR: the working directory must not matter.
            cwd=self.path / "elsewhere",
            env={**env, **environ},
        )


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)
