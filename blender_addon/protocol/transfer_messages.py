# SPDX-License-Identifier: Apache-2.0
"""Messages of the bulk channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .arrays import check_hash
from .errors import FieldError
from .fields import check_not_negative
from .limits import DEFAULT_LIMITS
from .records import BlobProgress, PreviewCodec

__all__ = ["BlobNeed", "BlobOk", "BlobPut", "BlobQuery", "Chunk", "Credit", "Get", "Preview"]


@dataclass(frozen=True, slots=True)
class Credit:
    """The receiver has room for so many more bytes of previews."""

    TYPE: ClassVar[str] = "CREDIT"
    bytes: int

    def __post_init__(self) -> None:
        check_not_negative("bytes", self.bytes)


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of one tile of one map as it is now; its bytes are the buffers, joined."""

    TYPE: ClassVar[str] = "PREVIEW"
    job: str
    seq: int
    step: int
    map: str
    tile: int
    width: int
    height: int
    channels: int
    codec: PreviewCodec = PreviewCodec.RAW_U8

    def __post_init__(self) -> None:
        for name in ("seq", "step", "tile", "width", "height", "channels"):
            check_not_negative(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class BlobQuery:
    """A question which of these blobs the server lacks."""

    TYPE: ClassVar[str] = "BLOB_QUERY"
    hashes: tuple[str, ...]

    def __post_init__(self) -> None:
        for index, value in enumerate(self.hashes):
            check_hash(f"hashes[{index}]", value)


@dataclass(frozen=True, slots=True)
class BlobNeed:
    """The answer to BLOB_QUERY."""

    TYPE: ClassVar[str] = "BLOB_NEED"
    missing: tuple[BlobProgress, ...] = ()


@dataclass(frozen=True, slots=True)
class BlobPut:
    """A piece of a blob of `size` bytes, from `offset`; the piece is the one buffer."""

    TYPE: ClassVar[str] = "BLOB_PUT"
    sha256: str
    size: int
    offset: int

    def __post_init__(self) -> None:
        check_hash("sha256", self.sha256)
        check_not_negative("offset", self.offset)
        if not 0 <= self.size <= DEFAULT_LIMITS.blob:
            raise FieldError("size", f"Got {self.size} bytes; expected 0 to {DEFAULT_LIMITS.blob}.")
        if self.offset > self.size:
            raise FieldError("offset", f"Got {self.offset}; expected at most the size, {self.size}.")


@dataclass(frozen=True, slots=True)
class BlobOk:
    """Answer to BLOB_PUT. window: bytes that the client may have under way, all blobs together."""

    TYPE: ClassVar[str] = "BLOB_OK"
    sha256: str
    received: int
    complete: bool
    window: int

    def __post_init__(self) -> None:
        check_hash("sha256", self.sha256)
        check_not_negative("received", self.received)
        check_not_negative("window", self.window)


@dataclass(frozen=True, slots=True)
class Get:
    """A piece of a blob, please. What is asked for and not answered yet is the client's window."""

    TYPE: ClassVar[str] = "GET"
    sha256: str
    offset: int
    length: int

    def __post_init__(self) -> None:
        check_hash("sha256", self.sha256)
        check_not_negative("offset", self.offset)
        if not 1 <= self.length <= DEFAULT_LIMITS.get:
            raise FieldError("length", f"Got {self.length}; expected 1 to {DEFAULT_LIMITS.get} bytes.")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Answer to GET: the piece is the one buffer; total: the blob's size."""

    TYPE: ClassVar[str] = "CHUNK"
    sha256: str
    offset: int
    total: int

    def __post_init__(self) -> None:
        check_hash("sha256", self.sha256)
        check_not_negative("offset", self.offset)
        check_not_negative("total", self.total)
