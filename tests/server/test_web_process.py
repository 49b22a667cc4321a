"""Which process serves the site, by what sets Django up in it."""

import os
import subprocess
import sys

import pytest

# An installed app whose ready() says what the process is, and nothing else of a project.
APP = """
from django.apps import AppConfig

class Says(AppConfig):
    name = "says"
    def ready(self):
        from instant.server.web_process import role
        print("role:", role().name, flush=True)
"""
COMMAND = "from django.core.management import execute_from_command_line as run; import sys; run(['manage.py', *sys.argv[1:]])"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "says").mkdir()
    (tmp_path / "says" / "__init__.py").write_text("")
    (tmp_path / "says" / "apps.py").write_text(APP)
    (tmp_path / "site_settings.py").write_text(
        'INSTALLED_APPS = ["says"]\nSECRET_KEY = "x"\nDATABASES = {}\nROOT_URLCONF = "says"\n'
    )

    def roles(code, *arguments, **env):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "site_settings", **env},
        )  # fmt: skip
        return [line[6:] for line in done.stdout.splitlines() if line.startswith("role: ")]

    return roles


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_who_makes_the_handler_serves(site, kind):
    code = f"from django.core.{kind} import get_{kind}_application as make; make()"
    assert site(code) == ["WORKER"]


def test_who_sets_django_up_for_itself_does_not(site):
    assert site("import django; django.setup()") == ["OTHER"]


@pytest.mark.parametrize("command", ["check", "migrate", "shell", "test"])
def test_other_commands_do_not(site, command):
    assert site(COMMAND, command) == ["OTHER"]


# In the port's place stands what no command takes: it ends before it serves.
@pytest.mark.parametrize(
    ("arguments", "env", "expected"),
    [
        (["--noreload", "x:y:z"], {}, "RUNSERVER"),
        (["x:y:z"], {"RUN_MAIN": "true"}, "RUNSERVER"),
        (["x:y:z"], {"RUN_MAIN": ""}, "RELOADER"),
        (["--noreload", "--help"], {}, "OTHER"),
    ],
)
def test_runserver(site, arguments, env, expected):
    assert site(COMMAND, "runserver", *arguments, **env) == [expected]


def test_a_test_run_that_imports_the_handler_does_not(site):
    code = "import pytest; from django.core.wsgi import get_wsgi_application as make; make()"
    assert site(code) == ["OTHER"]
