# SPDX-License-Identifier: Apache-2.0
"""The header of a PLY file: what elements the body has, and how it is encoded."""

import re
from dataclasses import dataclass
from typing import Literal

from pgc.errors import MeshError

__all__ = ["Encoding", "PlyElement", "PlyHeader", "PlyProperty", "parse_header"]

Encoding = Literal["ascii", "<", ">"]
_ENCODINGS: dict[str, Encoding] = {"ascii": "ascii", "binary_little_endian": "<", "binary_big_endian": ">"}
_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_MAGIC = re.compile(rb"(?i)(?:\xef\xbb\xbf)?\s{0,64}ply[ \t]*(?=[\r\n])")
_LONGEST = 1 << 20
_TEXTURE_FILE = re.compile(r"(?i)comment\s+TextureFile\s+(.*)")


@dataclass(frozen=True, slots=True)
class PlyProperty:
    """A property; names are lower case, `dtype` is NumPy's without byte order."""

    name: str
    dtype: str
    count_dtype: str | None
    """None for a single value."""


@dataclass(frozen=True, slots=True)
class PlyElement:
    """An element: `count` rows of its properties."""

    name: str
    count: int
    properties: tuple[PlyProperty, ...]


@dataclass(frozen=True, slots=True)
class PlyHeader:
    """The whole header of a PLY file. `body` is the offset of the first byte behind."""

    elements: tuple[PlyElement, ...]
    encoding: Encoding
    body: int
    textures: tuple[str, ...]
    """Names in MeshLab's comments "TextureFile"."""


def parse_header(source: str, data: bytes) -> PlyHeader:
    """Reads the header; any case, any line end, comments, obj_info and unknown lines anywhere. Raises `MeshError`."""
    magic = _MAGIC.match(data)
    if magic is None:
        raise MeshError(f"{source}: this is not a PLY file (its first line is not 'ply'); export the mesh again.")
    encoding: Encoding | None = None
    elements: list[PlyElement] = []
    textures: list[str] = []
    body = magic.end()
    for ended in data[body : body + _LONGEST].splitlines(keepends=True):
        body += len(ended)
        line = ended.decode("utf-8", errors="replace").strip()
        words = line.lower().split()
        if found := _TEXTURE_FILE.fullmatch(line):
            textures.append(found[1].strip())
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "end_header" and encoding is not None:
            return PlyHeader(tuple(elements), encoding, body, tuple(textures))
        try:
            if words[0] == "format":
                encoding = _ENCODINGS[words[1]]
            elif words[0] in ("element", "property"):
                _declare(words, elements)
        except (KeyError, IndexError, ValueError) as exc:
            raise MeshError(
                f"{source}: the header line {line[:60]!r} cannot be read, expected what the PLY format says (format "
                "ascii 1.0, element NAME COUNT, property TYPE NAME); the file is damaged: export it again."
            ) from exc
    raise MeshError(f"{source}: this PLY's header has no 'format' or no 'end_header'; the file is damaged or cut off.")


def _declare(words: list[str], elements: list[PlyElement]) -> None:
    """Adds an element, or a property to the last one."""
    if words[0] == "element":
        elements.append(PlyElement(words[1], _count(words[2]), ()))
    else:
        last = elements.pop()
        elements.append(PlyElement(last.name, last.count, (*last.properties, _property(words))))


def _count(word: str) -> int:
    count = int(word)
    if not 0 <= count < 2**40:
        raise ValueError(word)
    return count


def _property(words: list[str]) -> PlyProperty:
    if words[1] == "list":
        if _TYPES[words[2]][0] == "f":
            raise ValueError(words[2])
        return PlyProperty(words[4], _TYPES[words[3]], _TYPES[words[2]])
    return PlyProperty(words[2], _TYPES[words[1]], None)
