"""The rooms of the embedded server import in one direction, and no module imports itself by a detour."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import instant.embedded

FOLDER = Path(instant.embedded.__file__).parent
# Each imports only from what stands before it; modules outside rooms stand for themselves.
ORDER = [
    "errors", "algorithms", "json_scan", "json_text", "json_types", "wire_forms", "config", "tokens", "state", "session",
    "plain_http", "proxy_client", "transports", "http_api", "server", "", "threaded", "__main__",
]  # fmt: skip


def name_of(path):
    parts = path.relative_to(FOLDER.parent.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FOLDER.rglob("*.py")}


def imported(name):
    """Return what a module imports of this server: late, and for its annotations, too."""
    path = MODULES[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            found |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
    return (found & MODULES.keys()) - {name, package}


def room_of(name):
    return name.removeprefix("instant.embedded").strip(".").partition(".")[0]


def test_every_module_has_a_place_in_the_order():
    assert {room_of(name) for name in MODULES} == set(ORDER)


def test_no_cycles():
    try:
        TopologicalSorter({name: imported(name) for name in MODULES}).prepare()
    except CycleError as exc:
        pytest.fail(" → ".join(exc.args[1]))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_rooms_import_in_one_direction(name):
    own = ORDER.index(room_of(name))
    for other in imported(name):
        assert ORDER.index(room_of(other)) <= own, other
