"""Every command that a document shows exists and takes these arguments."""

import re
import shlex
import subprocess
import sys
import tomllib

import pytest
from django.core.management import CommandError, get_commands, load_command_class

from instant.management.commands import runworker
from tests.docs.documents import CLIENT, ROOT, blocks, names, prose, text

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
DEPLOY = ROOT / "centrifugo/deploy"


def lines():
    for block in blocks("console"):
        for number, line in enumerate(block.code.splitlines(), block.line):
            yield pytest.param(line, block.document, id=f"{block.document}:{number}")


def manage(command, *arguments):
    app = get_commands()[command]
    parser = load_command_class(app, command).create_parser("manage.py", command)
    parser.parse_args(arguments)  # raises where they are wrong
    if command == "shell":
        compile(arguments[arguments.index("-c") + 1], "shell", "exec")


def pip(action, *arguments):
    assert action in {"install", "wheel"}
    options = {a for a in arguments if a.startswith("-")}
    assert options <= {"--upgrade", "--no-deps", "--wheel-dir"}
    for name in set(arguments) - options:
        extras = {f"{PROJECT['name']}[{extra}]" for extra in PROJECT["optional-dependencies"]}
        assert name in {PROJECT["name"], *extras, "path/to/checkout", "dist", "cryptography"}


def python(first, *arguments):
    if first in {"manage.py", "example/manage.py"}:
        manage(*arguments)
    elif first == "-c":
        subprocess.run([sys.executable, "-c", *arguments], check=True, capture_output=True)
    else:
        subprocess.run([sys.executable, ROOT / first, "--help"], check=True, capture_output=True)


def make(target, *variables):
    assert target in TARGETS
    for variable in variables:
        name = variable.partition("=")[0]
        assert f"$({name})" in (ROOT / "Makefile").read_text()


def cp(*files):
    assert (DEPLOY / files[0]).exists()


def systemctl(action, *rest):
    assert action in {"daemon-reload", "enable", "reload", "restart"}
    assert set(rest) <= {"--now", "centrifugo"}
    assert (DEPLOY / "centrifugo.service").exists()
    if action == "reload":
        assert "ExecReload=" in (DEPLOY / "centrifugo.service").read_text()


def npm(action, *rest):
    """In the client's page: its scripts are there; npm knows the rest."""
    scripts = text("js-client/package.json")
    if action == "run":
        assert f'"{rest[0]}":' in scripts
    elif action == "install":
        assert rest == ("djangoinstant",)
    else:
        assert action in {"ci", "test"}


def export(assignment):
    assert assignment.partition("=")[0] == runworker.TOKEN


PROGRAMS = {
    "export": export,
    "python": python,
    ".venv/bin/python": python,
    "pip": pip,
    "make": make,
    "cp": cp,
    "systemctl": systemctl,
    "npm": npm,
}


@pytest.mark.parametrize(("line", "document"), list(lines()))
def test_it_can_be_typed(line, document):
    prompt, _, command = line.partition(" ")
    assert prompt in {"$", "#"}, "a line begins with a prompt: what it prints stands elsewhere"
    program, *arguments = shlex.split(command, comments=True)
    PROGRAMS[program](*arguments)
    assert document != CLIENT or program in {"npm", "make"}


@pytest.mark.parametrize("name", names())
def test_commands_and_targets_in_the_text_exist(name):
    said = re.findall(r"`[^`]*`", prose(name))
    for code in said:
        for command in re.findall(r"manage\.py ([a-z_]+)", code):
            assert command in {*get_commands(), "demo_data", "migrate_schemas", "tenant_command"}, (
                command
            )
        for target in re.findall(r"^`make ([a-z-]+)", code):
            assert target in TARGETS, target


def test_a_wrong_command_is_found():
    with pytest.raises(CommandError):
        manage("runws", "--prot", "1")
    with pytest.raises(KeyError):
        manage("runserverws")
    with pytest.raises(AssertionError):
        make("demos")
