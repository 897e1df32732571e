"""Every message of the protocol, byte by byte: what is written here is what workers of other versions understand."""

from __future__ import annotations

import pytest

from headgate_worker import protocol

SNAPSHOTS = [
    (
        "HELLO of a server",
        protocol.encode_json(protocol.HELLO, 0, {"version": 1, "role": "server"}),
        b'\x1d\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00{"version":1,"role":"server"}',
    ),
    (
        "HELLO of a worker",
        protocol.encode_json(protocol.HELLO, 0, {"version": 1, "replica": "r-1", "slots": 4, "window": 4}),
        b'\x32\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00{"version":1,"replica":"r-1","slots":4,"window":4}',
    ),
    (
        "REQUEST",
        protocol.encode_with_meta(
            protocol.REQUEST,
            258,
            b'{"content_type":"application/json","request_id":"x","deadline_ms":597000}',
            b'{"inputs":[1]}',
        ),
        b"\x5b\x00\x00\x00\x02\x00\x00\x00\x02\x01\x00\x00"
        b'\x49\x00\x00\x00{"content_type":"application/json","request_id":"x","deadline_ms":597000}{"inputs":[1]}',
    ),
    (
        "REPLY",
        protocol.encode_with_meta(
            protocol.REPLY,
            1,
            b'{"status":200,"content_type":"application/json","queue_us":12,"execute_us":345}',
            b'{"predictions":[1]}',
        ),
        b"\x66\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00"
        b'\x4f\x00\x00\x00{"status":200,"content_type":"application/json","queue_us":12,"execute_us":345}'
        b'{"predictions":[1]}',
    ),
    (
        "CHUNK",
        protocol.encode(protocol.CHUNK, 1, b'data: {"a":1}\n\n'),
        b'\x0f\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00data: {"a":1}\n\n',
    ),
    (
        "STREAM",
        protocol.encode(protocol.STREAM, 1, b'{"status":200}'),
        b'\x0e\x00\x00\x00\x05\x00\x00\x00\x01\x00\x00\x00{"status":200}',
    ),
    ("END", protocol.encode(protocol.END, 1), b"\x00\x00\x00\x00\x06\x00\x00\x00\x01\x00\x00\x00"),
    ("CANCEL", protocol.encode(protocol.CANCEL, 2**32 - 1), b"\x00\x00\x00\x00\x07\x00\x00\x00\xff\xff\xff\xff"),
    ("PING", protocol.encode(protocol.PING, 0), b"\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00"),
    (
        "PONG",
        protocol.encode_json(
            protocol.PONG, 0, {"executing": 1, "queued": 0, "stuck": 0, "served": 9, "rss_bytes": 4096}
        ),
        b"\x40\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00"
        b'{"executing":1,"queued":0,"stuck":0,"served":9,"rss_bytes":4096}',
    ),
    ("DRAIN", protocol.encode(protocol.DRAIN, 0), b"\x00\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00"),
    (
        "LOG",
        protocol.encode(protocol.LOG, 0, protocol.log_line("r-1", "stdout", "hello", 0.25).encode()),
        b"\x2a\x00\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x001970-01-01T00:00:00.250Z r-1 stdout hello\n",
    ),
]


@pytest.mark.parametrize(("name", "frame", "snapshot"), SNAPSHOTS, ids=[name for name, _, _ in SNAPSHOTS])
def test_a_message_is_these_bytes(name: str, frame: bytes, snapshot: bytes) -> None:
    assert frame == snapshot


def test_every_kind_has_a_snapshot() -> None:
    assert {frame[4] for _, frame, _ in SNAPSHOTS} == set(range(protocol.HELLO, protocol.LOG + 1))


@pytest.mark.parametrize("step", [1, 7, 12, 13, 1000])
def test_frames_are_found_again_however_the_bytes_arrive(step: int) -> None:
    stream = b"".join(frame for _, frame, _ in SNAPSHOTS)
    decoder = protocol.Decoder()
    pieces = (stream[start : start + step] for start in range(0, len(stream), step))
    frames = [frame for piece in pieces for frame in decoder.feed(piece)]
    assert [protocol.encode(*frame) for frame in frames] == [frame for _, frame, _ in SNAPSHOTS]


@pytest.mark.parametrize("step", [1, 7, 12, 15, 16, 17, 30, 100, 65_536, 1_000_000])
@pytest.mark.parametrize("size", [0, 10, 70_000, 300_000])
def test_meta_and_body_of_frames_of_any_size_come_apart_however_the_bytes_arrive(step: int, size: int) -> None:
    sent = [
        (protocol.REQUEST, 1, b'{"a":1}', b"\x01\x02" * (size // 2)),
        (protocol.CANCEL, 2, b"", b""),
        (protocol.REPLY, 3, b"{}" + b" " * size, b""),
        (protocol.CHUNK, 4, b"", b"x" * size),
    ]
    stream = b"".join(
        protocol.encode_with_meta(kind, number, meta, body) if meta else protocol.encode(kind, number, body)
        for kind, number, meta, body in sent * 2
    )
    step = max(step, len(stream) // 2000)
    decoder = protocol.Decoder()
    pieces = (stream[start : start + step] for start in range(0, len(stream), step))
    assert [frame for piece in pieces for frame in decoder.split(piece)] == sent * 2


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\xff\x00\x00\x00{}", b"\xff" * 100_000])
@pytest.mark.parametrize("step", [1000, 200_000])
def test_a_frame_whose_meta_cannot_be_found_has_none_and_the_next_one_is_read(payload: bytes, step: int) -> None:
    stream = protocol.encode(protocol.REQUEST, 7, payload) + protocol.encode(protocol.PING, 8)
    decoder = protocol.Decoder()
    pieces = (stream[start : start + step] for start in range(0, len(stream), step))
    frames = [frame for piece in pieces for frame in decoder.split(piece)]
    assert frames == [(protocol.REQUEST, 7, b"", payload), (protocol.PING, 8, b"", b"")]


def test_meta_and_body_come_apart_again() -> None:
    (frame,) = protocol.Decoder().feed(protocol.encode_with_meta(protocol.REQUEST, 1, b'{"a":1}', b"body"))
    assert protocol.split_meta(frame.payload) == ({"a": 1}, b"body")


@pytest.mark.parametrize(
    "payload", [b"", b"\x01", b"\xff\x00\x00\x00{}", b"\x02\x00\x00\x00{]", b"\x01\x00\x00\x00\xff"]
)
def test_malformed_meta_is_a_protocol_error(payload: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.split_meta(payload)


@pytest.mark.parametrize(
    "header",
    [protocol.HEADER.pack(protocol.MAX_PAYLOAD + 1, protocol.PING, 0, 0, 0), protocol.HEADER.pack(0, 99, 0, 0, 0)],
)
def test_an_impossible_header_is_a_protocol_error(header: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        list(protocol.Decoder().feed(header))


def test_a_record_of_several_lines_stays_one_record() -> None:
    assert protocol.log_line("r-1", "ERROR", "one\ntwo\n", 1.5) == "1970-01-01T00:00:01.500Z r-1 ERROR one\n    two\n"
