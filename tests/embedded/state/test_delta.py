from hypothesis import given, settings
from hypothesis import strategies as st

from instant.embedded.state.delta import checksum, make_delta


def apply(origin, delta):
    """Read a Fossil delta, written from its description."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
    at = 0

    def number():
        nonlocal at
        value = 0
        while chr(delta[at]) in digits:
            value = value * 64 + digits.index(chr(delta[at]))
            at += 1
        return value

    size = number()
    assert delta[at : at + 1] == b"\n"
    at += 1
    out = b""
    while True:
        count = number()
        sign = delta[at : at + 1]
        at += 1
        if sign == b"@":
            start = number()
            assert delta[at : at + 1] == b","
            at += 1
            assert start + count <= len(origin)
            out += origin[start : start + count]
        elif sign == b":":
            out += delta[at : at + count]
            at += count
        else:
            assert sign == b";"
            assert at == len(delta)
            assert len(out) == size
            assert checksum(out) == count
            return out


PIECES = st.lists(st.sampled_from([b"a" * 20, b"hello world, hello", b"0123456789abcdef", b"x", b"\xff\x00"]), max_size=12).map(b"".join)  # fmt: skip


@settings(deadline=None)
@given(PIECES | st.binary(max_size=80), PIECES | st.binary(max_size=80))
def test_a_delta_makes_the_target_of_the_origin(origin, target):
    assert apply(origin, make_delta(origin, target)) == target


def test_a_small_change_is_a_small_delta():
    origin = b'{"text":"' + bytes(range(48, 91)) * 20 + b'","n":1}'
    assert len(make_delta(origin, origin.replace(b'"n":1', b'"n":2'))) < 40
