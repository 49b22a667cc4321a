"""The recipes of docs/lists.md do what they say; tests/client/test_lists.py sees the others in a browser."""

from tests.docs import documents, test_python

USED = """
from instant.live import live
from shop.models import Order

order = Order.objects.create(customer=user)
live(Order.objects.values("id", "customer__username"), user=user)
user.last_login = order.placed
user.save(update_fields=["last_login"])
user.username = "Anna"
user.save()
"""


def test_who_changes_their_name_changes_the_rows_that_show_it(tmp_path, monkeypatch):
    used = documents.Block("docs/lists.md", 10_000, "python", USED)
    found = documents.blocks("python", document="docs/lists.md")
    monkeypatch.setattr(test_python, "blocks", lambda *_, document: [*found, used])
    *_, last = test_python.play("docs/lists.md", tmp_path)
    assert last["problem"] is None
    [channel] = last["published"]
    assert channel.startswith("instant.list:")
