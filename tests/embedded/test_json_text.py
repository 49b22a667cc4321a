import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instant.embedded.errors import Malformed
from instant.embedded.json_text import Fields, elements, load

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=6), st.sampled_from([None, 1, 3]))
@pytest.mark.slow
def test_every_member_keeps_its_text(members, indent):
    fields = Fields(json.dumps(members, indent=indent))
    assert fields.names() == list(members)
    for name, value in members.items():
        assert json.loads(fields.raw(name)) == value
        assert "\n" not in fields.raw(name)


@settings(deadline=None)
@given(st.lists(JSON, max_size=6))
def test_every_element_keeps_its_text(items):
    assert [json.loads(text) for text in elements(json.dumps(items))] == items


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ('{"n": 1.10}', "1.10"),
        ('{"n":123456789012345678901234567890}', "123456789012345678901234567890"),
        ('{"n": {"b" : 2, "a":1} }', '{"b" : 2, "a":1}'),
        ('{"n":{\n "a":\r\n1}}', '{ "a":1}'),
        ('{"n":"\\u00e9\\n"}', '"\\u00e9\\n"'),
    ],
)
def test_text_is_not_written_anew(text, raw):
    assert Fields(text).raw("n") == raw


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1", "[]", "null", "{", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1}x', '{"a":1}{}', "{a:1}",
        '{"a":NaN}', '{"a":-Infinity}', '{"a":"\x01"}', '{"a\n":1}', '{"a":[}', '{"a":' + "[" * 100_000,
        '{"a":' + "9" * 10_000 + "}",
    ],
)  # fmt: skip
def test_what_is_no_object_is_malformed(text):
    with pytest.raises(Malformed):
        Fields(text)


@settings(deadline=None)
@given(st.text())
def test_nothing_but_malformed_is_raised(text):
    for read in (Fields, elements, load):
        with contextlib.suppress(Malformed):
            read(text)


def test_absent_and_null_read_as_zero_values():
    for fields in (Fields("{}"), Fields('{"a":null}')):
        assert (fields.text("a"), fields.flag("a"), fields.uint32("a")) == ("", False, 0)
        assert (fields.texts("a"), fields.text_map("a"), fields.fields("a")) == ([], {}, None)
        assert "a" not in fields
        assert fields.raw_or_nothing("a") == ""
    assert Fields('{"a":null}').raw("a") == "null"


@pytest.mark.parametrize("value", ["1", '"x"', "true", "[1]", '{"b":1}', "1.0"])
def test_a_wrong_type_is_malformed(value):
    fields = Fields(f'{{"a":{value}}}')
    fits = {"1": "uint32", '"x"': "text", "true": "flag", "1.0": "value"}.get(value)
    for reader in ("uint32", "uint64", "int32", "int64", "text", "flag", "texts", "text_map"):
        if reader != fits and not (value == "1" and "int" in reader):
            with pytest.raises(Malformed):
                getattr(fields, reader)("a")


@pytest.mark.parametrize(
    ("reader", "value"),
    [("uint32", 2**32), ("uint32", -1), ("uint64", 2**64), ("int32", 2**31), ("int64", 2**63)],
)
def test_an_integer_out_of_range_is_malformed(reader, value):
    with pytest.raises(Malformed):
        getattr(Fields(json.dumps({"a": value})), reader)("a")
