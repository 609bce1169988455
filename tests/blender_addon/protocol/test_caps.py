# SPDX-License-Identifier: Apache-2.0
"""What is no message is refused with a typed error, before it costs memory."""

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime

import msgpack
import pytest

from blender_addon.protocol import codec
from blender_addon.protocol.codec import Envelope, decode, encode, peek_id
from blender_addon.protocol.errors import ErrorCode, ProtocolError
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.messages import BlobQuery, Ping, Submit
from blender_addon.protocol.version import MAGIC, PROTOCOL_MAJOR, PROTOCOL_MINOR
from tests.blender_addon.protocol import samples
from tests.blender_addon.protocol.frames import frames_of, header, refused, submit

BAD, LARGE = ErrorCode.PROTO_BAD_FRAME, ErrorCode.PROTO_TOO_LARGE
GOOD = frames_of(header())


def test_the_good_one_is_good():
    assert decode(GOOD).message == Ping(1)


@pytest.mark.parametrize("frames", [[], [MAGIC], [*GOOD, *[b""] * 9]])
def test_number_of_frames(frames):
    refused(frames, BAD, text=f"{len(frames)} frames; expected 2 to 10")
    assert peek_id(frames) is None


@pytest.mark.parametrize("magic", [b"", b"TXP", b"TXP2", b"TXP1 ", b"GET / HTTP/1.1", b"TXP1" * (1 << 18)])
def test_first_frame(magic):
    refused([magic, GOOD[1]], BAD, text="TXP1")


def test_large_header_is_not_even_parsed():
    refused([MAGIC, b"\x80" * (DEFAULT_LIMITS.header + 1)], LARGE, text="header has")
    assert peek_id([MAGIC, b"\x80" * (DEFAULT_LIMITS.header + 1)]) is None
    small = replace(DEFAULT_LIMITS, header=16)
    refused(GOOD, LARGE, limits=small)


def _wide(name, lists=44):
    return header(name, body={"n": 1, "x": [[None] * 4000 for _ in range(lists)]})


@pytest.mark.parametrize("name", ["PING", "GET", "HELLO", "NOPE", ["SUBMIT"]])
def test_a_large_header_of_a_small_message_is_refused_before_it_is_unpacked(name, monkeypatch):
    """320 PINGs of 180 KiB with unknown fields delayed another client's by seconds."""
    frames = frames_of(_wide(name))
    monkeypatch.setattr(codec, "_header", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(ProtocolError) as caught:
        decode(frames, of_client=True)
    assert caught.value.error.code is ErrorCode.PROTO_TOO_LARGE
    assert caught.value.re == samples.ID


def test_a_server_may_send_large_headers_of_any_type():
    assert decode(frames_of(header(body={"n": 1, "x": ["x" * 100_000]}))).message == Ping(1)


def test_too_many_values_are_refused_while_they_are_unpacked():
    refused(frames_of(_wide("SUBMIT", lists=9)), BAD, text="limits")
    assert decode(frames_of(_wide("PING", lists=8))).message == Ping(1)


def test_a_bad_message_is_unpacked_once(monkeypatch):
    unpacked = []
    monkeypatch.setattr(codec, "_unpackb", lambda *a, real=codec._unpackb, **k: unpacked.append(1) or real(*a, **k))
    with pytest.raises(ProtocolError) as caught:
        decode(frames_of(header("SUBMIT")), of_client=True)
    assert caught.value.re == samples.ID
    assert unpacked == [1]


def test_large_buffers():
    refused(frames_of(header(bufs=[(1 << 20) + 1]), bytes((1 << 20) + 1)), LARGE, text="buffer has 1048577 bytes")
    control = replace(DEFAULT_LIMITS, bulk_frame=DEFAULT_LIMITS.ctl_frame)
    refused(frames_of(header(bufs=[262145]), bytes(262145)), LARGE, limits=control)
    assert decode(frames_of(header(bufs=[1 << 20]), bytes(1 << 20))).buffers == (bytes(1 << 20),)


@pytest.mark.parametrize("stated", [[], [2], [3, 3], [True, 3], [3.0], "3", None, {}, 3])
def test_sizes_of_buffers_must_be_those_stated(stated):
    refused(frames_of(header(bufs=stated), b"abc"), BAD, "bufs")


def test_sizes_are_whole_numbers():
    refused(frames_of(header(bufs=[True]), b"a"), BAD, "bufs")
    refused(frames_of(header(bufs=[1.0]), b"a"), BAD, "bufs")
    without = header()
    del without["bufs"]
    assert decode(frames_of(without)).buffers == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        b"\x80\x80",
        b"\xdc",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\x00\x01\x00\x00",
        b"\xa1\xff",
        b"\x81\xa1v\xd9",
        b"\x81\x01\x01",
        b"\x81\x80\x01",
        b"\x91" * 2000 + b"\xc0",
        b"\x81\xa1a" * 2000 + b"\xc0",
    ],
)
def test_what_is_no_msgpack_map_within_limits(raw):
    refused(frames_of(raw), BAD)


@pytest.mark.parametrize("value", [[], "PING", 1, None, b"", 1.5, True])
def test_header_must_be_a_map(value):
    refused(frames_of(msgpack.packb(value)), BAD, text="not a map")


def nested(levels, inner=1):
    for _ in range(levels):
        inner = [inner]
    return inner


