"""The grammar of names."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instant.channels.names import check_name, check_names, check_row_name
from instant.exceptions import InvalidChannelName

GOOD = ["public", "$users", "user:1", "$order:a:b", "dialog#1,2", "#42", 'q"t\\', "x" * 255, "a.b"]
BAD = {
    "": "for example",
    "$": "for example",
    "a b": "Use 'a-b'",
    "a\n": "Use 'a'",
    "zürich": "Use 'z-rich'",
    "ü": "Use 'news'",
    "a*": "reserves",
    "a/b": "Use 'a-b'",
    "a&b": "Use 'a-b'",
    "x" * 256: "256",
    ":a": "namespace",
    "x:1": "at least two",
    "ns:": "must follow",
    "a$b": r"Use '\$ab'",
    "ns:$x": r"Use '\$ns:x'",  # where 4.2.0 put the $
    "$$a": "inside",
    "a\0b": "ASCII",
}
ROWS_BAD = {"order:1": "Use 'order-1'", "a#b": "Use 'a-b'", "$ns:x": r"Use '\$ns-x'", **BAD}


@pytest.mark.parametrize("name", GOOD)
def test_good_names(name):
    check_name(name)


@pytest.mark.parametrize("name", [n for n in GOOD if ":" not in n and "#" not in n])
def test_good_row_names(name):
    check_row_name(name)


@pytest.mark.parametrize(("name", "remedy"), BAD.items())
def test_bad_names_say_what_would_be_right(name, remedy):
    with pytest.raises(InvalidChannelName, match=remedy):
        check_name(name)


def test_the_dollar_stands_before_the_namespace():
    check_name("$ns:a:b")
    with pytest.raises(InvalidChannelName, match=r"Use '\$ns:x'"):
        check_name("ns:$x")


@pytest.mark.parametrize("name", ROWS_BAD)
def test_bad_row_names(name):
    with pytest.raises(InvalidChannelName) as info:
        check_row_name(name)
    assert ROWS_BAD[name].replace("\\", "") in str(info.value) or name in BAD


@pytest.mark.parametrize(
    "names", [["a", "b\nc"], ["a", "b c"], ["a", ""], ["a", "x" * 256], ["a", "x:1"], ["", ""]]
)
def test_many_names_are_as_strict_as_one(names):
    check_names(["a", "$b", "user:1", "x" * 255])
    check_names([])
    with pytest.raises(InvalidChannelName):
        check_names(names)
    with pytest.raises(TypeError):
        check_names(["a", 5])


@given(st.lists(st.text(max_size=5), max_size=4))
def test_many_names_agree_with_each(names):
    def fails(check, *arguments):
        try:
            check(*arguments)
        except InvalidChannelName:
            return True
        return False

    assert fails(check_names, names) == any(fails(check_name, name) for name in names)


@given(st.text(max_size=300))
def test_a_row_name_is_a_name_and_both_are_ascii_of_at_most_255_bytes(name):
    try:
        check_row_name(name)
    except InvalidChannelName:
        return
    check_name(name)
    assert name.isascii()
    assert len(name) <= 255
    assert not set(name) & set(" *&/:#\n\t")
    assert "$" not in name[1:]


@pytest.mark.parametrize("name", ["two words", "", "%(name)s x", "ü", "a*", "x" * 300])
def test_an_error_keeps_what_forms_translate(name):
    with pytest.raises(InvalidChannelName) as info:
        check_name(name)
    error = info.value
    assert str(error) == (error.template % error.params if error.params else error.template)
    # A task queue may carry it.
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.template, copy.params) == (str(error), error.template, error.params)


def test_an_error_of_somebody_elses_keeps_its_text():
    assert str(InvalidChannelName("100 % of it")) == "100 % of it"
