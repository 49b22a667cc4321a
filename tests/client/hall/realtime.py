"""A namespace for each way in which a channel may be allowed."""

from instant import Namespace, on_publish, on_rpc
from instant.deliveries import AtMostOnce, Recoverable
from instant.handlers import Refused
from tests.client.hall import changes, counters, fragments  # noqa: F401  it declares, too


def _is_in(user, group):
    return user.is_authenticated and user.groups.filter(name=group).exists()


class Deal(Namespace):
    """The server asks Django at each subscription; there are no tokens."""

    name = "deal"
    pattern = "<int:pk>"
    authorize = "proxy"
    presence = True

    def can_subscribe(self, user, pk):
        return _is_in(user, "guests")


class Room(Namespace):
    """Whoever is inside sees who is there, and what was said."""

    name = "room"
    pattern = "<int:pk>"
    presence = True
    join_leave = True
    history = True

    def can_subscribe(self, user, pk):
        return _is_in(user, "guests")

    def connection_info(self, user, **_channel):
        return {"name": user.get_username()}


class Ward(Namespace):
    """A rule says who of those inside sees the others, and what was said."""

    name = "ward"
    pattern = "<int:pk>"
    join_leave = True

    def can_subscribe(self, user, pk):
        return _is_in(user, "guests")

    def can_see_presence(self, user, pk):
        return user.is_staff

    def can_read_history(self, user, pk):
        return user.is_staff

    def connection_info(self, user, **_channel):
        return {"name": user.get_username()}


class Stage(Namespace):
    """The server asks Django at each publication from a page."""

    name = "stage"
    pattern = "<int:pk>"
    client_publish = "ask"

    def can_subscribe(self, user, pk):
        return True

    def can_publish(self, user, pk):
        return _is_in(user, "speakers")


class Street(Namespace):
    """Everybody is let in, and nobody asked."""

    name = "street"
    pattern = "<int:pk>"
    authorize = "open"


class Wall(Namespace):
    """Everybody writes, and nobody is asked."""

    name = "wall"
    pattern = "<int:pk>"
    client_publish = "subscribers"

    def can_subscribe(self, user, pk):
        return True


class Ticker(Namespace):
    """Everybody may listen."""

    name = "ticker"
    pattern = "<int:pk>"

    def can_subscribe(self, user, pk):
        return True


class Tally(Namespace):
    """A number that is one viewer's business."""

    name = "tally"
    pattern = "<int:pk>"

    def can_subscribe(self, user, pk):
        return _is_in(user, "guests")

    def snapshot(self, user, pk):
        return {"n": counters.read(f"tally:{pk}"), "for": user.get_username()}


class Score(Namespace):
    """A number that is the same for everybody, in pages that caches keep."""

    name = "score"
    pattern = "<int:pk>"
    authorize = "open"
    snapshot_is_public = True
    delivery = Recoverable(size=1000)

    def snapshot(self, user, pk):
        return {"n": counters.read(f"score:{pk}"), "for": user.get_username()}


class Brief(Score):
    """The same with a history that doesn't go back to pages from a cache."""

    name = "brief"
    delivery = Recoverable(size=2)

    def snapshot(self, user, pk):
        return {"n": counters.read(f"brief:{pk}"), "for": user.get_username()}


class Blink(Namespace):
    """A number in a channel that keeps no messages."""

    name = "blink"
    pattern = "<int:pk>"
    authorize = "open"
    delivery = AtMostOnce()

    def can_subscribe(self, user, pk):
        return True

    def snapshot(self, user, pk):
        return {"n": counters.read(f"blink:{pk}"), "for": user.get_username()}


class Board(Namespace):
    """Everybody writes, and Python sees it first."""

    name = "board"
    pattern = "<int:pk>"
    client_publish = "ask"

    def can_subscribe(self, user, pk):
        return True

    def can_publish(self, user, pk):
        return True


class Box(Namespace):
    """Everybody writes, and nobody reads."""

    name = "box"
    pattern = "<int:pk>"
    client_publish = "ask"

    def can_subscribe(self, user, pk):
        return False

    def can_publish(self, user, pk):
        return True


@on_publish(Board)
def moderate(call, pk, text: str):
    """Change the text, and leave nothing else of what the page has sent."""
    if text == "spam":
        raise Refused(409, "no spam")
    return {"text": text.upper(), "pk": pk}


@on_publish(Box)
def drop(call, pk):
    changes.note(f"box {pk} {call.data}")


@on_rpc("add", anonymous=True)
def add(call, one: int, other: int):
    return {"sum": one + other}


@on_rpc("whoami")
def whoami(call):
    return {"user": call.user.get_username()}


@on_rpc("refuse", anonymous=True)
def refuse(call, code: int, message: str):
    raise Refused(code, message, temporary=code == 429)


@on_rpc("break", anonymous=True)
def raise_an_error(call):
    raise ValueError("no page may see this")


@on_rpc("wait", anonymous=True)
def wait(call, data):
    """Answer when the test says so, and at once whoever asks again."""
    changes.note(f"wait {data['name']}")
    changes.released.wait(60)
    return {"name": data["name"]}


@on_rpc("report", queue="bulk")
def report(call, year: int):
    for step in (1, 2):
        call.progress(step / 2)
    return {"year": year}
