"""Pages that call Python, on both servers, through broken connections."""

import itertools

import pytest

from tests.client.hall.running import Hall
from tests.real_server import KINDS

_numbers = itertools.count(1)

OUTCOME = """([method, data, options]) => instant.rpc(method, data, options).then(
  (result) => ({ result }),
  ({ name, code, message, temporary, retryAfter, fields }) =>
    ({ name, code, message, temporary, retryAfter: retryAfter ?? null, fields }),
)"""


@pytest.fixture(scope="module", params=KINDS)
def hall(request, tmp_path_factory):
    with Hall(tmp_path_factory.mktemp("calls"), request.param) as running:
        yield running


@pytest.fixture
def number():
    return next(_numbers)


@pytest.fixture
def released(hall):
    """Let no handler of a test that failed wait."""
    yield
    hall.change("release", again=True)
    hall.change("notes")


class Caller:
    """A page; ``scripts`` are those that it has loaded."""

    def __init__(self, context, hall, path="/"):
        self.scripts = []
        context.on("request", self._note)
        self.page = context.new_page()
        self.page.goto(hall.url + path)

    def _note(self, request):
        if request.resource_type == "script":
            self.scripts.append(request.url.rpartition("/")[2])

    def run(self, code, *arguments):
        return self.page.evaluate(code, list(arguments))

    def call(self, method, data=None, **options):
        return self.run(OUTCOME, method, data or {}, options)

    def begin(self, method, data, **options):
        """Call, and wait for the outcome later."""
        self.run(f"(given) => {{ window.outcome = ({OUTCOME})(given) }}", method, data, options)

    def outcome(self):
        return self.run("() => outcome")


@pytest.fixture
def visit(hall, chromium):
    contexts = []

    def open_browser(path="/"):
        context = chromium.new_context()
        contexts.append(context)
        return Caller(context, hall, path)

    yield open_browser
    for context in contexts:
        context.close()


def wait_for_note(hall, note):
    assert hall.change("wait_for_note", note), hall.change("notes")


def error(code, message, **more):
    found = {"name": "RpcError", "code": code, "message": message, "temporary": False}
    return {**found, "retryAfter": None, "fields": {}, **more}


def test_a_call_connects_the_page_and_loads_the_second_script_once(visit):
    page = visit()
    assert page.scripts == ["instant.min.js"]
    assert page.call("add", {"one": 1, "other": 2}) == {"result": {"sum": 3}}
    assert page.call("add", {"one": "3", "other": 4}) == {"result": {"sum": 7}}
    assert page.scripts == ["instant.min.js", "instant.calls.min.js"]
    assert page.run("() => instant.status") == "live"


def test_under_a_policy_and_from_another_host(visit, hall):
    page = visit("/strict/")
    assert page.run("() => [...document.scripts].map(({ src }) => new URL(src).hostname)") == [
        "localhost"
    ]
    assert page.call("add", {"one": 1, "other": 2}) == {"result": {"sum": 3}}
    assert page.scripts == ["instant.min.js", "instant.calls.min.js"]


def test_what_is_refused(visit, hall, number):
    page = visit()
    assert page.call("nothing") == error(404, "there is no such method")
    assert page.call("whoami") == error(401, "log in first")
    found = page.call("add", {"one": "x", "third": 3})
    assert found["code"] == 422
    assert found["fields"].keys() == {"one", "other", "third"}
    assert found["fields"]["third"] == "is not expected"
    assert page.call("refuse", {"code": 1409, "message": "out of stock"}) == error(
        1409, "out of stock"
    )
    many = "too many calls; try again in 12 s"
    assert page.call("refuse", {"code": 429, "message": many}) == error(
        429, many, temporary=True, retryAfter=12
    )
    assert page.call("add", {"one": 1, "other": 2, "x": "x" * 70_000})["code"] == 413
    user = f"ann{number}"
    hall.change("register", user)
    page.run("([user]) => instant.login(user, 'pw').then(() => undefined)", user)
    assert page.call("whoami") == {"result": {"user": user}}


def test_an_error_in_python_says_nothing(visit, hall):
    page = visit()
    assert page.call("break") == error(500, "internal error")
    # The traceback is in Django's log, and expected there.
    log = hall.folder / "runserver.log"
    said = log.read_text()
    assert "no page may see this" in said
    log.write_text("")


def test_a_call_while_the_server_is_away_waits(visit, hall):
    page = visit()
    page.run("() => instant.connect()")
    hall.stop_server()
    page.begin("add", {"one": 1, "other": 2}, timeout=60_000)
    assert page.call("add", {"one": 1, "other": 2}, timeout=300) == error(
        1, "timeout", temporary=True
    )
    hall.start_server()
    assert page.outcome() == {"result": {"sum": 3}}


