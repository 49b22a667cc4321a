"""The rules between the rooms; see ARCHITECTURE.md."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "instant"
FILES = sorted(p for p in PACKAGE.rglob("*.py") if "migrations" not in p.parts)


def imports(path, *, runtime_only=True):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(*parts):
    return [p for p in FILES if p.relative_to(PACKAGE).parts[: len(parts)] == parts]


@pytest.mark.parametrize("path", room("centrifugo"), ids=lambda p: p.name)
def test_centrifugo_knows_neither_models_nor_settings(path):
    for name in imports(path):
        assert not name.startswith(("django.conf", "django.db", "instant.conf", "instant.models"))
        assert not name.startswith("django.apps")


@pytest.mark.parametrize("path", room("embedded"), ids=lambda p: p.name)
def test_the_embedded_server_knows_no_django(path):
    for name in imports(path):
        assert not name.startswith("django")
        assert not name.startswith("instant.") or name.startswith("instant.embedded")


# Words of Centrifugo's API and config that nobody else may spell in a string.
WIRE = {
    "hmac_secret_key", "http_api", "http_server", "without_namespace", "history_size",
    "idempotency_key", "commands", "replies", "responses", "allow_subscribe_for_client",
    "static_headers", "publish_proxy_enabled", "sub_refresh_proxy_enabled", "expired", "chan_info",
}  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if not {"centrifugo", "embedded"} & set(p.relative_to(PACKAGE).parts)],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_only_two_rooms_know_the_wire(path):
    words = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not words & WIRE


def test_only_permissions_asks_who_may():
    """Staff and superuser flags are read in one file."""
    for path in FILES:
        if path.name == "permissions.py":
            continue
        source = path.read_text()
        assert ".is_staff" not in source, path
        assert ".is_superuser" not in source, path
        assert "has_perm(" not in source, path


def test_settings_are_read_in_conf_only():
    for path in FILES:
        if path.name in {"conf.py", "pytest_plugin.py"}:
            continue
        assert "settings.CENTRIFUGO" not in path.read_text(), path
        assert "settings.INSTANT\n" not in path.read_text(), path


def test_the_package_prints_nothing():
    for path in FILES:
        if "management" in path.parts or path.name == "__main__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", path


def test_no_drawer_for_everything():
    assert not [p for p in FILES if p.stem in {"utils", "helpers", "misc", "common"}]
    long = {str(p): n for p in FILES if (n := len(p.read_text().splitlines())) > 350}
    assert not long
