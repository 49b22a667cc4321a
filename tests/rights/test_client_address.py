"""Whose address a request has."""

import pytest

from instant.conf.trusted_proxies import parse_proxies
from instant.rights.client_address import Address, forwarded_address, request_address

OURS = ["10.0.0.0/8", "192.0.2.1", "2001:db8:1::/48"]


def find(peer, forwarded=None, proxies=OURS, **meta):
    meta = {"REMOTE_ADDR": peer, **meta}
    if forwarded is not None:
        meta["HTTP_X_FORWARDED_FOR"] = forwarded
    return request_address(meta, parse_proxies(proxies))


@pytest.mark.parametrize(
    ("peer", "forwarded", "name"),
    [
        # Not from a proxy: the header is anybody's word.
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        # From a proxy: the right-most that is none of ours.
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.2.3.4,192.0.2.1", "198.51.100.1"),
        ("192.0.2.1", "198.51.100.1", "198.51.100.1"),
        ("192.0.2.2", "198.51.100.1", "192.0.2.2"),
        ("2001:db8:1::5", "198.51.100.1", "198.51.100.1"),
        # A customer has a /64 to choose from.
        ("2001:db8:2:3:aaaa::1", None, "2001:db8:2:3::/64"),
        ("10.0.0.1", "2001:db8:2:3:ffff::9", "2001:db8:2:3::/64"),
        # One host, whatever the socket calls it; with ports and zones.
        ("::ffff:203.0.113.9", None, "203.0.113.9"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8:2:3::1]:443", "2001:db8:2:3::/64"),
        ("10.0.0.1", "[2001:db8:2:3::1]", "2001:db8:2:3::/64"),
        ("fe80::1%eth0", None, "fe80::/64"),
        # A proxy's own request, and one from within.
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", " , ", "10.0.0.1"),
        ("10.0.0.1", "10.9.9.9", "10.9.9.9"),
    ],
)
def test_addresses(peer, forwarded, name):
    assert find(peer, forwarded) == Address(name, shared=False)


@pytest.mark.parametrize(
    ("peer", "forwarded"),
    [
        ("10.0.0.1", "198.51.100.1, unknown"),  # Squid, told to hide it
        ("10.0.0.1", "_hidden"),
        ("10.0.0.1", "198.51.100.1, 10.0.0"),
        ("10.0.0.1", "1" * 5000),
        ("", None),
        ("unix:", "198.51.100.1"),
        ("not an address", None),
    ],
)
def test_an_address_that_nobody_tells(peer, forwarded):
    assert find(peer, forwarded) == Address(None, shared=True)


def test_a_proxy_on_a_unix_socket():
    assert find("", "1.1.1.1, 198.51.100.1", ["unix"]).name == "198.51.100.1"
    assert find("", None, ["unix"]) == Address(None, shared=True)
    assert find("203.0.113.9", "198.51.100.1", ["unix"]).name == "203.0.113.9"
    assert request_address({}, parse_proxies(["unix"])) == Address(None, shared=True)


@pytest.mark.parametrize(
    ("peer", "trace", "shared"),
    [
        ("203.0.113.9", {}, False),
        ("127.0.0.1", {}, False),
        ("10.0.0.1", {}, False),  # an intranet
        ("127.0.0.1", {"HTTP_X_FORWARDED_FOR": "198.51.100.1"}, True),
        ("172.17.0.1", {"HTTP_X_REAL_IP": "198.51.100.1"}, True),
        ("::1", {"HTTP_FORWARDED": "for=198.51.100.1"}, True),
        # Anybody can send the header; a public peer is taken for what it is.
        ("8.8.8.8", {"HTTP_X_FORWARDED_FOR": "198.51.100.1"}, False),
        ("", {}, True),
    ],
)
def test_without_the_setting_a_proxy_is_guessed_and_its_word_not_taken(peer, trace, shared):
    found = find(peer, None, None, **trace)
    assert found == Address((peer and (peer if peer != "::1" else "::/64")) or None, shared)
    # Who says that there is none is believed.
    assert find(peer, None, [], **trace).shared == (not peer)


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ("198.51.100.1", OURS, "198.51.100.1"),
        ("1.1.1.1, 198.51.100.1, 10.2.3.4", OURS, "198.51.100.1"),
        ("2001:db8:2:3:ffff::9", OURS, "2001:db8:2:3::/64"),
        ("198.51.100.1, what", OURS, ""),
        (None, OURS, ""),
        ("198.51.100.1", None, ""),
        ("198.51.100.1", [], ""),
    ],
)
def test_what_the_server_hands_on_of_a_page(forwarded, proxies, address):
    meta = {"REMOTE_ADDR": "127.0.0.1"}
    if forwarded is not None:
        meta["HTTP_X_FORWARDED_FOR"] = forwarded
    assert forwarded_address(meta, parse_proxies(proxies)) == address