def test_depth():
    # The header is a level, its body another.
    assert decode(frames_of(header(extra=nested(15)))).message == Ping(1)
    refused(frames_of(header(extra=nested(16))), BAD, text="deeper than 16")
    refused(frames_of(header(body={"n": {"a": nested(600)}})), BAD)


def test_bombs_of_lists_and_maps():
    assert decode(frames_of(header(extra=[0] * 4096))).message == Ping(1)
    refused(frames_of(header(extra=[0] * 4097)), BAD, text="limits")
    assert decode(frames_of(header(extra={str(n): 0 for n in range(256)}))).message == Ping(1)
    refused(frames_of(header(extra={str(n): 0 for n in range(257)})), BAD, text="limits")


def test_a_bomb_of_empty_maps_costs_little():
    # Eight MiB of these made 592 MiB with msgpack's own limits.
    bomb = b"\xdc\x0f\xff" + (b"\xdc\x00\x2d" + b"\x80" * 45) * 4095
    bomb = bomb[: DEFAULT_LIMITS.header]
    tracemalloc.start()
    try:
        refused(frames_of(bomb), BAD)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20


@pytest.mark.parametrize(
    "value",
    [
        msgpack.ExtType(1, b"x"),
        msgpack.ExtType(5, b""),
        msgpack.ExtType(127, bytes(64)),
        msgpack.Timestamp(0, 0),
        msgpack.Timestamp(1 << 40, 5),
    ],
)
def test_extension_types_and_timestamps(value):
    refused(frames_of(header(body={"n": value})), BAD)


def test_dates():
    packed = msgpack.packb(header(extra=datetime(2020, 1, 1, tzinfo=UTC)), datetime=True)
    refused(frames_of(packed), BAD)


@pytest.mark.parametrize("key", [1, None, 1.5, True, b"\xff"])
def test_keys_that_are_no_text(key):
    packed = msgpack.packb(header(body={"n": 1, "x": {key: 1}}))
    if isinstance(key, bytes):
        assert decode(frames_of(packed)).message == Ping(1)  # Unknown, and so ignored; known fields are texts.
        bad = submit(("spec", "prompt", "per_view"), {key: "moss"})
        refused(bad, ErrorCode.INPUT_INVALID, "prompt.per_view", "expected a text")
    else:
        refused(frames_of(packed), BAD)


@pytest.mark.parametrize("name", ["id", "re", "sid", "ep"])
@pytest.mark.parametrize("value", ["", "1" * 31, "1" * 33, "G" * 32, "A" * 32, 1, b"1" * 32, ["1" * 32], "１" * 32])
def test_ids(name, value):
    refused(frames_of(header(**{name: value})), BAD, name)


def test_an_id_must_be_there():
    refused(frames_of(header(id=None)), BAD, "id")
    without = header()
    del without["id"]
    refused(frames_of(without), BAD, "id")
    assert peek_id(frames_of(without)) is None


@pytest.mark.parametrize("version", [None, 1, [], [1], [1, 0, 0], ["1", 0], [1.0, 0], [True, 0], [1, None], [1, -1]])
def test_versions_that_are_none(version):
    refused(frames_of(header(v=version)), BAD, "v")


@pytest.mark.parametrize("major", [0, 2, -1, 1 << 62])
def test_another_major_version(major):
    refused(frames_of(header(v=[major, 0])), ErrorCode.PROTO_VERSION, "v", f"speaks {PROTOCOL_MAJOR}.{PROTOCOL_MINOR}")
    assert peek_id(frames_of(header(v=[major, 0]))) == samples.ID


def test_a_later_minor_version_is_understood():
    head = header("PING", {"n": 1, "later": [1]}, v=[1, 7], colour="red")
    assert decode(frames_of(head)).message == Ping(1)


@pytest.mark.parametrize("name", ["", "NOPE", "ping", None, 1, ["PING"], {"a": 1}, "X" * 9000])
def test_unknown_types(name):
    refused(frames_of(header(name)), ErrorCode.PROTO_UNKNOWN_TYPE, "t")
    assert peek_id(frames_of(header(name))) == samples.ID


def test_encode_refuses_what_the_other_side_would_refuse():
    many = BlobQuery(tuple(f"{n:064x}" for n in range(3500)))
    with pytest.raises(ProtocolError, match="header has"):
        encode(samples.envelope(many))
    with pytest.raises(ProtocolError, match="9 buffers"):
        encode(samples.envelope(Ping(1), (b"",) * 9))
    with pytest.raises(ProtocolError, match="1048577 bytes"):
        encode(samples.envelope(Ping(1), (bytes(1048577),)))
    with pytest.raises(ProtocolError, match="cannot be packed"):
        encode(samples.envelope(Ping(1 << 70)))
    with pytest.raises(ProtocolError, match="cannot be packed"):
        encode(Envelope(replace(samples.MESSAGES[0][0], client="\ud800"), samples.ID))


def test_the_largest_job_fits():
    identity = samples.spec().cameras.cameras[0]
    camera = replace(identity, world_to_camera=tuple(0.1 + n for n in range(16)))
    spec = samples.spec(
        meshes=tuple(samples.mesh() for _ in range(64)), cameras=type(samples.spec().cameras)(cameras=(camera,) * 256)
    )
    submit = samples.envelope(Submit(samples.KEY, spec))
    assert decode(encode(submit)) == submit
