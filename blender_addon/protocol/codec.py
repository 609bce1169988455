# SPDX-License-Identifier: Apache-2.0
"""Messages to frames and back, without any socket.

Frames: MAGIC, header, then up to eight buffers. The header is a msgpack map:
`{v: [major, minor], t: type, id, re, sid, ep, body: map, bufs: [sizes]}`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]

from .errors import ErrorCode, FieldError, ProtocolError, Retry, WireError, invalid
from .limits import DEFAULT_LIMITS, MAX_VALUES, SMALL_HEADER, Limits
from .messages import LARGE_HEADERS, MESSAGES, Message, check_id
from .structure import from_wire, to_wire
from .version import HEADER_VERSION, MAGIC, PROTOCOL_MAJOR, PROTOCOL_MINOR

__all__ = ["Buffer", "Envelope", "decode", "encode", "peek_id", "peek_type", "request_id"]

Buffer = bytes | bytearray | memoryview
_packb: Callable[..., bytes] = msgpack.packb  # pyright: ignore
_NESTED = (dict, list)
_unpackb: Callable[..., Any] = msgpack.unpackb  # pyright: ignore
_Unpacker: Callable[..., Any] = msgpack.Unpacker  # pyright: ignore


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message on its way.

    Args:
        id: 32 hexadecimal digits, made by the sender; re: id of the request that this answers.
        session: the client's connection identity, from WELCOME; epoch: that of the server's run.
        buffers: raw bytes beside the message.
    """

    message: Message
    id: str
    re: str | None = None
    session: str | None = None
    epoch: str | None = None
    buffers: tuple[Buffer, ...] = ()

    def __post_init__(self) -> None:
        for name in ("id", "re", "session", "epoch"):
            check_id(name, getattr(self, name))


def request_id() -> str:
    """Returns a fresh id of 32 hexadecimal digits."""
    return secrets.token_hex(16)


def encode(envelope: Envelope, limits: Limits = DEFAULT_LIMITS) -> list[Buffer]:
    """Returns the frames of a message.

    Raises:
        ProtocolError: PROTO.TOO_LARGE: the receiver would refuse it; INPUT.INVALID: a value cannot be packed.
    """
    sizes = [_size(buffer) for buffer in envelope.buffers]
    header = {
        "v": list(HEADER_VERSION),
        "t": envelope.message.TYPE,
        "id": envelope.id,
        "re": envelope.re,
        "sid": envelope.session,
        "ep": envelope.epoch,
        "body": to_wire(envelope.message),
        "bufs": sizes,
    }
    try:
        packed = _packb(header, use_bin_type=True)
    except (ValueError, OverflowError, TypeError) as error:
        # Such as a text that is no valid Unicode, or a number of more than 64 bits.
        raise invalid("", f"The message cannot be packed: {error}.") from error
    _check_sizes(len(packed), sizes, limits)
    return [MAGIC, packed, *envelope.buffers]


def decode(frames: Sequence[Buffer], limits: Limits = DEFAULT_LIMITS, *, of_client: bool = False) -> Envelope:
    """Returns the message in `frames`, which may be anything.

    Args:
        of_client: it is a client's: most of theirs are small, and larger headers are refused before they are unpacked.

    Raises:
        ProtocolError: and nothing else, whatever the bytes are; `re` of it is the message's id where that can be read.
    """
    try:
        return _decode(frames, limits, of_client)
    except ProtocolError as error:
        error.re = error.re or peek_id(frames, limits)
        raise


def _decode(frames: Sequence[Buffer], limits: Limits, of_client: bool) -> Envelope:
    if not 2 <= len(frames) <= limits.frames:
        raise _bad(f"Got {len(frames)} frames; expected 2 to {limits.frames}.")
    if bytes(frames[0][: len(MAGIC) + 1]) != MAGIC:
        raise _bad(f"The first frame is not {MAGIC.decode()}; expected a peer of this protocol.")
    buffers = tuple(frames[2:])
    sizes = [_size(buffer) for buffer in buffers]
    _check_sizes(_size(frames[1]), sizes, limits)
    if of_client and _size(frames[1]) > SMALL_HEADER:
        _check_type(frames[1])
    header = _header(frames[1], limits)
    try:
        return _message(header, buffers, sizes)
    except ProtocolError as error:
        error.re = _readable_id(header)
        raise


