import pytest

from instant.embedded.config.globs import Origins


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("http://site.example", "http://site.example"),
        ("http://site.example", "HTTP://Site.Example"),
        ("https://*.example.com", "https://a.b.example.com"),
        ("http://localhost:*", "http://localhost:8000"),
        ("*", "anything at all"),
        ("**", "https://x.example"),
        ("http://\\[::1\\]:*", "http://[::1]:8000"),
        ("https://{a,b}.example", "https://b.example"),
        ("https://[a-c].example", "https://b.example"),
        ("https://[!a-c].example", "https://d.example"),
        ("https://?.example", "https://x.example"),
        ("https://{a,{b,c}}.example", "https://c.example"),
        ("https://{a,b", "https://b"),
        ("https://a\\", "https://a"),
        ("https://[ab-d].example", "https://-.example"),
        ("https://[a\\-c].example", "https://c.example"),
        ("https://a}", "https://a}"),
    ],
)
def test_allows(pattern, origin):
    assert Origins([pattern]).allow(origin)


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("http://site.example", "http://site.example.evil"),
        ("http://site.example", "http://siteXexample"),
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "https://evil.example.com.evil"),
        ("http://[::1]:*", "http://[::1]:8000"),
        ("http://Site.example", "http://site.example"),
        ("https://{a,b}.example", "https://c.example"),
        ("https://[!a-c].example", "https://b.example"),
        ("http://site.example", "null"),
        ("https://[ab-d].example", "https://c.example"),
        ("https://[a\\-c].example", "https://b.example"),
    ],
)
def test_refuses(pattern, origin):
    assert not Origins([pattern]).allow(origin)


def test_no_patterns_refuse_every_origin_and_no_origin_passes():
    assert not Origins([]).allow("http://site.example")
    assert Origins([]).allow(None)
    assert Origins([]).allow("")


@pytest.mark.parametrize(
    "pattern", ["http://[", "[]", "[!]", "http://[z-a]", "[a-c-e]", "[a-", "[a\\]"]
)
def test_a_malformed_pattern_is_named(pattern):
    with pytest.raises(ValueError, match="malformed origin pattern"):
        Origins([pattern])
