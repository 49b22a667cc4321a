"""A namespace for each way in which a channel may be allowed."""

from instant import Namespace


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
