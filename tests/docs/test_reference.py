"""What the reference says is what the code does."""

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

import instant
from instant import Namespace, checks, conf, deliveries, exceptions, html, publish, urls
from instant.backends.centrifugo import CentrifugoBackend
from instant.broadcasting.declaration import _OPTIONS
from instant.conf.throttle import DEFAULT_LIMITS
from instant.models import Channel
from instant.publishing.payload import MAX_PAYLOAD
from instant.publishing.publication import State
from tests.conformance.recordings import scenarios
from tests.docs.documents import ROOT, names, text

sys.path.insert(0, str(ROOT / "docs"))

import reference

PACKAGE = Path(instant.__file__).parent
LOGGERS = {
    name
    for path in PACKAGE.rglob("*.py")
    for name in re.findall(r'getLogger\("([\w.]+)"\)', path.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("page", reference.PARTS)
def test_what_comes_from_the_code_is_up_to_date(page):
    source = text(f"docs/{page}")
    assert reference.written(page, source) == source, "“python docs/reference.py” writes it"


def test_every_setting_is_described():
    assert set(conf.DESCRIPTIONS) == set(conf.DEFAULTS)
    for text_, _default in [*conf.DESCRIPTIONS.values(), *conf.PLAIN_SETTINGS.values()]:
        assert text_.endswith(".")
    read = (PACKAGE / "conf").rglob("*.py")
    source = "".join(path.read_text() for path in read)
    used = set(re.findall(r'"((?:CENTRIFUGO|SITE)_[A-Z_]+)"', source))
    assert used == set(conf.PLAIN_SETTINGS)


def test_defaults_that_are_said_in_words():
    """The others are printed as they are."""
    said = {key: default for key, (_, default) in conf.DESCRIPTIONS.items()}
    assert ast.literal_eval(said["THROTTLE"].strip("`")) == dict(DEFAULT_LIMITS)
    assert said["BACKEND"].startswith(f"`{CentrifugoBackend.__name__}`")
    assert [key for key, value in conf.DEFAULTS.items() if value is None and not said[key]] == [
        "OUTBOX_KEEP",
        "TRUSTED_PROXIES",
        "TENANT",
        "STORE",
        "STREAM_KEEP",
    ]


def test_the_variables_of_the_server_are_listed():
    said = dict(
        re.findall(r"^\| `(CENTRIFUGO_\w+)` \| `(\w+)` \|$", text("docs/settings.md"), re.MULTILINE)
    )
    assert said == {
        "CENTRIFUGO_HMAC_KEY": conf.ENVIRONMENT["hmac_key"],
        "CENTRIFUGO_API_KEY": conf.ENVIRONMENT["api_key"],
        "CENTRIFUGO_PORT": conf.ENVIRONMENT["port"],
        "CENTRIFUGO_PROXY_SECRET": conf.ENVIRONMENT["proxy_secret"],
    }
    assert f"`{conf.ENVIRONMENT['audience']}`" in text("docs/settings.md")


def test_what_a_model_says_is_listed_once():
    table = text("docs/broadcasting.md").partition("| attribute |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(_OPTIONS)


def test_every_check_is_listed():
    source = "".join(path.read_text() for path in (PACKAGE / "checks").glob("*.py"))
    given = set(re.findall(r'id="(instant\.[EW]\d+)"', source))
    assert given == set(re.findall(r"^(instant\.[EW]\d+) ", checks.__doc__, re.MULTILINE))
    for name in names():
        assert set(re.findall(r"instant\.[EW]\d+", text(name))) <= given, name


@pytest.mark.parametrize("name", names())
def test_settings_that_are_named_exist(name):
    source = text(name)
    assert set(re.findall(r'INSTANT\["(\w+)"\]', source)) <= set(conf.DEFAULTS)
    known = {*conf.PLAIN_SETTINGS, *conf.ENVIRONMENT.values()}
    known |= {"CENTRIFUGO_BIN", "CENTRIFUGO_HTTP_SERVER_ADDRESS"}
    assert set(re.findall(r"\bCENTRIFUGO_[A-Z_]+\b", source)) <= known


@pytest.mark.parametrize("name", names())
def test_modules_that_are_named_exist(name):
    """`instant.x.y` in the text can be imported as users do."""
    for path in re.findall(r"`(instant(?:\.\w+)+)(?:\(\))?[^`]*`", text(name)):
        if path in LOGGERS or re.match(
            r"instant\.([EW]\d+|(add|view|change)_\w+|ticket\b|cancel\b|urls|min|ts|v1|"
            r"calls|rpc|channel|tab|on|headers|status|outstanding|acknowledge|bell|live|stored\.min|collect_messages)\b",
            path,
        ):
            continue
        module, _, attribute = path.rpartition(".")
        try:
            found = __import__(module, fromlist=["x"])
        except ModuleNotFoundError:
            module, _, cls = module.rpartition(".")
            found = getattr(__import__(module, fromlist=["x"]), cls)
        assert hasattr(found, attribute) or __import__(path), path


def test_the_signature_is_that_of_the_code():
    said = re.search(r"```text\npublish\((.*?)\)\n```", text("docs/publishing.md"), re.DOTALL)[1]
    code = ", ".join(
        p.name if p.default is p.empty else f"{p.name}={p.default!r}"
        for p in inspect.signature(publish).parameters.values()
    )
    assert " ".join(said.split()).replace("*, ", "") == code.replace("'", '"')
    table = rows("docs/publishing.md", "argument")
    assert set(re.findall(r"`(\w+)`", "".join(first for first, _ in table))) == set(
        inspect.signature(publish).parameters
    )


def test_states_and_sizes():
    page = text("docs/publishing.md")
    assert {first.strip("`") for first, _ in rows("docs/publishing.md", "`state`")} == set(
        State.__args__
    )
    assert f"{MAX_PAYLOAD:,} bytes" in " ".join(page.split())


def test_errors_are_listed():
    table = rows("docs/publishing.md", "`instant.exceptions`")
    assert {first.strip("`") for first, _ in table} == {
        name
        for name in exceptions.__all__
        if issubclass(getattr(exceptions, name), exceptions.PublishError) and name != "PublishError"
    }
    for name in exceptions.__all__:
        assert f"`{name}`" in text("docs/publishing.md")
    for name, said in table:
        for builtin in (ConnectionError, TimeoutError, ValueError):
            is_one = issubclass(getattr(exceptions, name.strip("`")), builtin)
            assert is_one == (f"`{builtin.__name__}`" in said), name


def test_namespaces():
    table = rows("docs/channels.md", "attribute")
    options = {
        name: value
        for name, value in vars(Namespace).items()
        if not name.startswith("_") and not callable(value) and not isinstance(value, classmethod)
    }
    said = {row[0].strip("`"): row[1] for row in table}
    assert set(said) == {*options, "name", "pattern"}
    for name, value in options.items():
        default = "`Recoverable()`" if name == "delivery" else f"`{value!r}`".replace("'", '"')
        assert said[name] == default
    methods = text("docs/channels.md")
    for name, value in vars(Namespace).items():
        if inspect.isfunction(value) and not name.startswith("_") and not name.endswith("_many"):
            named = [p for p in inspect.signature(value).parameters if p not in {"self", "kwargs"}]
            assert f"| `{name}({', '.join([*named, '**kwargs'])})` |" in methods


def test_deliveries():
    for first, _ in rows("docs/channels.md", "`instant.deliveries`"):
        name, arguments = re.match(r"`(\w+)\((.*)\)`", first).groups()
        parameters = inspect.signature(getattr(deliveries, name)).parameters.values()
        from datetime import timedelta

        given = eval(f"dict({arguments})", {"timedelta": timedelta})
        assert given == {p.name: p.default for p in parameters}


def test_levels_of_rows():
    said = text("docs/channels.md")
    for field in ("publish_level", "presence_level"):
        values = [str(value) for value, _ in Channel._meta.get_field(field).choices]
        [line] = [line for line in said.splitlines() if line.startswith(f"| `{field}` |")]
        assert re.findall(r"`(\w+)`", line)[1:] == values


def test_endpoints_are_listed():
    names_ = {str(pattern.pattern).replace("<str:", "<") for pattern in urls.urlpatterns}
    listed = {
        re.search(r"([\w/<>]+(?:/|\.js))`$", first)[1]
        for first, _ in rows("docs/endpoints.md", "endpoint")
    }
    assert listed == {name for name in names_ if not name.startswith("proxy/")}
    for name in names_ - listed:
        if "<" in name:  # the same for a pool
            assert name.partition("<")[0] in names_
            continue
        assert f"`{name}`" in text("SECURITY.md")


def test_loggers():
    assert {first.strip("`") for first, _ in rows("docs/settings.md", "logger")} == LOGGERS


def test_texts_of_the_status():
    said = dict(re.findall(r"^\| `([a-z-]+)` \| (\S.*) \|$", text("docs/pages.md"), re.MULTILINE))
    assert said == html.script_config()["texts"]


def test_the_number_of_recordings():
    assert f"{len(scenarios())} recorded exchanges" in text("docs/embedded.md")


def test_guarantees_name_tests():
    page = text("docs/guarantees.md")
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) >= 15
    there = {
        found
        for path in (ROOT / "tests").rglob("test_*.py")
        for found in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))
    }
    assert named <= there


def rows(name, first):
    """Return the cells of the rows of the table whose first column has that title."""
    source = text(name)
    lines = source[source.index(f"| {first} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
