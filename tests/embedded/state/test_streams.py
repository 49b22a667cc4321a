import itertools
import tracemalloc

import pytest

from instant.embedded.state.publication import Position, Publication
from instant.embedded.state.streams import MOST_UNUSED, SWEEP_BATCH, Stream, Streams


class Time:
    value = 1000.0

    def __call__(self):
        return self.value


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def readers():
    """Return the channels that have subscribers."""
    return set()


@pytest.fixture
def streams(time, readers):
    return Streams(time, readers.__contains__)


def keep(streams, data="1", channel="c", *, size=3, ttl=60.0, meta_ttl=600.0, version=0, epoch=""):
    return streams.keep(
        channel,
        Publication(data=data, version=version),
        size=size,
        ttl=ttl,
        meta_ttl=meta_ttl,
        version_epoch=epoch,
    )


def test_offsets_go_up_and_only_the_first_names_the_epoch(streams):
    first, _, _ = keep(streams)
    second, previous, _ = keep(streams, "2")
    assert (first.offset, second.offset) == (1, 2)
    assert first.epoch == second.epoch
    assert len(first.epoch) == 8
    one, two = streams.get("c", 600).read(-1)
    assert previous is one
    assert one.json() == f'{{"data":1,"offset":1,"epoch":"{first.epoch}"}}'
    assert two.json() == '{"data":2,"offset":2}'
    assert one.api_json() == '{"data":1,"offset":1}'


def test_size_bounds_what_is_kept(streams):
    for number in range(5):
        keep(streams, str(number))
    assert [item.data for item in streams.get("c", 600).read(-1)] == ["2", "3", "4"]


def test_publications_expire_before_the_position(streams, time):
    position, _, _ = keep(streams)
    time.value += 61
    stream = streams.get("c", 600)
    assert stream.read(-1) == []
    assert stream.position == position
    time.value += 601
    assert streams.get("c", 600).position.offset == 0
    assert streams.get("c", 600).epoch != position.epoch


def test_touching_a_stream_keeps_its_position(streams, time):
    position, _, _ = keep(streams)
    for _ in range(5):
        time.value += 500
        assert streams.get("c", 600).position == position


def test_remove_goes_on_counting(streams):
    keep(streams)
    streams.remove("c")
    streams.remove("never")
    assert streams.get("c", 600).read(-1) == []
    assert keep(streams)[0].offset == 2


@pytest.mark.parametrize(
    ("limit", "since", "reverse", "expected"),
    [
        (-1, None, False, [3, 4, 5]),
        (2, None, False, [3, 4]),
        (0, None, False, []),
        (-1, None, True, [5, 4, 3]),
        (1, None, True, [5]),
        (-1, 3, False, [4, 5]),
        (-1, 0, False, [3, 4, 5]),
        (-1, 5, False, []),
        (-1, 9, False, []),
        (1, 3, False, [4]),
        (-1, 5, True, [4, 3]),
        (-1, 9, True, []),
        (-1, 2, True, []),
    ],
)
def test_read(limit, since, reverse, expected):
    stream = Stream()
    for _ in range(5):
        stream.add(Publication(data="1"), 3, 0, "")
    position = None if since is None else Position(since, stream.epoch)
    found = stream.read(limit, since=position, reverse=reverse)
    assert [item.offset for item in found] == expected


def test_versions_drop_what_is_late(streams):
    kept = [keep(streams, version=version, epoch="e")[2] for version in (5, 4, 5, 6)]
    assert kept == [True, False, False, True]
    assert keep(streams, version=1, epoch="other")[2]
    assert not keep(streams, version=1, epoch="")[2]
    assert keep(streams, version=0)[2]


def test_a_key_is_remembered_for_five_minutes(streams, time):
    streams.add_key("c", "k", Position(3, "e"))
    assert streams.find_key("c", "k") == Position(3, "e")
    assert streams.find_key("d", "k") is None
    time.value += 301
    assert streams.find_key("c", "k") is None


def test_sweep_frees_everything(streams, time):
    for number in range(50):
        keep(streams, channel=f"c{number}")
        streams.add_key("c", str(number), Position())
    time.value += 700
    assert list(streams.sweep()) == []
    assert len(streams) == 0
    assert streams._keys == {}


def test_sweeping_lets_others_have_their_turn(streams, time):
    for number in range(4 * SWEEP_BATCH):
        keep(streams, channel=f"c{number}")
        streams.add_key("c", str(number), Position())
    time.value += 700
    freed = []
    for _ in streams.sweep():
        freed.append(8 * SWEEP_BATCH - len(streams) - len(streams._keys))
        # Meanwhile there are new ones.
        keep(streams, channel=f"new {len(freed)}")
    assert len(freed) == 8
    assert all(after - before <= SWEEP_BATCH for before, after in itertools.pairwise(freed))
    assert len(streams) == 8


def test_looking_at_channels_fills_no_memory(streams):
    tracemalloc.start()
    try:
        for number in range(MOST_UNUSED):
            streams.get(f"c{number}", 600)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(10 * MOST_UNUSED):
            streams.get(f"d{number}", 600)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(streams) == MOST_UNUSED
    assert after < 1.2 * before


def test_who_looked_last_finds_the_position_again(streams):
    epoch = streams.get("c", 600).epoch
    for number in range(3 * MOST_UNUSED):
        streams.get(str(number), 600)
        if number % 5000 == 0:
            assert streams.get("c", 600).epoch == epoch
    for number in range(MOST_UNUSED):
        streams.get(str(number), 600)
    assert streams.get("c", 600).epoch != epoch


def test_streams_with_readers_or_publications_stay(streams, readers):
    keep(streams, channel="published")
    readers |= {f"read {number}" for number in range(2 * MOST_UNUSED)}
    epochs = {name: streams.get(name, 600).epoch for name in readers}
    for number in range(8 * MOST_UNUSED):
        streams.get(str(number), 600)
    assert {name: streams.get(name, 600).epoch for name in readers} == epochs
    assert streams.get("published", 600).top == 1
    # Among them, those without readers don't add up.
    assert len(streams) < 5 * MOST_UNUSED


def test_a_published_stream_counts_as_used(streams):
    streams.get("c", 600)
    position, _, _ = keep(streams)
    for number in range(2 * MOST_UNUSED):
        streams.get(str(number), 600)
    assert streams.get("c", 600).position == position
