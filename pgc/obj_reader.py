# SPDX-License-Identifier: Apache-2.0
"""OBJ files: polygons, with the indices of v, vt and vn kept apart, which is what bit-exact round trips need.

Our own, because no library that reads them so has wheels for Python 3.13 and later (tinyobjloader, with which it is
compared in the tests where that can be installed, ends at 3.12). First every line that counts is checked against its
form, then NumPy reads all numbers of a kind at once.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int, Int32

from pgc.errors import MeshError
from pgc.mesh_data import Mesh

__all__ = ["read_obj"]

_NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_GAP = rb"[ \t]+"
_END = rb"[ \t]*(?:\#[^\n]*)?\r?(?=\n|\Z)"
_BAD_NUMBERS = re.compile(
    rb"^[ \t]*(?:"
    rb"v(?=[ \t])(?!(?:" + _GAP + _NUMBER + rb"){3,}" + _END + rb")"
    rb"|vn(?=[ \t])(?!(?:" + _GAP + _NUMBER + rb"){3}" + _END + rb")"
    rb"|vt(?=[ \t])(?!(?:" + _GAP + _NUMBER + rb"){1,3}" + _END + rb")"
    rb")[^\n]*",
    re.MULTILINE,
)
_CORNER = rb"-?\d{1,9}(?:/(?:-?\d{1,9})?(?:/(?:-?\d{1,9})?)?)?"  # more digits may not fit into 32 bits
_BAD_FACE = re.compile(rb"^[ \t]*f(?=\s)(?!(?:" + _GAP + _CORNER + rb"){3,}" + _END + rb")[^\n]*", re.MULTILINE)
_USE_MATERIAL = re.compile(rb"^[ \t]*usemtl(?:[ \t]+([^\r\n]*?))?[ \t]*(?=\r?$)", re.MULTILINE)
_COMMENT_AFTER_NUMBERS = re.compile(rb"^([ \t]*(?:v|vt|vn|f)[ \t][^\n#]*)#[^\r\n]*", re.MULTILINE)
_KNOWN_LINE = re.compile(rb"^[ \t]*(?:v|vt|vn|f|o|g)[ \t]", re.MULTILINE)
_NOT_FINITE = re.compile(rb"(?i)\b(?:nan|inf|infinity)\b|1\.#")
_LINES = {kind: re.compile(rb"^[ \t]*%b[ \t]" % kind, re.MULTILINE) for kind in (b"v", b"vt", b"vn", b"f")}
_INDENTED = re.compile(rb"^[ \t]+", re.MULTILINE)
_EMPTY_INDEX = re.compile(rb"/(?=[/\s]|\Z)")
_ABSENT = 10**10
"""Stands for an index that a corner does not have; written ones have at most nine digits."""


def read_obj(path: Path, data: bytes) -> Mesh:
    """The mesh of an OBJ file's bytes; positions are the float64 nearest to the text. Raises `MeshError`."""
    name = path.name
    if b"\0" in data[:4096] or not _KNOWN_LINE.search(data):
        raise MeshError(f"{name}: this is not an OBJ text file (it has no v or f lines); export the mesh again.")
    data = data.replace(b"\\\r\n", b"   ").replace(b"\\\n", b"  ")
    if data.count(b"#") > data.count(b"\n#") + data.startswith(b"#"):
        data = _COMMENT_AFTER_NUMBERS.sub(rb"\1", data)
    _check_lines(name, data)
    return _to_mesh(path, data)


def _check_lines(name: str, data: bytes) -> None:
    for pattern, expected in ((_BAD_NUMBERS, "numbers"), (_BAD_FACE, "at least 3 corners such as 1/2/3")):
        found = pattern.search(data)
        if found is None:
            continue
        line = data.count(b"\n", 0, found.start()) + 1
        got = found.group().strip().decode("utf-8", errors="replace")[:60]
        if expected == "numbers" and _NOT_FINITE.search(found.group()):
            reason = "holds NaN or infinity, expected finite numbers; repair the mesh and export it again"
        else:
            reason = f"cannot be read, expected {expected}; the file is damaged or cut off: export it again"
        raise MeshError(f"{name}: line {line} ({got!r}) {reason}.")


def _to_mesh(path: Path, data: bytes) -> Mesh:
    lines = data.split(b"\n")
    if _INDENTED.search(data):
        lines = [line.lstrip(b" \t") for line in lines]
    faces = _Faces.of(data, lines)
    indices = [faces.absolute(path.name, column, kind) for column, kind in enumerate((b"v", b"vt", b"vn"))]
    has_uvs, has_normals = (bool((row >= 0).any()) for row in indices[1:])
    material, material_names = _materials(faces)
    return Mesh(
        name=path.stem,
        positions=_rows(lines, b"v", 3),
        polygon_sizes=faces.sizes,
        corner_positions=indices[0],
        uvs=_rows(lines, b"vt", 2).astype(np.float32) if has_uvs else None,
        corner_uvs=indices[1] if has_uvs else None,
        normals=_rows(lines, b"vn", 3).astype(np.float32) if has_normals else None,
        corner_normals=indices[2] if has_normals else None,
        material_index=material,
        material_names=material_names,
        up_axis="y",
    )


