import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instant.embedded.errors import Malformed
from instant.embedded.json_scan import MAX_DEPTH, elements, load
from instant.embedded.json_text import Fields

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
        found, raw = fields.exact(name)
        assert json.loads(raw) == value == found
        assert "\n" not in raw


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
        '{"a":' + "9" * 10_000, '{"a":0' + "9" * 10_000 + "}",
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


def deep(levels, inner="1", opening="[", closing="]"):
    return opening * levels + inner + closing * levels


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a":', "}"), (' [ 1 ,{ "b":', " } ]")]
)
@pytest.mark.parametrize("levels", [900, 1100, 4000])
def test_what_is_deep_keeps_its_text(levels, opening, closing):
    text = deep(levels, opening=opening, closing=closing)
    fields = Fields(f'{{"n":{text},"m":2}}')
    assert fields.raw("n") == text.strip()
    assert fields.uint32("m") == 2


def test_what_is_deep_has_a_type_all_the_same():
    fields = Fields(
        f'{{"list":{deep(2000)},"object":{deep(2000, opening=chr(123) + chr(34) * 2 + ":", closing="}")}}}'
    )
    assert fields.fields("object").raw("").startswith('{"":{"":')
    for name, readers in (
        ("list", ("fields", "texts", "text_map")),
        ("object", ("text", "texts", "text_map")),
    ):
        for reader in readers:
            with pytest.raises(Malformed):
                getattr(fields, reader)(name)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_whole_may_be_as_deep_as_go_reads_it(opening):
    closing = "]" if opening == "[" else "}"
    for depth, levels in ((MAX_DEPTH, MAX_DEPTH), (None, 40_000)):
        text = deep(levels - 1, opening=opening, closing=closing)
        assert Fields(f'{{"a":{text}}}', depth=depth).raw("a") == text
    with pytest.raises(Malformed):
        Fields(f'{{"a":{deep(MAX_DEPTH, opening=opening, closing=closing)}}}')
    # Many are not deep.
    assert Fields('{"a":[' + "[]," * MAX_DEPTH + "1]}").raw("a")


def test_a_long_integer_keeps_its_digits_and_is_in_no_range():
    digits = "7" * 10_000
    fields = Fields(f'{{"n":{digits},"list":[-{digits}],"m":2}}')
    assert (fields.raw("n"), fields.raw("list"), fields.uint32("m")) == (digits, f"[-{digits}]", 2)
    for reader in ("uint64", "int64", "text"):
        with pytest.raises(Malformed):
            getattr(fields, reader)("n")
    assert load(f"[{digits}]")


def _valid(text):
    try:
        json.loads(text, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return False
    return True


@settings(deadline=None)
@given(JSON.map(json.dumps), st.integers(0, 99), st.sampled_from('[]{}",:0e-.\\ tn\x01\n'))
def test_below_python_s_own_depth_the_same_is_json(text, at, char):
    """A character more or less somewhere spoils a text, or it doesn't: Python knows."""
    at %= len(text) + 1
    for changed in (text, text[:at] + char + text[at:], text[:at] + text[at + 1 :]):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            wrapped = deep(1500, changed, opening, closing)
            try:
                end = len(load(wrapped)) > 0
            except Malformed:
                end = False
            # With brackets in it, a changed text may end early, and what is around it be wrong.
            assert end == (
                _valid(f"[{changed}]") if opening == "[" else _valid(f'{{"a":{changed}}}')
            )


@pytest.mark.parametrize(
    ("text", "name"), [('{"A":1,"a":2}', "a"), ('{"a":1,"A":2}', "a"), ('{"a":1,"a":2}', "a")]
)
def test_the_last_of_one_name_counts(text, name):
    assert Fields(text).uint32(name) == 2


def test_names_of_channels_are_exact():
    fields = Fields('{"subs":{"a":{"n":1},"A":{"N":2},"b":null}}').fields("subs")
    assert [(name, found.uint32("n")) for name, found in fields.objects()] == [
        ("a", 1),
        ("A", 2),
        ("b", 0),
    ]
    assert fields.exact("A") == ({"N": 2}, '{"N":2}')
    with pytest.raises(Malformed):
        list(Fields('{"a":1}').objects())


def test_null_is_an_empty_string_in_lists_and_objects():
    fields = Fields('{"list":["a",null],"map":{"a":null}}')
    assert (fields.texts("list"), fields.text_map("map")) == (["a", ""], {"a": ""})


def test_half_a_pair_is_the_replacement_character():
    fields = Fields('{"a":"\\ud800x","b":["\\udc00"],"c":"\\ud83d\\ude00"}')
    assert (fields.text("a"), fields.texts("b"), fields.text("c")) == (
        "\ufffdx",
        ["\ufffd"],
        "\U0001f600",
    )
