"""The channel of each import."""

from instant import Namespace


class ImportChannel(Namespace):
    """``import:12``, for the staff: how far it is."""

    name = "import"
    pattern = "<int:pk>"

    def can_subscribe(self, user, pk):  # noqa: ARG002  of all imports alike
        return user.is_staff
