"""The rules between the rooms, read from the imports themselves; see ARCHITECTURE.md."""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "instant"

PUBLIC = {
    "backends", "broadcasts", "deliveries", "enforcement", "exceptions", "handlers", "html", "live", "messages", "middleware",
    "namespaces", "permissions", "presence", "producers", "pytest_plugin", "signals", "states", "streams", "tenants", "testing",
}  # fmt: skip
DJANGOS = {
    "admin", "apps", "checks", "fields", "locale", "management", "migrations", "models", "static",
    "templates", "templatetags", "urls",
}  # fmt: skip
ROOMS = {
    "broadcasting", "centrifugo", "channels", "conf", "embedded", "inbound", "pages", "personal", "publishing",
    "revoking", "rights",
    "schemas", "server", "stored", "streaming", "tenancy", "views",
}  # fmt: skip

MAY_IMPORT = {
    # Two rooms know no Django: what speaks Centrifugo's protocol, and what is one.
    "embedded": set(),
    "centrifugo": {"channels", "exceptions", "publishing.publication"},
    "conf": {"centrifugo.config", "deliveries", "exceptions"},
    "channels": {"deliveries", "exceptions"},
    "publishing": {
        "backends", "centrifugo", "channels", "conf", "exceptions", "models", "personal.deletion", "personal.part", "revoking.host",
        "revoking.looker", "revoking.rounds", "signals", "tenancy",
    },
    "rights": {
        "channels", "conf", "deliveries", "exceptions", "models", "namespaces", "permissions", "personal.part", "tenancy",
    },
    "revoking": {
        "backends", "centrifugo", "channels", "conf", "exceptions", "models", "namespaces", "permissions",
        "personal.part", "publishing", "rights", "signals", "tenancy",
    },
    "inbound": {
        "backends", "centrifugo", "channels", "conf", "deliveries", "exceptions", "models", "namespaces", "permissions",
        "personal.deletion", "personal.part", "producers", "publishing", "revoking.host", "revoking.looker", "rights", "signals",
        "stored.browser_publishing", "stored.creating", "stored.request_messages", "stored.wake_up", "tenancy",
    },
    "server": {
        "centrifugo", "channels.names", "conf", "deliveries", "exceptions", "inbound", "namespaces", "permissions", "publishing",
        "revoking", "rights", "stored.notifications.running", "tenancy",
    },
    "stored": {
        "backends", "centrifugo.subscriber", "channels", "conf", "deliveries", "exceptions", "fields", "inbound", "models",
        "namespaces", "permissions", "personal.part", "presence", "producers", "publishing", "revoking", "rights",
        "signals", "tenancy",
    },
    "personal": {"tenancy"},
    "tenancy": {"centrifugo", "channels", "conf", "exceptions"},
    "pages": {
        "backends", "broadcasting", "centrifugo", "channels.names", "conf", "deliveries", "exceptions", "namespaces",
        "permissions", "personal.part", "producers", "publishing", "rights", "tenancy",
    },
    "streaming": {
        "channels", "conf", "exceptions", "fields", "models", "namespaces", "pages.loading", "pages.privacy", "permissions",
        "personal.deletion", "personal.part", "producers", "publishing", "rights", "stored.note", "tenancy",
    },
    "broadcasting": {"backends", "exceptions", "producers", "publishing", "tenancy"},
    "schemas": {"conf", "exceptions", "inbound", "namespaces", "publishing"},
    "views": {
        "backends", "centrifugo", "channels", "conf", "exceptions", "html", "inbound", "namespaces",
        "pages", "permissions", "revoking", "rights", "stored", "streaming", "tenancy",
    },
    "backends": {"centrifugo", "channels.names", "conf", "exceptions", "models", "publishing", "signals", "tenancy"},
}  # fmt: skip
"""What a room may import besides itself."""

UPWARD = {
    ("instant.namespaces", "instant.enforcement"):
        "Namespace.recheck(): the check asks the rules, and the rules may call for a check",
    ("instant.namespaces", "instant.broadcasts"):
        "Namespace.touch(): it publishes, and what publishes knows the namespaces",
}  # fmt: skip
"""The imports that close a cycle by intent."""

LONG_MODULES = {}
LONG_FUNCTIONS = {}
"""Over the limit, and why."""

MAX_MODULE, MAX_FUNCTION = 320, 60


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if "migrations" not in parts:
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


FILES = dict(modules())


@cache
def tree(name):
    return ast.parse(FILES[name].read_text())


def each(names):
    """Ask of each of these modules what the test asks, in one test: two thousand take a while to begin."""

    asked = sorted(names)
    assert asked

    def decorate(test):
        def ask():
            wrong = []
            for name in asked:
                try:
                    test(name)
                except AssertionError as exc:
                    wrong.append(f"{name}: {exc}")
            assert not wrong, "\n".join(wrong)

        ask.__doc__ = test.__doc__
        return ask

    return decorate


def names(name):
    return each(n for n in FILES if room(n) == name)


