"""Go's regular expressions; what is expected here is what Go's own package said."""

import warnings

import pytest

from instant.embedded.config.go_regex import compile_regex


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^[a-z]+$", "abc"),
        (r"\A[a-z]+\z", "abc"),
        ("a.c", "abc"),
        ("(?s)a.c", "a\nc"),
        ("(?m)^b$", "a\nb\nc"),
        ("(?i)ABC", "abc"),
        ("a(?i)b|C", "c"),
        ("a(?i:b)c", "aBc"),
        ("(?i)a(?-i)b", "Ab"),
        (r"^\Qa.b\E+$", "a.bb"),
        (r"\x41\x{e9}\101", "A\u00e9A"),
        (r"^\pL+$", "\u00e9\u03bb\u6f22"),
        (r"^\p{Lu}\P{Lu}$", "Aa"),
        (r"^[\p{N}\p{^L}]$", "5"),
        ("^[[:alpha:]_[:^word:]]+$", "a_!"),
        ("^[]a]+$", "]a"),
        ("^[a-]+$", "a-"),
        ("^[a&&~~|[]+$", "a&~|["),
        ("^a{,2}$", "a{,2}"),
        ("^a{2,}$", "aaa"),
        ("(?P<x>a)(?P<x>b)", "ab"),
        ("(?<x>a)", "a"),
        ("(?P<1>a)", "a"),
        ("^*a", "a"),
        ("", "anything"),
        (r"^\D\W\S$", "\u0665\u00e9\u00a0"),
        (r"\B", ""),
        (r"\.\-\\\{", ".-\\{"),
    ],
)
def test_matches(pattern, text):
    assert compile_regex(pattern).search(text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^[a-z]+$", "abc\n"),
        (r"[a-z]\z", "abc\n"),
        ("a.c", "a\nc"),
        (r"^\d$", "\u0665"),
        (r"^\w$", "\u00e9"),
        (r"^\s$", "\v"),
        (r"\b", "\u00e9"),
        ("a(?i)b|C", "A"),
        ("(?i)a(?-i)b", "AB"),
        (r"^\Qa.b\E$", "axb"),
        (r"^\PL$", "\u00e9"),
        ("^[^[:space:]]$", " "),
    ],
)
def test_doesn_t_match(pattern, text):
    assert not compile_regex(pattern).search(text)


def test_how_much_is_matched():
    assert compile_regex("(?U)a+").search("aaa")[0] == "a"
    assert compile_regex("(?U)a+?").search("aaa")[0] == "aaa"
    assert compile_regex("a+?").search("aaa")[0] == "a"
    assert compile_regex("(?P<name>a|b)").search("b")["name"] == "b"


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "(",
            ")",
            "[",
            "[]",
            "[a",
            "(?",
            "(?:a",
            "*",
            "a|*",
            "a**",
            "a*+",
            "a++",
            "a??+",
            "a{2}{3}",
        ),
        *("(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(?>a)", "(?#c)a", "(?x)a", "(?P=a)", "(?(1)a)"),
        *(r"(a)\1", r"\Z", r"\u0041", r"\C", r"\E", "\\", r"\8", r"\x{110000}", r"\xg", "\\\u00e9"),
        *("a{1001}", "a{2,1}", "(a{100}){11}", "[z-a]", r"[a-\d]", "[[:nope:]]", "(?P<a-b>x)"),
        *(r"\p{Greek}", r"\p", "(" * 1000 + ")" * 1000),
    ],
)
def test_refuses(pattern):
    with pytest.raises(ValueError, match="not a regular expression of Go|nested"):
        compile_regex(pattern)