@dataclass(frozen=True, eq=False)
class _Faces:
    """What the lines of faces say.

    Args:
        data: the file. sizes: corners of each face.
        written: indices of v, vt and vn of each corner, from 1 or negative; `_ABSENT` where it has none.
    """

    data: bytes
    sizes: Int32[np.ndarray, " F"]
    written: Int[np.ndarray, "L 3"]

    @classmethod
    def of(cls, data: bytes, lines: list[bytes]) -> "_Faces":
        faces = [text.split() for text in _values(lines, b"f")]
        corners = list(chain.from_iterable(faces))
        counts = np.fromiter((corner.count(b"/") + 1 for corner in corners), np.int64, len(corners))
        text = _EMPTY_INDEX.sub(b"/%d" % _ABSENT, b" ".join(corners))
        numbers = _numbers(text.replace(b"/", b" "), np.int64)
        sizes = np.fromiter(map(len, faces), np.int32, len(faces))
        return cls(data, sizes, _spread(numbers, counts, 3, _ABSENT))

    @cached_property
    def offsets(self) -> Int[np.ndarray, " F"]:
        """Where in the file each face's line is; few files need it."""
        return _offsets(self.data, _LINES[b"f"])

    def absolute(self, name: str, column: int, kind: bytes) -> Int32[np.ndarray, " L"]:
        """One kind's indices from 0, -1 where there is none. Negative ones count back from the face's line."""
        indices = self.written[:, column].copy()
        absent = indices == _ABSENT
        relative = indices < 0
        if relative.any():
            before = np.searchsorted(_offsets(self.data, _LINES[kind]), self.offsets)
            indices[relative] += np.repeat(before, self.sizes)[relative] + 1
        wrong = np.flatnonzero((indices <= 0) & ~absent)
        if len(wrong):
            face = np.searchsorted(np.cumsum(self.sizes), wrong[0], side="right")
            line = self.data.count(b"\n", 0, int(self.offsets[face])) + 1
            raise MeshError(
                f"{name}: a face in line {line} points to a vertex that is not there (index 0, or counted back too "
                "far); the file is damaged or cut off: export it again."
            )
        return np.where(absent, -1, indices - 1).astype(np.int32)


def _materials(faces: _Faces) -> tuple[Int32[np.ndarray, " F"], tuple[str, ...]]:
    """Of each face, and all names; faces before the first `usemtl` have one without a name."""
    names: dict[bytes, int] = {}
    chosen = [names.setdefault(name, len(names)) for name in _USE_MATERIAL.findall(faces.data)]
    if not names:
        return np.zeros(len(faces.sizes), np.int32), ("",)
    latest = np.searchsorted(_offsets(faces.data, _USE_MATERIAL), faces.offsets)
    material = np.array([-1, *chosen], dtype=np.int32)[latest]
    texts = tuple(name.decode("utf-8", errors="replace") for name in names)
    if (material < 0).any():
        return material + np.int32(1), ("", *texts)
    return material, texts


def _offsets(data: bytes, pattern: re.Pattern[bytes]) -> Int[np.ndarray, " N"]:
    """Where a pattern is found."""
    return np.fromiter((match.start() for match in pattern.finditer(data)), np.int64)


def _values(lines: list[bytes], kind: bytes) -> list[bytes]:
    """What follows a kind's name in its lines."""
    names = (kind + b" ", kind + b"\t")
    return [line[len(kind) + 1 :] for line in lines if line.startswith(names)]


def _rows(lines: list[bytes], kind: bytes, width: int) -> Float64[np.ndarray, "N C"]:
    """The first numbers of each line of a kind; what a line lacks is 0."""
    texts = _values(lines, kind)
    numbers = _numbers(b" ".join(texts), np.float64)
    counts = np.fromiter((len(text.split()) for text in texts), np.int64, len(texts))
    return _spread(numbers, counts, width, 0)


def _numbers(text: bytes, dtype: type[np.generic]) -> np.ndarray:
    """All numbers of a text whose form was checked, with blanks between."""
    return np.fromstring(text, dtype=dtype, sep=" ") if text.strip() else np.zeros(0, dtype)


def _spread(numbers: np.ndarray, counts: Int[np.ndarray, " N"], width: int, missing: int) -> np.ndarray:
    """[N, width]: the first `width` of each row's numbers, which follow each other; `missing` where a row has fewer."""
    starts = np.cumsum(counts) - counts
    rows = np.full((len(counts), width), missing, numbers.dtype)
    for column in range(width):
        there = counts > column
        rows[there, column] = numbers[starts[there] + column]
    return rows
