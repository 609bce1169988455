# SPDX-License-Identifier: Apache-2.0
"""OBJ files: polygons, with the indices of v, vt and vn kept apart, which is what bit-exact round trips need.

Our own, because no library that reads them so has wheels for Python 3.13 and later (tinyobjloader, with which it is
compared in the tests where that can be installed, ends at 3.12). First every line that counts is checked against its
form (`pgc.mesh.formats.obj_text`), then NumPy reads all numbers of a kind at once.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32

from pgc.errors import MeshError
from pgc.mesh.checks import MAX_TRIANGLES
from pgc.mesh.data import Mesh
from pgc.mesh.formats.obj_text import ObjText, line_pattern, plain_obj
from pgc.mesh.tolerance import Notes, finite_rows, keep_polygons, linear_colors, unusable_positions

__all__ = ["read_obj"]

_USE_MATERIAL = re.compile(rb"(?im)^[ \t]*+usemtl(?:[ \t]+([^\n]*?))?[ \t]*$")
_OBJECT = re.compile(rb"(?im)^[ \t]*+o(?:[ \t]+([^\n]*?))?[ \t]*$")
_INDENTED = re.compile(rb"(?m)^[ \t]+")
_EMPTY_INDEX = re.compile(rb"/(?=[/\s]|\Z)")
_ABSENT = 10**10
"""Stands for an index that a corner does not have; written ones have at most nine digits."""
_NONE, _NOWHERE = -1, -2
"""Indices of corners: without one, and with one that points to nothing."""


def read_obj(path: Path, data: bytes) -> Mesh:
    """Reads the mesh of an OBJ file's bytes; positions are the float64 nearest to the text.

    What cannot be used is left out and counted in the mesh's notes: faces with fewer than three corners, faces that
    point to vertices that are not there (up to a tenth of all), UVs and normals with index 0 or out of range. Colours
    behind positions (`v x y z r g b`) are kept. Raises `MeshError`.
    """
    notes = Notes(path.name)
    text = plain_obj(path.name, data, notes)
    lines = text.data.split(b"\n")
    if _INDENTED.search(text.data):
        lines = [line.lstrip(b" \t") for line in lines]
    vertices, widths = _rows(lines, b"v", 7 if _has_colors(lines) else 3)
    positions = vertices[:, :3]
    bad_positions = unusable_positions(positions)
    uvs, normals = (_rows(lines, kind, width)[0].astype(np.float32) for kind, width in ((b"vt", 2), (b"vn", 3)))
    _check_corners(path.name, lines)
    faces = _Faces.of(text.data, lines)
    corners = faces.absolute(0, b"v")
    kept = _usable_faces(text, faces, corners, bad_positions, notes)
    corner_uvs, corner_normals = (
        _optional(faces.absolute(column, kind), pool, name, notes)
        for column, kind, pool, name in ((1, b"vt", uvs, "UV"), (2, b"vn", normals, "normal"))
    )
    material, material_names = _named(faces, _USE_MATERIAL)
    part, part_names = _named(faces, _OBJECT)
    colors, colored = _colors(vertices, widths)
    corner_colors = None if colors is None else _having_color(corners, colored)
    sizes, pools = keep_polygons(kept, faces.sizes, corners, corner_uvs, corner_normals, corner_colors)
    has_uvs, has_normals = (bool((row >= 0).any()) for row in (pools[1], pools[2]) if row is not None)
    return Mesh(
        name=path.stem,
        positions=np.where(bad_positions[:, None], 0.0, positions),
        polygon_sizes=sizes,
        corner_positions=_known(pools[0]),
        uvs=_finite(uvs) if has_uvs else None,
        corner_uvs=pools[1] if has_uvs else None,
        normals=_finite(normals) if has_normals else None,
        corner_normals=pools[2] if has_normals else None,
        material_index=material[kept],
        material_names=material_names,
        up_axis="y",
        notes=notes.sentences(),
        colors=colors,
        corner_colors=pools[3],
        part_index=part[kept],
        part_names=part_names,
    )


def _check_corners(source: str, lines: list[bytes]) -> None:
    """Before face lines are taken apart, which costs memory for every corner."""
    texts = _values(lines, b"f")
    most = 3 * MAX_TRIANGLES
    if sum(map(len, texts)) // 2 > most and (count := sum(map(_word_count, texts))) > most:
        raise MeshError(
            f"{source}: the faces have {count:,} corners together, but at most {MAX_TRIANGLES:,} triangles can be "
            "textured; reduce the mesh (Blender: Decimate modifier) or split it into parts."
        )


def _word_count(text: bytes) -> int:
    blank = np.frombuffer(b" " + text, np.uint8) <= ord(" ")
    return int((blank[:-1] & ~blank[1:]).sum())


def _known(row: Int32[np.ndarray, " L"] | None) -> Int32[np.ndarray, " L"]:
    assert row is not None
    return row


def _finite(pool: Float32[np.ndarray, "N C"]) -> Float32[np.ndarray, "N C"]:
    """Zeros for rows that no corner uses any more."""
    return np.where(finite_rows(pool)[:, None], pool, np.float32(0.0))


def _usable_faces(
    text: ObjText,
    faces: "_Faces",
    corners: Int[np.ndarray, " L"],
    bad_positions: Bool[np.ndarray, " V"],
    notes: Notes,
) -> Bool[np.ndarray, " F"]:
    """Faces all of whose vertices are there; notes the others. Raises `MeshError` where they are too many."""
    notes.add(text.short.count, "Left out {} face(s) with fewer than 3 corners.")
    nowhere = (corners < 0) | (corners >= len(bad_positions))
    unusable = np.zeros(len(corners), dtype=bool)
    unusable[~nowhere] = bad_positions[corners[~nowhere]]
    bad, bad_vertex = faces.having(nowhere), faces.having(unusable)
    total = len(faces.sizes) + text.bad[b"f"].count
    notes.add_lost(
        text.bad[b"f"].count, total, "Left out {} face(s) that could not be read.", lambda: text.bad[b"f"].first
    )
    notes.add_lost(
        int(bad.sum()),
        total,
        "Left out {} face(s) pointing to vertices that are not there.",
        lambda: faces.pointing_nowhere(int(np.flatnonzero(nowhere)[0]), len(bad_positions)),
    )
    notes.add_lost(
        int((bad_vertex & ~bad).sum()),
        total,
        "Left out {} face(s) with a vertex whose position is no number.",
        lambda: (
            text.bad[b"v"].first
            or f"{int(bad_positions.sum())} vertex position(s) are infinite or over 1e30 units away; "
            "the file is damaged: export it again."
        ),
    )
    return ~(bad | bad_vertex)


def _optional(
    indices: Int[np.ndarray, " L"], pool: Float32[np.ndarray, "N C"], name: str, notes: Notes
) -> Int[np.ndarray, " L"]:
    """Indices with `_NONE` where there is nothing to point to; notes these corners."""
    nowhere = (indices == _NOWHERE) | (indices >= len(pool))
    notes.add(
        int(nowhere.sum()), f"Read as none: the {name} of {{}} face corner(s), given as 0 or as one that is not there."
    )
    indices = np.where(nowhere, _NONE, indices)
    unusable = (
        (indices >= 0) & ~finite_rows(pool)[np.maximum(indices, 0)] if len(pool) else np.zeros(len(indices), bool)
    )
    notes.add(int(unusable.sum()), f"Left out the {name} of {{}} face corner(s): it is no number.")
    return np.where(unusable, _NONE, indices)


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
        """Reads the indices of all `f` lines."""
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
        return _offsets(self.data, line_pattern(b"f"))

    def absolute(self, column: int, kind: bytes) -> Int[np.ndarray, " L"]:
        """Returns one kind's indices from 0; `_NONE` where there is none, `_NOWHERE` for 0 and for what counts back too
        far. Negative ones count back from the face's line."""
        indices = self.written[:, column].copy()
        absent = indices == _ABSENT
        relative = indices < 0
        if relative.any():
            before = np.searchsorted(_offsets(self.data, line_pattern(kind)), self.offsets)
            indices[relative] += np.repeat(before, self.sizes)[relative] + 1
        return np.where(absent, _NONE, np.where(indices > 0, indices - 1, _NOWHERE))

    def having(self, corners: Bool[np.ndarray, " L"]) -> Bool[np.ndarray, " F"]:
        """Marks the faces that have any of some corners."""
        return np.bincount(np.repeat(np.arange(len(self.sizes)), self.sizes), corners, len(self.sizes)) > 0

    def pointing_nowhere(self, corner: int, vertices: int) -> str:
        """Returns the sentence for a corner whose vertex is not there."""
        face = np.searchsorted(np.cumsum(self.sizes), corner, side="right")
        line = self.data.count(b"\n", 0, int(self.offsets[face])) + 1
        return (
            f"a face in line {line} points to a vertex that is not there ({self.written[corner, 0]}, of {vertices} in "
            "the file, counted from 1 or back from -1); the file is damaged or cut off: export it again."
        )


