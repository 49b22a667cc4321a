"""Revoking where some of the server's nodes don't tell who is present on them."""

from instant.centrifugo.api.commands import Presence, PresenceStats, Unsubscribe
from instant.centrifugo.api.nodes import Partial
from instant.exceptions import ServerUnreachable
from instant.models import Revocation


def test_who_is_found_is_out_and_the_rest_is_looked_for_again(
    client, committed, make_user, make_channel, monkeypatch
):
    channel = make_channel("$red", "groups", groups=["red"])
    ann = make_user("ann")
    client.inside = {"$red": {str(ann.pk)}}
    answer = client.answer

    def partly(command):
        found = answer(command)
        if isinstance(command, Presence | PresenceStats):
            return Partial(found, ServerUnreachable("node 2 is silent"))
        return found

    monkeypatch.setattr(client, "answer", partly)
    with committed():
        channel.description = "so that it is saved"
        channel.groups.clear()
    assert client.changes == [Unsubscribe(str(ann.pk), "$red")]
    [row] = Revocation.objects.all()
    assert not row.is_last  # its first check is still to be made
