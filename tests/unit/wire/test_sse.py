"""Events are read however a vendor frames them, in whatever pieces they come."""

from __future__ import annotations

import itertools

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import TemporarilyUnavailable
from headgate.wire import sse
from headgate.wire.sse import Event


def split(*chunks: bytes) -> list[Event]:
    splitter = sse.Splitter()
    return [event for chunk in chunks for event in splitter.feed(chunk)] + splitter.end()


@pytest.mark.parametrize(
    ("said", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [Event(b"a"), Event(b"b")]),
        (b"data:a\r\n\r\ndata:  b\r\rdata: c\n\n\n\n", [Event(b"a"), Event(b" b"), Event(b"c")]),
        (b": ping\n\nevent: x\nid: 1\ndata: a\ndata: b\nretry: 3\n\n", [Event(b"a\nb", b"x")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")]),
        (b"event: nothing\n\ndata\n\n", [Event(b"")]),
        (b"data: a\n\ndata: cut o", [Event(b"a"), Event(b"cut o")]),
        (b"", []),
        (b"\n\n\n", []),
    ],
)
def test_every_framing_is_understood(said: bytes, events: list[Event]):
    assert split(said) == events
    assert split(*(said[at : at + 1] for at in range(len(said)))) == events


@settings(deadline=None)
@given(
    events=st.lists(
        st.tuples(st.binary(max_size=9), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans()), max_size=6
    ),
    cuts=st.lists(st.integers(0, 200), max_size=20),
)
def test_pieces_do_not_matter(events: list[tuple[bytes, bytes, bool]], cuts: list[int]):
    clean = [(data.translate(None, b"\r\n"), end, noise) for data, end, noise in events]
    said = b"".join((b": x" + end if noise else b"") + b"data: " + data + end + end for data, end, noise in clean)
    at = sorted({cut % (len(said) + 1) for cut in cuts} | {0, len(said)})
    pieces = [said[start:end] for start, end in itertools.pairwise(at)]
    assert split(*pieces) == [Event(data) for data, _, _ in clean]


def test_what_never_ends_is_no_event(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "MOST_BYTES", 100)
    splitter = sse.Splitter()
    splitter.feed(b"x" * 90)
    with pytest.raises(sse.NotEvents):
        splitter.feed(b"x" * 90)


def test_an_error_is_understood_by_both_families_of_clients():
    event = sse.error_event(TemporarilyUnavailable("the vendor is gone"))
    assert event.startswith(b"data: ") and event.endswith(b"\n\n")
    assert orjson.loads(event[6:]) == {
        "error_code": "TEMPORARILY_UNAVAILABLE",
        "message": "the vendor is gone",
        "error": {
            "message": "the vendor is gone",
            "type": "temporarily_unavailable",
            "code": "TEMPORARILY_UNAVAILABLE",
        },
    }