def _named(faces: _Faces, statement: re.Pattern[bytes]) -> tuple[Int32[np.ndarray, " F"], tuple[str, ...]]:
    """What `usemtl` or `o` says of each face, and all names; faces before the first one have one without a name."""
    names: dict[bytes, int] = {}
    chosen = [names.setdefault(name, len(names)) for name in statement.findall(faces.data)]
    if not names:
        return np.zeros(len(faces.sizes), np.int32), ("",)
    latest = np.searchsorted(_offsets(faces.data, statement), faces.offsets)
    number = np.array([-1, *chosen], dtype=np.int32)[latest]
    texts = tuple(name.decode("utf-8", errors="replace") for name in names)
    if (number < 0).any():
        return number + np.int32(1), ("", *texts)
    return number, texts


def _has_colors(lines: list[bytes]) -> bool:
    """Whether some line of a vertex has six numbers or more."""
    return any(text.count(b" ") + text.count(b"\t") > 4 and len(text.split()) > 5 for text in _values(lines, b"v"))


def _colors(
    vertices: Float64[np.ndarray, "V C"], widths: Int[np.ndarray, " V"]
) -> tuple[Float32[np.ndarray, "V 4"] | None, Bool[np.ndarray, " V"]]:
    """Linear colour of each vertex, None where none has one; and which have."""
    colored = widths >= 6
    if not colored.any():
        return None, colored
    given = np.where(colored[:, None], vertices[:, 3:7], 0.0)
    given[widths < 7, 3] = 255.0 if given[:, :3].max() > 1.0 else 1.0
    return linear_colors(given), colored