def test_a_page_without_a_network_loads_the_script_when_there_is_one(visit):
    page = visit()
    page.page.context.set_offline(True)
    page.begin("add", {"one": 1, "other": 2}, timeout=60_000)
    short = page.call("add", {"one": 1, "other": 2}, timeout=300)
    assert (short["name"], short["temporary"]) == ("RequestError", True)
    page.page.context.set_offline(False)
    assert page.outcome() == {"result": {"sum": 3}}


@pytest.mark.usefixtures("released")
def test_a_connection_that_breaks_before_the_answer(visit, hall):
    page = visit()
    page.begin("wait", {"name": "first"}, timeout=60_000)
    wait_for_note(hall, "wait first")
    hall.stop_server()
    found = page.outcome()
    assert (found["name"], found["code"], found["temporary"]) == ("RpcError", 11, True)
    page.begin("wait", {"name": "second"}, timeout=60_000, once=True)
    hall.start_server()
    wait_for_note(hall, "wait second")
    hall.stop_server()
    hall.change("release")
    hall.start_server()
    assert page.outcome() == {"result": {"name": "second"}}
    assert hall.change("notes") == ["wait first", "wait second", "wait second"]


@pytest.mark.usefixtures("released")
def test_a_call_is_let_go(visit, hall):
    page = visit()
    page.run("() => { window.controller = new AbortController() }")
    page.run(
        """() => {
          const { signal } = controller;
          window.outcome = instant.rpc("wait", { name: "left" }, { signal, timeout: 60_000 })
            .catch((reason) => reason);
        }"""
    )
    wait_for_note(hall, "wait left")
    page.run("() => controller.abort('by the page')")
    assert page.outcome() == "by the page"
    hall.change("release")
    assert page.call("add", {"one": 1, "other": 2}) == {"result": {"sum": 3}}


PUBLISH = """([name, texts]) => Promise.all(texts.map((text) =>
  instant.channel(name).publish({ data: { text } }).then(
    (message) => message && [message.data, message.own, message.id !== ""],
    ({ name, code }) => [name, code],
  )))"""


def test_the_own_publication_is_what_python_has_made_of_it(visit, number):
    name = f"board:{number}"
    ann, bob = visit(), visit()
    for page in (ann, bob):
        page.run(
            """async ([name]) => {
              window.heard = [];
              instant.channel(name).on("*", ({ data, own }) => heard.push([data.text, own]));
              await instant.channel(name).subscribed();
            }""",
            name,
        )
    made = [
        [{"text": "ONE", "pk": number}, True, True],
        ["ChannelError", 409],
        [{"text": "TWO", "pk": number}, True, True],
        [{"text": "THREE", "pk": number}, True, True],
    ]
    assert ann.run(PUBLISH, name, ["one", "spam", "two", "three"]) == made
    bob.page.wait_for_function("() => heard.length === 3")
    assert bob.run("() => heard") == [["ONE", False], ["TWO", False], ["THREE", False]]
    assert ann.run("() => heard") == [["ONE", True], ["TWO", True], ["THREE", True]]
    # A page that doesn't listen subscribes for as long as it takes.
    assert visit().run(PUBLISH, name, ["four"]) == [[{"text": "FOUR", "pk": number}, True, True]]


@pytest.mark.usefixtures("released")
def test_publishing_where_nobody_may_listen(visit, hall, number):
    assert visit().run(PUBLISH, f"box:{number}", ["secret"]) == [None]
    assert hall.change("notes") == [f"box {number} {{'text': 'secret'}}"]


FOLLOW = """([id]) => {
  window.states = [];
  const call = id ? instant.ticket(id) : instant.rpc("report", { year: 2026 });
  window.outcome = call.onProgress(({ state }) => states.push(state));
  return call.ticket;
}"""


def test_a_queued_call_is_taken_up_after_a_reload(visit, hall, number):
    user = f"queuer{number}"
    hall.change("register", user)
    page = visit()
    page.run("([user]) => instant.login(user, 'pw').then(() => undefined)", user)
    ticket = page.run(FOLLOW, None)
    page.page.wait_for_function("() => states.length === 1")
    page.page.reload()
    page.run(FOLLOW, ticket)
    with hall.jobs():
        assert page.outcome() == {"year": 2026}
    states = page.run("() => states")
    assert (states[0], states[-1]) == ("queued", "done")
    # It is nobody else's.
    other = visit()
    assert other.call("instant.ticket", {"id": ticket})["code"] == 404
