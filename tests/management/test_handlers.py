"""The table of handlers."""

import pytest
from django.core.management import call_command

from instant import (
    Namespace,
    before_send,
    on_connect,
    on_publish,
    on_rpc,
    on_subscribe,
)  # fmt: skip
from instant.handlers import Policy

pytestmark = pytest.mark.usefixtures("registry")


class Named(Policy):
    def __str__(self):
        return "rate 20/m"


@pytest.fixture
def out(capsys):
    def run():
        call_command("handlers", no_color=True)
        found = capsys.readouterr().out.splitlines()
        return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in found]

    return run


def test_none(out):
    assert out() == [["No app has declared a handler in its realtime.py."]]


def test_all_kinds(out):
    class Room(Namespace):
        name, pattern = "room", "<int:pk>"

    def may(call): ...

    @on_subscribe(Room)
    def enter(call, pk): ...

    @on_rpc("cart.add", policies=[Named(), Named()], session=True, pool="heavy")
    def add(call): ...

    @on_rpc("all", anonymous=True)
    def everybody(call): ...

    @on_rpc("staff", can="auth.add_user")
    def staff(call): ...

    @on_publish("chat:*", can=may)
    def moderate(call): ...

    @on_connect
    def connect(call): ...

    @before_send(Room, event_class="shipped")
    def send(outgoing, pk): ...

    heading, *lines = out()
    assert heading == ["kind", "about", "function", "who may", "policies", "declared in"]
    where = f"{__name__}.test_all_kinds.<locals>"
    assert [line[:5] for line in lines] == [
        ["on_rpc", "all", f"{where}.everybody", "everybody", "-"],
        ["on_rpc", "cart.add", f"{where}.add", "users", "rate 20/m, rate 20/m, session, pool heavy"],
        ["on_rpc", "staff", f"{where}.staff", "users with auth.add_user", "-"],
        [
            "on_publish", "chat:*", f"{where}.moderate",
            "who may publish whom test_all_kinds.<locals>.may() lets", "-",
        ],
        ["on_connect", "-", f"{where}.connect", "all", "-"],
        [
            "on_subscribe", "test_all_kinds.<locals>.Room", f"{where}.enter", "who may subscribe", "-",
        ],
        ["before_send", "test_all_kinds.<locals>.Room shipped", f"{where}.send", "-", "-"],
    ]  # fmt: skip
    line = add.__code__.co_firstlineno
    assert lines[1][5].endswith(f"tests/management/test_handlers.py:{line}")