def _having_color(corners: Int[np.ndarray, " L"], colored: Bool[np.ndarray, " V"]) -> Int[np.ndarray, " L"]:
    """Corners as they are where their vertex is there and has a colour, `_NONE` elsewhere."""
    there = (corners >= 0) & (corners < len(colored))
    return np.where(there & colored[np.where(there, corners, 0)], corners, _NONE)


def _offsets(data: bytes, pattern: re.Pattern[bytes]) -> Int[np.ndarray, " N"]:
    """Where a pattern is found."""
    return np.fromiter((match.start() for match in pattern.finditer(data)), np.int64)


def _values(lines: list[bytes], kind: bytes) -> list[bytes]:
    """What follows a kind's name, in any case, in its lines."""
    names = tuple({name + gap for name in (kind, kind.upper(), kind.capitalize()) for gap in (b" ", b"\t")})
    if kind == b"vt" or kind == b"vn":
        names += tuple(kind[:1] + kind[1:].upper() + gap for gap in (b" ", b"\t"))
    return [line[len(kind) + 1 :] for line in lines if line.startswith(names)]


def _rows(lines: list[bytes], kind: bytes, width: int) -> tuple[Float64[np.ndarray, "N C"], Int[np.ndarray, " N"]]:
    """The first numbers of each line of a kind, 0 for what a line lacks; and how many each line has."""
    texts = _values(lines, kind)
    numbers = _numbers(b" ".join(texts), np.float64)
    counts = np.fromiter((len(text.split()) for text in texts), np.int64, len(texts))
    return _spread(numbers, counts, width, 0), counts


def _numbers(text: bytes, dtype: type[np.generic]) -> np.ndarray:
    """All numbers of a text whose form was checked, with blanks between."""
    return np.fromstring(text, dtype=dtype, sep=" ") if text.strip() else np.zeros(0, dtype)


def _spread(numbers: Float[np.ndarray, " n"] | Int[np.ndarray, " n"], counts: Int[np.ndarray, " N"], width: int,
            missing: int) -> np.ndarray:  # fmt: skip
    """[N, width]: the first `width` of each row's numbers, which follow each other; `missing` where a row has fewer."""
    starts = np.cumsum(counts) - counts
    rows = np.full((len(counts), width), missing, numbers.dtype)
    for column in range(width):
        there = counts > column
        rows[there, column] = numbers[starts[there] + column]
    return rows
