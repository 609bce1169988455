# SPDX-License-Identifier: Apache-2.0
"""The body of a PLY file to arrays: one column a property.

Text is read as the row of numbers that it is, so that one walk serves text and binary. Nothing is allocated that the
file's own bytes do not pay for, whatever its header says.
"""

import re
import struct
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int

from pgc.errors import MeshError
from pgc.mesh.checks import MAX_TRIANGLES
from pgc.mesh.formats.ply_header import PlyElement, PlyHeader, PlyProperty
from pgc.mesh.tolerance import Notes

__all__ = ["PlyColumns", "PlyList", "read_body"]

_ODD_TEXT = re.compile(rb"[^0-9eE+\-.\s]")
_LONGEST_LINE = 1 << 24
"""Bytes of one line of text; no face has so many corners."""
_MOST_UNEVEN_ROWS = 10 * MAX_TRIANGLES
_SURFACE = ("vertex", "face", "tristrips")


@dataclass(frozen=True, slots=True, eq=False)
class PlyList:
    """A list property: how long each row's list is, and all values one after another."""

    sizes: Int[np.ndarray, " N"]
    values: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class PlyColumns:
    """One element's properties by name; the first of several with one name."""

    single: dict[str, np.ndarray] = field(default_factory=dict)
    lists: dict[str, PlyList] = field(default_factory=dict)
    unreadable: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    """[N], rows of a text file that could not be read: their lists are empty, their values NaN."""


def read_body(source: str, header: PlyHeader, data: bytes, notes: Notes) -> dict[str, PlyColumns]:
    """Reads all elements up to the last that makes surface. Raises `MeshError` where the file ends too early."""
    last = max((at for at, element in enumerate(header.elements) if element.name in _SURFACE), default=-1)
    elements = [element for element in header.elements[: last + 1] if element.properties]
    count = sum(element.count for element in elements if element.name == "face")
    if count > MAX_TRIANGLES and count <= len(data):
        raise MeshError(
            f"{source}: the mesh has {count:,} faces, at most {MAX_TRIANGLES:,} triangles can be textured; "
            "reduce it (Blender: Decimate modifier) or split it into parts."
        )
    if header.encoding != "ascii":
        return _walk(source, elements, _Binary(data, header.body, header.encoding))
    body = data[header.body :]
    numbers = _all_numbers(body)
    if numbers is not None:
        # As many numbers as the header says, or the walk would read one row's rest as the next row.
        stream = _Binary(numbers.tobytes(), 0, None)
        result = _try_walk(source, elements, stream)
        if result is not None and (last + 1 < len(header.elements) or stream.offset == len(stream.data)):
            return result
    return _by_lines(source, elements, body, notes)


@dataclass(slots=True)
class _Binary:
    """A place in bytes. `order` is the byte order, or None where every number is a float64 of this machine."""

    data: bytes
    offset: int
    order: str | None

    def dtype(self, name: str) -> np.dtype[Any]:
        """Returns the dtype that a number of the type `name` has in these bytes."""
        return np.dtype("f8") if self.order is None else np.dtype(self.order + name)


def _try_walk(source: str, elements: list[PlyElement], stream: _Binary) -> dict[str, PlyColumns] | None:
    try:
        return _walk(source, elements, stream)
    except MeshError:
        return None


def _walk(source: str, elements: list[PlyElement], stream: _Binary) -> dict[str, PlyColumns]:
    result: dict[str, PlyColumns] = {}
    for element in elements:
        columns = _read_element(source, element, stream)
        result.setdefault(element.name, columns)
    return result