def room(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def for_type_checkers(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def statements(node):
    """Yield every node that runs, late imports in functions included."""
    for child in ast.iter_child_nodes(node):
        if not for_type_checkers(child):
            yield child
            yield from statements(child)


def base(name, level):
    """Return the package that a relative import of so many dots starts from."""
    if level == 0:
        return ""
    parts = name.split(".")
    if FILES[name].name == "__init__.py":
        level -= 1
    return ".".join(parts[: len(parts) - level])


@cache
def imported(name):
    """Return the full names that a module imports, whether of ours or not."""
    found = set()
    for node in statements(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, [base(name, node.level), node.module]))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


@cache
def edges(name):
    """Return the modules of ours that a module imports."""
    found = set()
    for full in imported(name):
        if full.split(".")[0] == "instant":
            found.add(full if full in FILES else full.rpartition(".")[0])
    return found & FILES.keys()


def cycles(without):
    """Return the strongly connected sets of modules (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(name):
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(edges(name)):
            if (name, other) in without:
                continue
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            members = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(members) > 1:
                found.append(sorted(members))

    for name in FILES:
        if name not in index:
            visit(name)
    return found


def functions(name):
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def strings(name):
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_a_module_directly_in_the_package_is_public_or_djangos():
    there = {p.stem for p in PACKAGE.iterdir() if not p.name.startswith(("__", "py.typed"))}
    assert there == PUBLIC | DJANGOS | ROOMS


@each(n for n in FILES if room(n) in MAY_IMPORT)
def test_rooms_import_what_they_may(name):
    allowed = MAY_IMPORT[room(name)]
    for other in edges(name):
        inner = other.removeprefix("instant.")
        assert room(other) in {room(name), *allowed} or any(
            inner == a or inner.startswith(f"{a}.") for a in allowed
        ), f"{name} imports {other}"


def test_every_room_has_its_directions():
    assert ROOMS - MAY_IMPORT.keys() == set()


def test_there_is_no_cycle():
    assert cycles(UPWARD.keys()) == []


def test_the_upward_imports_are_needed():
    for edge in UPWARD:
        assert cycles(UPWARD.keys() - {edge}), f"{edge} closes no cycle any more"


@names("centrifugo")
def test_centrifugo_knows_neither_models_nor_settings(name):
    for full in imported(name):
        assert not full.startswith(("django.conf", "django.db", "django.apps")), full


@names("embedded")
def test_the_embedded_server_knows_no_django(name):
    assert not [full for full in imported(name) if full.startswith("django")]


# Words of Centrifugo's API and config that nobody else may spell in a string.
WIRE = {
    "hmac_secret_key", "http_api", "http_server", "without_namespace", "history_size",
    "idempotency_key", "commands", "replies", "responses", "allow_subscribe_for_client",
    "static_headers", "publish_proxy_enabled", "sub_refresh_proxy_enabled", "expired", "chan_info",
}  # fmt: skip


OTHERS = {"instant.inbound.openapi": {"responses"}, "instant.stored.rules": {"responses"}}
"""Words that are somebody else's too: OpenAPI's, and ours of requests."""


@each(n for n in FILES if room(n) not in {"centrifugo", "embedded"})
def test_only_two_rooms_know_the_wire(name):
    assert WIRE & set(strings(name)) == OTHERS.get(name, set())


FLAGS = {"is_staff", "is_superuser", "has_perm", "has_perms"}


@each(n for n in FILES if n != "instant.rights.accounts")
def test_the_flags_of_users_are_read_in_one_file(name):
    """As attributes, and by getattr() and the like; an admin's or a rule's own words are fields."""
    read = {node.attr for node in ast.walk(tree(name)) if isinstance(node, ast.Attribute)}
    asked = {
        node.value
        for call in ast.walk(tree(name))
        if isinstance(call, ast.Call)
        for node in call.args
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not FLAGS & (read | asked)


@each(n for n in FILES if room(n) != "conf")
def test_settings_of_ours_are_read_in_conf_only(name):
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            ours = node.attr.startswith("CENTRIFUGO_") or node.attr in {"INSTANT", "SITE_NAME"}
            assert not (node.value.id == "settings" and ours), node.attr


@each(n for n in FILES if room(n) != "management")
def test_the_package_prints_nothing(name):
    if not name.endswith("__main__"):
        for node in ast.walk(tree(name)):
            assert not (isinstance(node, ast.Name) and node.id == "print"), name


def test_management_holds_commands_only():
    there = {n for n in FILES if room(n) == "management"} - {"instant.management"}
    assert all(n.startswith("instant.management.commands") for n in there)


def test_nobody_imports_views_commands_or_checks():
    """Views are for urls.py alone, checks for apps.py; commands are for nobody."""
    for name in FILES:
        for other in edges(name):
            if room(other) in {"views", "management", "checks"} and room(name) != room(other):
                expected = {"views": {"urls", "checks"}, "checks": {"apps"}, "management": set()}
                assert room(name) in expected[room(other)], f"{name} imports {other}"


def test_no_drawer_for_everything():
    leaves = {name.rpartition(".")[2] for name in FILES}
    assert not leaves & {"utils", "helpers", "misc", "common", "tools"}


@each(FILES)
def test_modules_and_functions_are_short(name):
    lines = len(FILES[name].read_text().splitlines())
    assert lines <= MAX_MODULE or name in LONG_MODULES, f"{lines} lines"
    for node in functions(name):
        length = node.end_lineno - node.lineno + 1
        full = f"{name}.{node.name}"
        assert length <= MAX_FUNCTION or full in LONG_FUNCTIONS, f"{full}: {length} lines"


def test_the_lists_of_reasons_are_needed():
    for name in LONG_MODULES:
        assert len(FILES[name].read_text().splitlines()) > MAX_MODULE
    long = {
        f"{name}.{node.name}"
        for name in FILES
        for node in functions(name)
        if node.end_lineno - node.lineno + 1 > MAX_FUNCTION
    }
    assert long == LONG_FUNCTIONS.keys()
