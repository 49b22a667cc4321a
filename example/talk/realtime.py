"""The channels of the talk: pages publish there, and Python sees it first."""

from instant import Namespace, on_publish
from instant.deliveries import AtMostOnce
from instant.handlers import Published, Refused

from talk.models import MAX_LENGTH, Line, moderated


class Talk(Namespace):
    """``talk:counter``, for everybody who is logged in, and says who is there."""

    name = "talk"
    pattern = "<slug:room>"
    presence = True
    join_leave = True
    client_publish = "ask"

    def can_subscribe(self, user, room):
        return user.is_authenticated and room == "counter"

    can_publish = can_subscribe

    def connection_info(self, user, **_channel):
        return {"name": user.get_username()}


class Typing(Talk):
    """``typing:counter``: who is writing just now, which nobody has to read later."""

    name = "typing"
    delivery = AtMostOnce()
    presence = False
    join_leave = False


@on_publish(Talk, rate="10/m")
def say(call, room, text: str):  # noqa: ARG001  every room has the same rules
    """Store a line. What is published is what was stored, whatever else the page has sent."""
    text = " ".join(text.split())
    if not 0 < len(text) <= MAX_LENGTH:
        raise Refused(422, f"A line has 1 to {MAX_LENGTH} characters.")
    line = Line.objects.create(text=moderated(text), author=call.user)
    return Published(line.as_data(), event_class="said")


@on_publish(Typing)
def is_typing(call, room):  # noqa: ARG001  likewise
    """Say who, as Django knows them: a page can't write in another's name."""
    return Published({"name": call.user.get_username()}, event_class="typing")