def _read_element(source: str, element: PlyElement, stream: _Binary) -> PlyColumns:
    """One element: at once where all its lists have the lengths of the first row, row by row otherwise."""
    sizes = [stream.dtype(item.count_dtype or item.dtype).itemsize for item in element.properties]
    least = sum(sizes)
    if least * element.count > len(stream.data) - stream.offset:
        raise _cut_off(source, element, (len(stream.data) - stream.offset) // least)
    if element.count == 0:
        none = np.zeros(0, np.int32)
        return _columns(element, [(none, none)] * len(sizes))
    columns = _uniform(element, stream)
    return _row_by_row(source, element, stream) if columns is None else columns


def _cut_off(source: str, element: PlyElement, found: int) -> MeshError:
    return MeshError(
        f"{source}: the PLY says {element.count:,} rows of {element.name!r} but has at most {found:,}; "
        "the file is damaged or cut off: export it again."
    )


def _columns(element: PlyElement, parts: list[tuple[np.ndarray, np.ndarray]]) -> PlyColumns:
    """From list lengths and values of each property."""
    columns = PlyColumns(unreadable=np.zeros(element.count, bool))
    for item, (sizes, values) in zip(element.properties, parts, strict=True):
        if item.count_dtype is None:
            columns.single.setdefault(item.name, values)
        else:
            columns.lists.setdefault(item.name, PlyList(sizes, values))
    return columns


def _uniform(element: PlyElement, stream: _Binary) -> PlyColumns | None:
    """All rows at once, or None where lists have lengths other than those of the first row."""
    lengths: list[int] = []
    fields: list[tuple[Any, ...]] = []
    end = stream.offset
    for number, item in enumerate(element.properties):
        length = 1
        if item.count_dtype is not None:
            kind = stream.dtype(item.count_dtype)
            if end + kind.itemsize > len(stream.data):
                return None
            first = np.frombuffer(stream.data, kind, 1, end)[0]
            if not 0 <= first <= len(stream.data):
                return None
            length = int(first)
            fields.append((f"count {number}", kind))
            end += kind.itemsize
        kind = stream.dtype(item.dtype)
        fields.append((f"value {number}", kind, (length,)))
        end += length * kind.itemsize
        lengths.append(length)
    itemsize = end - stream.offset
    if itemsize * element.count > len(stream.data) - stream.offset or itemsize >= 2**31:
        return None
    rows = np.frombuffer(stream.data, np.dtype(fields), element.count, stream.offset)
    for number, item in enumerate(element.properties):
        if item.count_dtype is not None and not (rows[f"count {number}"] == lengths[number]).all():
            return None
    stream.offset = end + itemsize * (element.count - 1)
    return _columns(
        element,
        [
            (np.full(element.count, length, np.int32), rows[f"value {number}"].reshape(-1))
            for number, length in enumerate(lengths)
        ],
    )


def _row_by_row(source: str, element: PlyElement, stream: _Binary) -> PlyColumns:
    """Finds where each list begins, one after the other; then all values of a property at once."""
    if element.count > _MOST_UNEVEN_ROWS:
        raise MeshError(
            f"{source}: the PLY has {element.count:,} rows of {element.name!r} with lists of several lengths, expected "
            f"at most {_MOST_UNEVEN_ROWS:,}; export the mesh alone, or split it into parts."
        )
    data, offset, limit = stream.data, stream.offset, len(stream.data)
    kinds = [(_counter(stream, item), stream.dtype(item.dtype)) for item in element.properties]
    starts: list[list[int]] = [[] for _ in kinds]
    counts: list[list[int]] = [[] for _ in kinds]
    for row in range(element.count):
        for (counter, kind), begin, count in zip(kinds, starts, counts, strict=True):
            length = 1
            if counter is not None:
                if offset + counter.size > limit:
                    raise _cut_off(source, element, row)
                (counted,) = counter.unpack_from(data, offset)
                offset += counter.size
                if not 0 <= counted <= limit:
                    raise _cut_off(source, element, row)
                length = int(counted)
            begin.append(offset)
            count.append(length)
            offset += length * kind.itemsize
            if offset > limit:
                raise _cut_off(source, element, row)
    stream.offset = offset
    parts = []
    for (_, kind), begin, count in zip(kinds, starts, counts, strict=True):
        sizes = np.array(count, dtype=np.int64)
        parts.append((sizes.astype(np.int32), _gathered(data, kind, np.array(begin, dtype=np.int64), sizes)))
    return _columns(element, parts)


def _counter(stream: _Binary, item: PlyProperty) -> struct.Struct | None:
    if item.count_dtype is None:
        return None
    kind = stream.dtype(item.count_dtype)
    return struct.Struct((stream.order or "=") + kind.char)


def _gathered(
    data: bytes, kind: np.dtype[Any], starts: Int[np.ndarray, " N"], sizes: Int[np.ndarray, " N"]
) -> np.ndarray:
    """Values of lists that begin at some bytes, one after another."""
    total = int(sizes.sum())
    within = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    at = np.repeat(starts, sizes) + within * kind.itemsize
    raw = np.frombuffer(data, np.uint8)
    return raw[at[:, None] + np.arange(kind.itemsize)].reshape(-1).view(kind)


def _all_numbers(body: bytes) -> np.ndarray | None:
    """A text's numbers, or None where something in it is none."""
    if _ODD_TEXT.search(body):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return np.fromstring(body, dtype=np.float64, sep=" ")
    except (DeprecationWarning, ValueError):
        return None


def _by_lines(source: str, elements: list[PlyElement], body: bytes, notes: Notes) -> dict[str, PlyColumns]:
    """Text with a row a line, where some line has too many values, or too few, or words."""
    lines = [line for line in body.replace(b"\r", b"\n").split(b"\n") if line.strip()]
    result: dict[str, PlyColumns] = {}
    begin = 0
    for element in elements:
        if len(lines) - begin < element.count:
            raise _cut_off(source, element, max(len(lines) - begin, 0))
        columns = _lines_of(element, lines[begin : begin + element.count])
        begin += element.count
        if element.name not in result:
            result[element.name] = columns
            notes.add(int(columns.unreadable.sum()), f"{{}} line(s) of the PLY's {element.name} could not be read.")
    return result


def _lines_of(element: PlyElement, lines: list[bytes]) -> PlyColumns:
    values: list[list[list[float]]] = [[] for _ in element.properties]
    unreadable = np.zeros(len(lines), dtype=bool)
    for row, line in enumerate(lines):
        parts = _parsed(element, line)
        if parts is None:
            unreadable[row] = True
            parts = [[] if item.count_dtype else [float("nan")] for item in element.properties]
        for column, part in zip(values, parts, strict=True):
            column.append(part)
    columns = PlyColumns(unreadable=unreadable)
    for item, rows in zip(element.properties, values, strict=True):
        flat = np.array([value for part in rows for value in part], dtype=np.float64)
        if item.count_dtype is None:
            columns.single.setdefault(item.name, flat)
        else:
            sizes = np.fromiter(map(len, rows), np.int32, len(rows))
            columns.lists.setdefault(item.name, PlyList(sizes, flat))
    return columns


def _parsed(element: PlyElement, line: bytes) -> list[list[float]] | None:
    """The row's values of each property, or None where they cannot be read; what stands behind is not looked at."""
    if len(line) > _LONGEST_LINE:
        return None
    words = line.split()
    parts: list[list[float]] = []
    at = 0
    try:
        for item in element.properties:
            length = 1
            if item.count_dtype is not None:
                length = int(words[at])
                at += 1
            if length < 0 or at + length > len(words):
                return None
            parts.append([float(word) for word in words[at : at + length]])
            at += length
    except (ValueError, IndexError):
        return None
    return parts
