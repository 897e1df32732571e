from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.records import record

from headgate.domain.request_record import MAX_RESPONSE_SIZE_EXCEEDED, RequestRecord
from headgate.warehouse.spool import frames


def framed(*records: RequestRecord) -> bytes:
    return b"".join(piece for item in records for piece in frames.encoded(item))


RECORDS = (
    record("r1"),
    record("r2", request=None, response=b"", usage=None, inference_table=None, attempts=(), guardrails=()),
    record("r3", request=b"HGR1" * 3, response=framed(record("inside")), status=429, error_codes=("X",)),
)


def test_records_come_back_as_they_were() -> None:
    damage = frames.Damage()
    assert tuple(frames.decoded(framed(*RECORDS), damage)) == RECORDS
    assert damage == frames.Damage()


@given(st.integers(0, len(framed(*RECORDS))))
def test_of_a_torn_segment_every_whole_record_is_read_and_nothing_else(end: int) -> None:
    content = framed(*RECORDS)[:end]
    whole = [len(framed(*RECORDS[:count])) <= end for count in (1, 2, 3)].count(True)
    found = list(frames.decoded(content))
    # A body that holds a frame of its own may be found in what is left of the last one: it is not ours to tell them apart.
    assert tuple(item for item in found if item.request_id != "inside") == RECORDS[:whole]


@given(st.integers(0, len(framed(*RECORDS)) - 1), st.integers(1, 255))
def test_a_changed_byte_costs_one_record_only(at: int, change: int) -> None:
    content = bytearray(framed(*RECORDS))
    content[at] ^= change
    hit = [at < len(framed(*RECORDS[:count])) for count in (1, 2, 3)].index(True)
    damage = frames.Damage()
    found = [item for item in frames.decoded(bytes(content), damage) if item.request_id != "inside"]
    assert tuple(found) == RECORDS[:hit] + RECORDS[hit + 1 :]
    assert damage.places or damage.torn_bytes


def test_fields_of_a_newer_or_older_writer_are_no_trouble() -> None:
    head, told, request, response = frames.encoded(record("r1"))
    other = orjson.dumps({name: value for name, value in orjson.loads(told).items() if name != "tags"} | {"newer": 1})
    lengths = struct.pack(">I", len(other)) + head[12:]
    checksum = zlib.crc32(lengths + other + request + response)
    (found,) = frames.decoded(head[:4] + struct.pack(">I", checksum) + lengths + other + request + response)
    assert found == replace(record("r1"), tags={})


def test_bodies_nobody_keeps_are_left_out() -> None:
    kept = record("r1")
    assert frames.capped(kept, 1000) is kept
    unkept = replace(kept, inference_table=None, task=None)
    assert (frames.capped(unkept, 1000).request, frames.capped(unkept, 1000).response) == (None, None)
    counted = replace(kept, inference_table=None)
    assert frames.capped(counted, 1000).request is not None  # its characters are counted later
    large = frames.capped(replace(kept, response=b"x" * 1001, error_codes=(MAX_RESPONSE_SIZE_EXCEEDED,)), 1000)
    assert large.error_codes == (MAX_RESPONSE_SIZE_EXCEEDED,)
