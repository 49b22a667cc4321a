"""Differences between publications, in Fossil's delta format.

The format and its hash are described at https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki;
clients apply it to the bytes of the previous publication.
"""

from __future__ import annotations

from instant.embedded.json_text import quote

from .publication import Publication

_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
_BLOCK = 16
# So many equal blocks are tried; beyond that, a longer match costs more than it saves.
_TRIES = 250


def _number(value: int) -> bytes:
    out = bytearray()
    while True:
        out.append(_DIGITS[value & 63])
        value >>= 6
        if not value:
            break
    out.reverse()
    return bytes(out)


def checksum(data: bytes) -> int:
    """Sum the bytes as big-endian 32-bit words, the last one padded with zeros."""
    padded = data + bytes(-len(data) % 4)
    words = memoryview(padded)
    return sum(int.from_bytes(words[at : at + 4], "big") for at in range(0, len(padded), 4)) % 2**32


def _common(origin: bytes, target: bytes, source: int, at: int) -> int:
    """Count the equal bytes from two places on."""
    limit = min(len(origin) - source, len(target) - at)
    count = 0
    step = 64
    while (
        count < limit
        and origin[source + count : source + count + step]
        == (target[at + count : at + count + step])
    ):
        count += step
    count = min(count, limit)
    while count < limit and origin[source + count] == target[at + count]:
        count += 1
    return count


def _common_before(origin: bytes, target: bytes, source: int, at: int, floor: int) -> int:
    """Count the equal bytes before two places, down to `floor` in the target."""
    limit = min(source, at - floor)
    count = 0
    while count < limit and origin[source - count - 1] == target[at - count - 1]:
        count += 1
    return count


def _best(
    origin: bytes, target: bytes, blocks: list[int], at: int, floor: int
) -> tuple[int, int, int]:
    """Return the longest copy that saves bytes: its length, source, and the literal before it."""
    best = (0, 0, 0)
    for source in reversed(blocks[-_TRIES:]):
        before = _common_before(origin, target, source, at, floor)
        count = before + _common(origin, target, source, at)
        start, literal = source - before, at - floor - before
        cost = len(_number(literal)) + len(_number(count)) + len(_number(start)) + 3
        if count >= cost and count > best[0]:
            best = (count, start, literal)
    return best


def make_delta(origin: bytes, target: bytes) -> bytes:
    """Return the delta that turns `origin` into `target`."""
    out = [_number(len(target)), b"\n"]
    index: dict[bytes, list[int]] = {}
    if len(origin) > _BLOCK:
        for source in range(0, len(origin) - _BLOCK + 1, _BLOCK):
            index.setdefault(origin[source : source + _BLOCK], []).append(source)
    base = at = 0
    while index and at + _BLOCK <= len(target):
        blocks = index.get(target[at : at + _BLOCK])
        count, start, literal = _best(origin, target, blocks, at, base) if blocks else (0, 0, 0)
        if not count:
            at += 1
            continue
        if literal:
            out += [_number(literal), b":", target[base : base + literal]]
        out += [_number(count), b"@", _number(start), b","]
        base += literal + count
        at = base
    if base < len(target):
        out += [_number(len(target) - base), b":", target[base:]]
    out += [_number(checksum(target)), b";"]
    return b"".join(out)


def delta_json(previous: Publication, publication: Publication) -> str:
    """Write a publication as its difference to `previous`, or whole if that is no longer."""
    target = publication.data.encode()
    delta = make_delta(previous.data.encode(), target)
    if len(delta) >= len(target):
        return publication.full_text()
    try:
        text = delta.decode()
    except UnicodeDecodeError:
        # A copy may begin inside a character, and a JSON string can't hold a part of one.
        return publication.full_text()
    return publication.fields(quote(text), with_epoch=False, delta=True)
