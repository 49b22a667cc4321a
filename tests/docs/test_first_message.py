"""The README from “Install” to “The first message”, typed into a new project, ends in a browser."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.browser.chromium import launch
from tests.docs.documents import blocks, text
from tests.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def between(begin, end):
    """Return the blocks between two headings of the README."""
    source = text("README.md")
    first, last = (source.count("\n", 0, source.index(f"## {title}\n")) for title in (begin, end))
    return [block for block in blocks(document="README.md") if first < block.line < last]


INSTALL = between("Install", "The first message")
MESSAGE = between("The first message", "Publish")
[PATH] = re.findall(r"<http://127.0.0.1:8000(/\S+)>", text("README.md"))


class Project:
    def __init__(self, folder):
        self.folder = folder
        self.port, self.ws_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
        self.processes = []
        subprocess.run(
            [sys.executable, "-m", "django", "startproject", "mysite", folder],
            env=self.env, check=True,
        )  # fmt: skip
        self.manage("startapp", "news")
        self.append(
            "mysite/settings.py", f'INSTALLED_APPS += ["news"]\nCENTRIFUGO_PORT = {self.ws_port}\n'
        )

    def append(self, file, code):
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as opened:
            opened.write(f"\n{code}")

    def apply(self, block):
        """Put a block where its first line says."""
        file = {"settings.py": "mysite/settings.py", "urls.py": "mysite/urls.py"}.get(block.file)
        if file is None:
            (self.folder / block.file).unlink(missing_ok=True)  # it is all of the file
        self.append(file or block.file, block.code)

    def manage(self, *arguments):
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.folder, env=self.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *arguments):
        log = self.folder / f"{arguments[0]}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=self.folder, env=self.env, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.processes.append(process)
        return log

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(60)


def wait_until(check, log, seconds=30):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def listens(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture
def project(tmp_path):
    """A new project with all that the README shows in files, and one command running."""
    made = Project(tmp_path)
    try:
        for block in [*INSTALL, *MESSAGE]:
            if block.file:
                made.apply(block)
        made.manage("migrate", "-v0")
        log = made.start("runserver", str(made.port))
        wait_until(lambda: listens(made.ws_port) and answers(made.url), log)
        yield made
    finally:
        made.stop()


@pytest.fixture
def page():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser.new_context().new_page()
        browser.close()


def test_hello_appears_on_the_page(project, page):
    create, publish = (b.code for b in MESSAGE if b.language == "python" and not b.file)
    project.manage("shell", "-v0", "-c", create)
    page.goto(f"{project.url}{PATH}")
    page.wait_for_function("instant.channel('public').status === 'live'")
    project.manage("shell", "-v0", "-c", publish)
    page.wait_for_selector("#news li")
    assert page.locator("#news li").all_inner_texts() == ["Hello"]


def test_denied_is_what_the_console_says_without_the_channel(project, page):
    """The README's first help for somebody who sees nothing."""
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{project.url}{PATH}")
    page.wait_for_function("instant.channel('public').status === 'denied'")
    assert any("'public' was left out: there is no such channel" in text for text in said)


def test_one_terminal_is_enough(project, page):
    """With the admin instead of a shell beside the site."""
    project.env["DJANGO_SUPERUSER_PASSWORD"] = "secret"
    account = ("--username", "root", "--email", "root@site.example")
    project.manage("createsuperuser", "--noinput", *account)
    admin = page.context.new_page()
    admin.goto(f"{project.url}/admin/")
    admin.fill("#id_username", "root")
    admin.fill("#id_password", "secret")
    admin.click("input[type=submit]")
    admin.get_by_role("link", name="Channels").first.click()
    admin.get_by_role("link", name="Add channel").click()
    admin.fill("#id_name", "public")
    admin.select_option("#id_level", "public")
    admin.click("[name=_save]")
    page.goto(f"{project.url}{PATH}")
    page.wait_for_function("instant.channel('public').status === 'live'")
    admin.check("input.action-select")
    admin.select_option("select[name=action]", label="Publish a test message")
    admin.click("button[name=index]")
    page.wait_for_selector("#news li")
    assert page.locator("#news li").all_inner_texts() == ["Test message from root"]


def test_the_commands_are_those_that_were_typed():
    """But for installws, which needs a network and is optional, as it says."""
    [commands] = [block.code for block in INSTALL if "migrate" in block.code]
    assert re.findall(r"manage\.py (\w+)", commands) == ["migrate", "installws", "runserver"]