def _readable_id(header: Mapping[str, Any]) -> str | None:
    try:
        return _id(header, "id")
    except ProtocolError:
        return None


def _message(header: Mapping[str, Any], buffers: tuple[Buffer, ...], sizes: list[int]) -> Envelope:
    _check_version(header)
    name = header.get("t")
    message_type = MESSAGES.get(name) if isinstance(name, str) else None
    if message_type is None:
        raise _unknown(str(name))
    stated = header.get("bufs", [])
    if stated != sizes or not all(type(size) is int for size in cast("list[object]", stated)):
        raise _bad("The sizes of the buffers are not those that the header states.", "bufs")
    ids = [_id(header, key) for key in ("id", "re", "sid", "ep")]
    message = from_wire(message_type, header.get("body", {}))
    return Envelope(message, ids[0] or "", ids[1], ids[2], ids[3], buffers)


def _unknown(name: str) -> ProtocolError:
    text = f"Got a message of type {name[:40]!r}, which this version does not know."
    return ProtocolError(WireError(ErrorCode.PROTO_UNKNOWN_TYPE, Retry.NEVER, text, field="t"))


def _check_type(frame: Buffer) -> None:
    """Refuse a large header of a type that has none, without unpacking it."""
    name = _peek(frame)[1]
    message_type = MESSAGES.get(name) if name is not None else None
    most = LARGE_HEADERS.get(message_type, SMALL_HEADER) if message_type is not None else SMALL_HEADER
    if _size(frame) > most:
        text = f"The header of {(name or 'the message')[:40]} has {_size(frame)} bytes; at most {most} are allowed."
        raise ProtocolError(WireError(ErrorCode.PROTO_TOO_LARGE, Retry.CHANGED, text))


def peek_id(frames: Sequence[Buffer], limits: Limits = DEFAULT_LIMITS) -> str | None:
    """Returns the id in a header that was not decoded, so that an ERROR can name it; None where there is none. What is
    beside it is passed over without being unpacked.
    """
    if not 2 <= len(frames) <= limits.frames or _size(frames[1]) > limits.header:
        return None
    return _readable_id({"id": _peek(frames[1])[0]})


def peek_type(frames: Sequence[Buffer], limits: Limits = DEFAULT_LIMITS) -> str | None:
    """Returns the name of a message's type in a header that was not decoded; None where there is none to be read."""
    if not 2 <= len(frames) <= limits.frames or _size(frames[1]) > limits.header:
        return None
    return _peek(frames[1])[1]


def _peek(frame: Buffer) -> tuple[str | None, str | None]:
    """Id and type in a header, as far as they are texts and can be reached."""
    found: dict[str, str] = {}
    # What is unpacked here should be texts.
    unpacker = _Unpacker(raw=False, max_array_len=16, max_map_len=16, max_ext_len=0, max_buffer_size=_size(frame))
    try:
        unpacker.feed(bytes(frame))
        for _ in range(min(unpacker.read_map_header(), DEFAULT_LIMITS.map_len)):
            key = unpacker.unpack()
            if key in ("id", "t"):
                value = unpacker.unpack()
                if isinstance(value, str):
                    found[key] = value
            else:
                unpacker.skip()
    except (ValueError, TypeError, RecursionError, OverflowError, MemoryError, msgpack.UnpackException):
        return found.get("id"), found.get("t")
    return found.get("id"), found.get("t")


def _bad(text: str, field: str | None = None) -> ProtocolError:
    return ProtocolError(WireError(ErrorCode.PROTO_BAD_FRAME, Retry.NEVER, text, field=field))


