"""What the documents say is what the code does."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest
from django.core.management import get_commands

from instant import checks, conf, exceptions

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_one_version_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    client = json.loads((ROOT / "js-client/package.json").read_text())["version"]
    assert client == version.replace(".dev", "-dev.")
    assert f"## {version.split('.dev')[0]}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("code", blocks(README, "python"))
def test_python_samples_compile(code):
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compile(code, "README.md", "exec", flags=flags | ast.PyCF_ONLY_AST)


def test_samples_import_what_exists():
    found = 0
    for code in blocks(README, "python"):
        tree = compile(
            code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
        )
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("instant"):
                module = __import__(node.module, fromlist=["x"])
                for alias in node.names:
                    assert hasattr(module, alias.name)
                    found += 1
    assert found > 6


def test_publish_samples_run(publications, make_user, rf):
    """The block that shows publish(), as it stands."""
    import asyncio

    [code] = [c for c in blocks(README, "python") if "abroadcast" in c]
    request = rf.get("/")
    request.user = make_user()
    body = "\n".join(f"    {line}" for line in code.splitlines())
    space = {"request": request}
    exec(f"async def sample():\n{body}", space)
    from asgiref.sync import async_to_sync

    async_to_sync(space["sample"])()
    assert not asyncio.iscoroutine(space["sample"])
    assert len(publications) == 11
    publications.assert_published("$users", event_class="important", count=1)


def test_the_signature_is_that_of_the_code():
    import inspect

    from instant import publish

    said = re.search(r"`publish\((channel, .*?)\)`", README, re.DOTALL)[1]
    code = ", ".join(
        p.name if p.default is p.empty else f"{p.name}={p.default!r}"
        for p in inspect.signature(publish).parameters.values()
    )
    assert " ".join(said.split()).replace("*, ", "") == code.replace("'", '"')


def test_commands_exist():
    named = set(re.findall(r"manage\.py (\w+)", README))
    assert {"installws", "runws", "migrate"} <= named
    assert named <= set(get_commands())


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets


def test_settings_are_listed():
    table = README[README.index("## Settings") : README.index("System checks:")]
    listed = set(re.findall(r"^\| `([A-Z_]+)`", table, re.MULTILINE))
    assert listed >= set(conf.DEFAULTS)
    for name in re.findall(r"`(CENTRIFUGO_[A-Z_]+)`", table):
        assert name in Path(conf.__file__).with_name("resolve.py").read_text() + str(
            conf.ENVIRONMENT
        )


def test_checks_and_errors_are_listed():
    for check in re.findall(r"instant\.[EW]\d+", checks.__doc__):
        assert check in README
    assert set(re.findall(r"instant\.[EW]\d+", README)) <= set(
        re.findall(r"instant\.[EW]\d+", checks.__doc__)
    )
    table = README[README.index("| `instant.exceptions`") : README.index("After a commit nothing")]
    for name in re.findall(
        r"`([A-Z]\w+(?:Error|Timeout|Key|Namespace|Large|Refused|Reply|Unreachable))`", table
    ):
        assert hasattr(exceptions, name) or name in {"ConnectionError", "TimeoutError"}


def test_links_lead_somewhere():
    for document in ("README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text()):
            assert (ROOT / link).exists(), f"{document}: {link}"


def test_no_secret_and_no_path_of_a_machine_is_in_the_documents():
    for document in ROOT.glob("*.md"):
        assert "/work/" not in document.read_text()
        assert "/root/" not in document.read_text()


def test_peer_01_the_dependencies_are_bounded_where_they_broke():
    """cent 5 broke 4.2.0, whose requirement had no bound; and Django was not required at all."""
    from packaging.requirements import Requirement

    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {r.name: r.specifier for r in map(Requirement, metadata["dependencies"])}
    assert "6.0" not in needed["cent"]
    assert "5.2" in needed["cent"]
    assert set(needed) == {"django", "cent", "pyjwt", "requests", "aiohttp"}
    assert "5.1" not in needed["django"]
