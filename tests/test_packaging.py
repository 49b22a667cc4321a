"""The wheel: what is in it, and that it works where nothing else of this repository is."""

import json
import os
import re
import signal
import subprocess
import sys
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.ports import free_port

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def run(*command, **more):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **more
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "instant/py.typed",
        "instant/migrations/0001_initial.py",
        "instant/migrations/0005_channel_dollar.py",
        "instant/static/instant/instant.min.js",
        "instant/static/instant/instant.calls.min.js",
        "instant/static/instant/instant.bell.min.js",
        "instant/static/instant/instant.live.min.js",
        "instant/static/instant/instant.lite.min.js",
        "instant/static/instant/instant.stored.min.js",
        "instant/static/instant/instant.shared.min.js",
        "instant/static/instant/instant.stream.min.js",
        "instant/static/instant/instant.push.min.js",
        "instant/static/instant/instant.worker.min.js",
        "instant/templates/instant/reminder.txt",
        "instant/static/instant/admin/channel.js",
        *(f"instant/locale/{language}/LC_MESSAGES/django.mo" for language in ("de", "es", "fr")),
        "instant/templatetags/instant.py",
        "instant/management/commands/installws.py",
        "instant/embedded/__main__.py",
        "instant/inbound/rpc_server/gateway.proto",
    ):
        assert needed in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"instant", next(t for t in tops if t.endswith(".dist-info"))}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_what_pypi_shows(wheel):
    """The README without the repository around it: every link is whole."""
    with zipfile.ZipFile(wheel) as opened:
        [name] = [n for n in opened.namelist() if n.endswith(".dist-info/METADATA")]
        shown = message_from_bytes(opened.read(name))
    assert shown["Description-Content-Type"] == "text/markdown"
    described = shown.get_payload()
    assert described.startswith("# Instant\n")
    links = re.findall(r"\]\(([^)]+)\)|^\[[^\]]+\]: (\S+)$", described, re.MULTILINE)
    assert len(links) > 20
    for inline, below in links:
        assert (inline or below).startswith("https://"), inline or below
    [image] = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", described)
    assert image.startswith("https://raw.githubusercontent.com/")
    urls = dict(url.split(", ") for url in shown.get_all("Project-URL"))
    assert {"Repository", "Documentation", "Changelog", "Issues"} <= set(urls)


def test_a_new_project_in_an_empty_environment(wheel, tmp_path):
    """Install, startproject, migrate, runws, publish: what the README says, step by step."""
    venv.create(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    # With our pip, and compiling only what is imported.
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "-q", "--no-compile", wheel)
    # Not ours: DJANGO_SETTINGS_MODULE of these tests has apps that are not installed there.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    here = {"cwd": tmp_path, "env": environment}
    run(python, "-m", "django", "startproject", "site_", tmp_path, **here)
    settings = tmp_path / "site_" / "settings.py"
    settings.write_text(
        settings.read_text().replace("INSTALLED_APPS = [", "INSTALLED_APPS = [\n    'instant',")
    )
    (tmp_path / "site_" / "urls.py").write_text(
        "from django.urls import include, path\n"
        "urlpatterns = [path('instant/', include('instant.urls'))]\n"
    )
    port = free_port()
    run(python, "-Wa", "manage.py", "check", **here)
    run(python, "manage.py", "migrate", "-v0", **here)
    run(python, "manage.py", "makemigrations", "--check", "--dry-run", **here)
    server = subprocess.Popen(
        [python, "manage.py", "runws", "--server", "embedded", "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **here,
    )  # fmt: skip
    try:
        said = []
        for line in server.stdout:
            said.append(line)
            if f"listening on 127.0.0.1:{port}" in line:
                break
        assert "Embedded server" in "".join(said)
        config = json.loads((tmp_path / "centrifugo" / "config.json").read_text())
        for secret in (config["http_api"]["key"], config["client"]["token"]["hmac_secret_key"]):
            assert secret not in "".join(said)
        code = (
            f"from django.test import override_settings; override_settings(CENTRIFUGO_PORT={port}).enable();"
            "from instant import publish; print(publish('public', 'hello').state);"
            "from django.test import Client;"
            "r = Client(headers={'Host': 'localhost'}).get('/instant/get_token/').json();"
            "print(r['url'], len(r['ws_token']) > 50)"
        )
        out = run(python, "manage.py", "shell", "-v0", "-c", code, **here)
        assert "sent" in out
        assert f"ws://localhost:{port}/connection/websocket True" in out
    finally:
        server.send_signal(signal.SIGTERM)
        rest = server.communicate(timeout=60)[0]
    assert server.returncode == 0, rest
