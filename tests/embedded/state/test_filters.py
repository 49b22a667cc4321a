import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instant.embedded.errors import Failure, Malformed
from instant.embedded.json_text import Fields
from instant.embedded.state.filters import MAX_DEPTH, check_filter, compile_filter
from tests.embedded.fakes import Client, make_broker

KEYS = st.sampled_from("ab")
VALUES = st.sampled_from(["", "x", "xy", "1", "-1", "1.5", "01.50", "é"])
TAGS = st.dictionaries(KEYS, VALUES)


def _leaf(key, cmp, val, vals):
    if cmp in {"ex", "nex"}:
        return {"key": key, "cmp": cmp}
    if cmp in {"in", "nin"}:
        return {"key": key, "cmp": cmp, "vals": vals}
    return {"key": key, "cmp": cmp, "val": val}


LEAVES = st.builds(
    _leaf,
    KEYS,
    st.sampled_from(
        ["eq", "neq", "in", "nin", "ex", "nex", "sw", "ew", "ct", "gt", "gte", "lt", "lte"]
    ),
    VALUES.filter(bool),
    st.lists(VALUES, min_size=1, max_size=3),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda op, nodes: {"op": op, "nodes": nodes[:1] if op == "not" else nodes},
        st.sampled_from(["and", "or", "not"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


def number(text):
    try:
        return Decimal(text)
    except ArithmeticError:
        return None


def expected(node, tags):
    """Say the same with other words."""
    op = node.get("op")
    if op:
        found = [expected(inner, tags) for inner in node["nodes"]]
        return {"and": all(found), "or": any(found), "not": not found[0]}[op]
    tag, val, cmp = tags.get(node["key"]), node.get("val"), node["cmp"]
    if cmp in {"ex", "nex"}:
        return (tag is not None) == (cmp == "ex")
    if cmp in {"in", "nin"}:
        return ((tag or "") in node["vals"]) == (cmp == "in")
    if cmp == "neq":
        return tag != val
    if tag is None:
        return False
    if cmp in {"eq", "sw", "ew", "ct"}:
        return {
            "eq": tag == val, "sw": tag.startswith(val), "ew": tag.endswith(val), "ct": val in tag,
        }[cmp]  # fmt: skip
    mine, other = number(tag), number(val)
    if mine is None or other is None:
        return False
    return {"gt": mine > other, "gte": mine >= other, "lt": mine < other, "lte": mine <= other}[cmp]


@given(TREES, TAGS)
def test_filters_say_what_their_tree_says(tree, tags):
    assert compile_filter(Fields(json.dumps(tree)))(tags) is expected(tree, tags)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["op", "key", "cmp", "val", "vals", "nodes"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["op", "key", "cmp", "val", "vals", "nodes"]), ANYTHING))
def test_anything_else_is_refused_in_one_of_two_ways(tree):
    fields = Fields(json.dumps(tree))
    try:
        Fields(json.dumps({"tf": tree})).check({"tf": check_filter})
        assert compile_filter(fields)({}) in {True, False}
    except (Malformed, Failure):
        pass


def test_a_filter_is_no_way_to_exhaust_the_stack():
    tree = {"key": "a", "cmp": "ex"}
    for _ in range(MAX_DEPTH * 4):
        tree = {"op": "not", "nodes": [tree]}
    with pytest.raises(Failure):
        compile_filter(Fields(json.dumps(tree)))


def test_a_delta_after_something_unsent_is_whole():
    config = {
        "client": {"insecure": True},
        "channel": {
            "without_namespace": {
                "allow_tags_filter": True, "history_size": 9, "history_ttl": "60s",
                "allowed_delta_types": ["fossil"], "delta_publish": True,
            }
        },
    }  # fmt: skip
    broker = make_broker(config)
    client = Client(broker)
    client.send({"id": 1, "connect": {}})
    client.subscribe("x", delta="fossil", tf={"key": "a", "cmp": "ex"})
    words = "the same words " * 20
    deltas = []
    for number_, tags in enumerate([{"a": ""}, {"a": ""}, {}, {"a": ""}]):
        broker.publish("x", f'"{words}{number_}"', broker.names.options("x"), tags=tags, delta=True)
        deltas += [message["push"]["pub"].get("delta", False) for message in client.take()]
    assert deltas == [False, False, False] or deltas[-1] is False
