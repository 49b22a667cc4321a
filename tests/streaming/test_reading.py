"""The text so far: for those who may, in parts, and honest about a writer that is gone."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from instant.models import Stream, StreamChunk
from instant.streaming import reading, rows, writing
from instant.streaming.text import after, clean, length
from instant.streams import collect, read, stream
from instant.testing import assert_stream
from tests.streaming.conftest import abandoned, die, told

pytestmark = pytest.mark.django_db


def written(channel="answer:1", text="Hello, wörld 🎈!", **options):
    with stream(channel, **options) as out:
        out.write(text)


@pytest.mark.parametrize("text", ["", "abc", "ä", "🎈", "a🎈b", "日本"])
def test_lengths_are_those_of_javascript(text):
    assert length(text) == len(text.encode("utf-16-le")) / 2
    for n in range(length(text) + 1):
        rest = after(text, n)
        assert length(rest) == length(text) - n
    assert clean(text) == text


def test_from_a_position_on(at_once, monkeypatch):
    monkeypatch.setattr(reading, "_AT_ONCE", 2)
    text = "Hello 🎈, hello wörld, hello 🎈🎈"
    with stream("answer:1") as out:
        for token in text:
            out.write(token)
    whole = reading.read_part("answer:1")
    for start in range(whole.length + 1):
        part = reading.read_part("answer:1", run=whole.run, start=start)
        assert (part.at, part.text) == (start, after(text, start))
    # What isn't a position in this text begins anew.
    for run, start in (("other", 3), (whole.run, 1000), (whole.run, -1)):
        part = reading.read_part("answer:1", run=run, start=start)
        assert (part.at, part.text) == (0, text)


def test_in_parts(at_once, monkeypatch):
    monkeypatch.setattr(writing, "_MERGED", 8)
    monkeypatch.setattr(reading, "_AT_ONCE", 2)
    with stream("answer:1") as out:
        for n in range(100):
            out.write(f"{n:099}\n")
    found, part = "", reading.read_part("answer:1", most=1000)
    while part.text:
        assert len(part.text) < 5_000
        found += part.text
        part = reading.read_part("answer:1", run=part.run, start=part.end, most=1000)
    assert found == read("answer:1").text
    assert len(found) == 10_000


def test_a_part_is_small_whatever_was_written_at_once(at_once):
    with stream("answer:1") as out:
        for text in ("a", "b" * 1_000_000, "c", "d" * 70_000, "e"):
            out.write(text)
    found, part = "", reading.read_part("answer:1")
    while part.text:
        assert len(part.text) <= reading.PAGE + 131_072
        found += part.text
        part = reading.read_part("answer:1", run=part.run, start=part.end)
    assert found == read("answer:1").text
    assert len(found) == 1_070_003


def test_pieces_that_become_one_between_two_queries(at_once, monkeypatch):
    monkeypatch.setattr(reading, "_AT_ONCE", 3)
    block = stream("answer:1")
    with block as out:
        for token in "abcdefgh":
            out.write(token)
        one, chunks, asked = block._writing.stream, rows.chunks, []

        def then_merged(found):
            asked.append(found)
            if len(asked) == 2:
                monkeypatch.setattr(rows, "chunks", chunks)
                rows.merge(one, 0, one.length)
                assert StreamChunk.objects.count() == 1
            return chunks(found)

        monkeypatch.setattr(rows, "chunks", then_merged)
        assert read("answer:1") == ("abcdefgh", "writing")
        assert len(asked) == 2


def test_whoever_looks_finds_that_the_writer_is_gone(captured):
    abandoned()
    assert read("answer:1") == ("Half", "interrupted")
    assert read("answer:1") == ("Half", "interrupted")
    assert told(captured)[2:] == [{"at": 4, "text": "", "state": "interrupted"}]


def test_collecting(captured, settings, capsys):
    abandoned()
    written("answer:2")
    written("answer:3")
    with stream("answer:4"):
        assert collect() == (1, 0)
        assert collect() == (0, 0)
        with override_settings(INSTANT={**settings.INSTANT, "STREAM_KEEP": 60}):
            assert collect() == (0, 0)
            old = timezone.now() - timedelta(seconds=61)
            Stream.objects.exclude(channel="answer:2").filter(ended_at__isnull=False).update(
                ended_at=old
            )
            call_command("collect_streams")
    said = capsys.readouterr().out
    assert said == "0 streams were interrupted, 2 old ones deleted.\n"
    assert sorted(Stream.objects.values_list("channel", flat=True)) == ["answer:2", "answer:4"]
    assert StreamChunk.objects.count() == 1


def test_what_is_written_anew_meanwhile_is_not_old(captured, settings, monkeypatch):
    settings.INSTANT = {**settings.INSTANT, "STREAM_KEEP": 60}
    for pk in range(1, 4):
        written(f"answer:{pk}")
    Stream.objects.update(ended_at=timezone.now() - timedelta(seconds=61))
    remove = rows.remove

    def then(streams, keys):
        again = stream("answer:2", resume=True).__enter__()
        again.write("goes on")
        again.flush()
        return remove(streams, keys)

    monkeypatch.setattr(rows, "remove", then)
    assert collect() == (0, 2)
    assert read("answer:2") == ("Hello, wörld 🎈!goes on", "writing")
    assert list(Stream.objects.values_list("channel", flat=True)) == ["answer:2"]


@pytest.mark.parametrize("found", [0, 1])
def test_it_is_deleted_while_somebody_looks(monkeypatch, found):
    abandoned()
    interrupt = rows.interrupt

    def then(streams):
        kept = list(interrupt(streams)) if found else []
        Stream.objects.all().delete()
        return kept

    monkeypatch.setattr(rows, "interrupt", then)
    assert read("answer:1") is None


def test_it_is_deleted_while_somebody_ends_it(monkeypatch):
    abandoned()

    class Gone(rows.Streams):
        def update(self, **changes):
            count = super().update(**changes)
            Stream.objects.all().delete()
            return count

    own = rows.own
    monkeypatch.setattr(rows, "own", lambda: Gone(Stream).filter(pk__in=own()))
    assert rows.cancel(own()) == []


def test_asserting():
    with pytest.raises(AssertionError, match="No stream was written to 'answer:1'"):
        assert_stream("answer:1")
    written()
    assert assert_stream("answer:1", "Hello, wörld 🎈!") == "Hello, wörld 🎈!"
    with pytest.raises(AssertionError, match="says 'Hello, wörld 🎈!', not 'Hi'"):
        assert_stream("answer:1", "Hi")
    with pytest.raises(AssertionError, match="is done, not failed"):
        assert_stream("answer:1", state="failed")


def test_it_goes_with_its_user(make_user):
    ann = make_user("ann")
    written(user=ann)
    written("answer:2")
    ann.delete()
    assert list(Stream.objects.values_list("channel", flat=True)) == ["answer:2"]
    die("answer:2")
    assert read("answer:2").state == "done"