def _size(buffer: Buffer) -> int:
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)


def _check_sizes(header: int, buffers: list[int], limits: Limits) -> None:
    if header > limits.header:
        text = f"The header has {header} bytes; at most {limits.header} are allowed."
    elif len(buffers) + 2 > limits.frames:
        text = f"The message has {len(buffers)} buffers; at most {limits.frames - 2} are allowed."
    elif any(size > limits.bulk_frame for size in buffers):
        text = f"A buffer has {max(buffers)} bytes; at most {limits.bulk_frame} are allowed."
    else:
        return
    raise ProtocolError(WireError(ErrorCode.PROTO_TOO_LARGE, Retry.CHANGED, text))


def _refuse_extension(code: int, data: bytes) -> None:
    raise ValueError(f"extension type {code}")


def _header(frame: Buffer, limits: Limits) -> Mapping[str, Any]:
    if _size(frame) > limits.header:
        raise ProtocolError(WireError(ErrorCode.PROTO_TOO_LARGE, Retry.CHANGED, "The header is too large."))
    count = _Count(MAX_VALUES)
    try:
        header = _unpackb(
            bytes(frame),
            raw=False,
            strict_map_key=True,
            ext_hook=_refuse_extension,
            timestamp=0,
            list_hook=count.of_list,
            object_hook=count.of_map,
            max_array_len=limits.array_len,
            max_map_len=limits.map_len,
            max_ext_len=0,
        )
    except (ValueError, TypeError, RecursionError, OverflowError, MemoryError, msgpack.UnpackException) as error:
        raise _bad("The header is not msgpack within this protocol's limits.") from error
    if not isinstance(header, dict):
        raise _bad("The header is not a map.")
    if not _shallow(cast(object, header), limits.depth):
        raise _bad(f"The header is nested deeper than {limits.depth} levels.")
    return cast("Mapping[str, Any]", header)


def _shallow(value: object, depth: int) -> bool:
    """Whether `value` has at most `depth` levels of maps and lists; not recursive."""
    level: list[object] = [value]
    for _ in range(depth):
        level = [inner for item in level for inner in _entries(item) if type(inner) in _NESTED]
        if not level:
            return True
    return False


def _entries(item: object) -> Iterable[object]:
    return cast("dict[object, object]", item).values() if isinstance(item, dict) else cast("list[object]", item)


class _Count:
    """Counts the values of a header while it is unpacked, which ends when there are too many."""

    def __init__(self, most: int) -> None:
        self._left = most

    def of_list(self, values: list[object]) -> list[object]:
        self._left -= len(values)
        if self._left < 0:
            raise ValueError("too many values")
        return values

    def of_map(self, values: dict[str, object]) -> dict[str, object]:
        self._left -= len(values)
        if self._left < 0:
            raise ValueError("too many values")
        return values


def _check_version(header: Mapping[str, Any]) -> None:
    version = header.get("v")
    if not isinstance(version, list) or len(cast("list[object]", version)) != 2:
        raise _bad("The header has no version.", "v")
    major, minor = cast("list[object]", version)
    if type(major) is not int or type(minor) is not int or minor < 0:
        raise _bad("The header's version is not two whole numbers.", "v")
    if major != PROTOCOL_MAJOR:
        text = f"Got protocol version {major}; this side speaks {PROTOCOL_MAJOR}.{PROTOCOL_MINOR}."
        hint = "Bring the add-on and the server to the same version."
        raise ProtocolError(WireError(ErrorCode.PROTO_VERSION, Retry.CHANGED, text, field="v", hint=hint))


def _id(header: Mapping[str, Any], name: str) -> str | None:
    value = header.get(name)
    if value is None and name != "id":
        return None
    if not isinstance(value, str):
        raise _bad("Expected an id of 32 lower-case hexadecimal digits.", name)
    try:
        check_id(name, value)
    except FieldError as error:
        raise _bad(error.text, name) from error
    return value
