# SPDX-License-Identifier: Apache-2.0
"""The two index codecs of EXT_meshopt_compression (modes 1 and 2 of the extension's appendix A)."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt32

__all__ = ["decode_indices", "decode_triangles"]

_MASK = 0xFFFFFFFF


@dataclass(slots=True)
class _Reader:
    """Bytes read one after another, up to `end`."""

    data: bytes
    offset: int
    end: int
    last: int = 0

    def byte(self) -> int:
        """Reads one byte. Raises `ValueError` where there is none left."""
        if self.offset >= self.end:
            raise ValueError("they end too soon")
        self.offset += 1
        return self.data[self.offset - 1]

    def varint(self) -> int:
        """Reads an unsigned LEB128 of at most 32 bits."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value & _MASK
        raise ValueError("an index of more than 32 bits")

    def index(self) -> int:
        """Reads an index, which is stored as its difference from the one that was read before."""
        value = self.varint()
        self.last = (self.last + (-1 - (value >> 1) if value & 1 else value >> 1)) & _MASK
        return self.last


@dataclass(slots=True)
class _Recent:
    """The triangle codec's memory: the sixteen last edges and vertices, and the next vertex that was never used."""

    edges: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * 16)
    vertices: list[int] = field(default_factory=lambda: [0] * 16)
    edge_count: int = 0
    vertex_count: int = 0
    next: int = 0

    def push_edge(self, first: int, second: int) -> None:
        """Remembers an edge in place of the oldest of the last 16."""
        self.edges[self.edge_count & 15] = (first, second)
        self.edge_count += 1

    def push_vertex(self, vertex: int) -> None:
        """Remembers a vertex in place of the oldest of the last 16."""
        self.vertices[self.vertex_count & 15] = vertex
        self.vertex_count += 1

    def edge(self, age: int) -> tuple[int, int]:
        """Returns the edge that came `age` edges before the newest."""
        return self.edges[(self.edge_count - 1 - age) & 15]

    def vertex(self, age: int) -> int:
        """Returns the vertex that came `age` vertices before the newest."""
        return self.vertices[(self.vertex_count - 1 - age) & 15]

    def new(self) -> int:
        """Returns the next vertex that no triangle has used yet."""
        self.next += 1
        return self.next - 1


def decode_triangles(data: bytes, count: int) -> UInt32[np.ndarray, " N"]:
    """Decodes mode 1: `count` indices of a list of triangles. Raises `ValueError` where the bytes do not fit."""
    if data[:1] != b"\xe1" or count % 3:
        raise ValueError("not version 1 of the triangle codec, or no whole triangles")
    total = count // 3
    if len(data) < 1 + total + 16:
        raise ValueError("they end too soon")
    table = data[len(data) - 16 :]
    reader, recent = _Reader(data, 1 + total, len(data) - 16), _Recent()
    found: list[int] = []
    for code in data[1 : 1 + total]:
        if code < 0xF0:
            found += _beside_an_edge(code, reader, recent)
        else:
            found += _apart(code, table, reader, recent)
    return (np.array(found, np.int64) & _MASK).astype(np.uint32)


def _beside_an_edge(code: int, reader: _Reader, recent: _Recent) -> tuple[int, int, int]:
    """A triangle at a recent edge, with its third corner new, recent, near the last or by itself."""
    (a, b), kind = recent.edge(code >> 4), code & 15
    if kind == 0:
        c = recent.new()
    elif kind < 13:
        c = recent.vertex(kind)
    elif kind < 15:
        c = reader.last = (reader.last + (1 if kind == 14 else -1)) & _MASK
    else:
        c = reader.index()
    recent.push_edge(c, b)
    recent.push_edge(a, c)
    if not 0 < kind < 13:
        recent.push_vertex(c)
    return a, b, c


def _apart(code: int, table: bytes, reader: _Reader, recent: _Recent) -> tuple[int, int, int]:
    """A triangle at no recent edge: its corners by the table, or by a byte of its own."""
    kinds = table[code & 15] if code < 0xFE else reader.byte()
    if code >= 0xFE and kinds == 0:
        recent.next = 0
    a = reader.index() if code == 0xFF else recent.new()
    second, third = kinds >> 4, kinds & 15
    explicit = code >= 0xFE
    b = _corner(second, explicit, reader, recent)
    c = _corner(third, explicit, reader, recent)
    recent.push_edge(b, a)
    recent.push_edge(c, b)
    recent.push_edge(a, c)
    recent.push_vertex(a)
    for kind, vertex in ((second, b), (third, c)):
        if kind == 0 or (explicit and kind == 15):
            recent.push_vertex(vertex)
    return a, b, c


def _corner(kind: int, explicit: bool, reader: _Reader, recent: _Recent) -> int:
    if kind == 0:
        return recent.new()
    if explicit and kind == 15:
        return reader.index()
    return recent.vertex(kind - 1)


def decode_indices(data: bytes, count: int) -> UInt32[np.ndarray, " N"]:
    """Decodes mode 2: `count` indices of any kind. Raises `ValueError` where the bytes do not fit."""
    if data[:1] != b"\xd1" or len(data) < 5:
        raise ValueError("not version 1 of the index codec")
    reader = _Reader(data, 1, len(data) - 4)
    last = [0, 0]
    found = np.empty(count, np.uint32)
    for number in range(count):
        value = reader.varint()
        step = -1 - (value >> 2) if value & 2 else value >> 2
        last[value & 1] = (last[value & 1] + step) & _MASK
        found[number] = last[value & 1]
    return found
