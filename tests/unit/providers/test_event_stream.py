"""The binary event stream is read as botocore reads it, whatever pieces it comes in; what was changed on the way is noticed."""

from __future__ import annotations

import itertools
import struct
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.vendor.event_stream import message

from headgate.providers.bedrock.event_stream import Decoder, Garbled

NAMES = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=20)
MESSAGES = st.lists(
    st.tuples(st.dictionaries(NAMES, st.text(max_size=30), max_size=4), st.binary(max_size=200)), min_size=1, max_size=5
)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(said=MESSAGES, at=st.lists(st.integers(0, 10_000), max_size=12))
def test_messages_come_out_whole_at_any_boundaries_and_as_botocore_reads_them(
    said: list[tuple[dict[str, str], bytes]], at: list[int]
) -> None:
    stream = b"".join(message(headers, payload) for headers, payload in said)
    decoder, oracle, found = Decoder(), EventStreamBuffer(), []
    for piece in cut(stream, at):
        found += decoder.feed(piece)
        oracle.add_data(piece)
    assert [(dict(m.headers), m.payload) for m in found] == said
    assert [(m.headers, m.payload) for m in oracle] == said
    assert decoder.held_bytes == 0


@given(said=MESSAGES, at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_bit_is_never_read_as_a_message(said: list[tuple[dict[str, str], bytes]], at: int, bit: int) -> None:
    stream = bytearray(b"".join(message(headers, payload) for headers, payload in said))
    stream[at % len(stream)] ^= 1 << bit
    decoder, found = Decoder(), []
    with pytest.raises(Garbled):
        for place in range(len(stream)):
            found += decoder.feed(bytes(stream[place : place + 1]))
    assert [(dict(m.headers), m.payload) for m in found] == said[: len(found)]


def test_headers_of_other_types_are_stepped_over() -> None:
    headers = b"\x01a\x00" + b"\x01b\x02\x05" + b"\x01c\x05" + bytes(8) + b"\x01d\x06\x00\x02xy" + b"\x01e\x07\x00\x01z"
    start = struct.pack(">II", 16 + len(headers), len(headers))
    whole = start + struct.pack(">I", crc32(start)) + headers
    whole += struct.pack(">I", crc32(whole))
    assert Decoder().feed(whole)[0].headers == {"e": "z"}


@pytest.mark.parametrize(
    "headers", [b"\x01a\x0a", b"\x05ab", b"\x01a\x07\x00\x09z", b"\x01a\x05\x00", b"\x01\xff\x07\x00\x00"]
)
def test_headers_that_make_no_sense_are_noticed_though_the_checksum_holds(headers: bytes) -> None:
    start = struct.pack(">II", 16 + len(headers), len(headers))
    whole = start + struct.pack(">I", crc32(start)) + headers
    with pytest.raises(Garbled):
        Decoder().feed(whole + struct.pack(">I", crc32(whole)))


def test_a_length_that_cannot_be_is_noticed_before_the_bytes_are_awaited() -> None:
    start = struct.pack(">II", 1 << 30, 0)
    with pytest.raises(Garbled, match="cannot be"):
        Decoder().feed(start + struct.pack(">I", crc32(start)))
