"""What makes one order of keys from another."""

from hypothesis import given
from hypothesis import strategies as st

from instant.pages.lists.ops import difference

orders = st.lists(st.sampled_from("abcdefghijkl"), unique=True)


def applied(keys, ops):
    """Do what a page does."""
    keys = list(keys)
    for op in ops:
        if op["op"] in {"leave", "move"}:
            keys.remove(op["key"])
        if op["op"] in {"enter", "move"}:
            before = op["before"]
            keys.insert(len(keys) if before is None else keys.index(before), op["key"])
    return keys


@given(orders, orders, st.sets(st.sampled_from("abcdefghijkl")))
def test_the_operations_make_the_new_order_from_the_old_one(before, now, changed):
    ops = difference(before, now, changed)
    assert applied(before, ops) == now
    told = [op["key"] for op in ops]
    assert len(set(told)) == len(told)
    assert changed & set(before) & set(now) <= set(told)


def test_nothing_is_told_of_rows_that_are_in_neither():
    assert difference(["a"], ["a"], {"b"}) == []
    assert difference(["a"], ["a"], {"a"}) == [{"op": "change", "key": "a"}]


def test_the_one_that_was_changed_is_the_one_that_moves():
    """Also where it changes places with its neighbour, which nobody has touched."""
    for changed in ("b", "c"):
        assert difference("abcd", "acbd", {changed}) == [
            {"op": "move", "key": changed, "before": {"b": "d", "c": "b"}[changed]}
        ]


def test_few_move_where_nobody_says_which():
    keys = [str(number) for number in range(3000)]
    assert len(difference(keys, keys[1:] + keys[:1])) == 1
    assert len(difference(keys, keys[:10] + keys[20:] + keys[10:20])) == 10
