# SPDX-License-Identifier: Apache-2.0
"""STL files, binary and text. Positions that the format repeats for each triangle are joined, as Blender's import does.

What says which one a file is, is its size: many binary files begin with "solid", the word that text begins with.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int, Int32

from pgc.errors import MeshError
from pgc.mesh.checks import MAX_TRIANGLES
from pgc.mesh.data import Mesh
from pgc.mesh.origin import local_origin
from pgc.mesh.tolerance import Notes, keep_polygons, plain_text, unusable_positions

__all__ = ["read_stl"]

_HEADER, _RECORD = 84, 50
_SOLID = re.compile(rb"(?i)(?:\xef\xbb\xbf)?\s*+solid")
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_END = re.compile(rb"(?i)\bend[ \t]*+solid")
_NAMES = re.compile(rb"(?im)^[ \t]*+(?:end[ \t]*+)?solid[^\n]*+")
_NUMBER = rb"[-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?"
_NUMBERS = re.compile(rb"(?:[ \t]++" + _NUMBER + rb"){3}[ \t]*+")
_VERTEX = re.compile(rb"(?i)\bvertex\b([^\n]*+)")
_PARTS = re.compile(rb"(?i)\b(?:(vertex)\b([^\n]*+)|(end[ \t]*+facet)\b|(facet)\b)")


@dataclass(frozen=True, slots=True, eq=False)
class _Soup:
    """Facets one after another. `lost` of them had vertices that could not be read."""

    points: Float64[np.ndarray, "L 3"]
    sizes: Int32[np.ndarray, " P"]
    lost: int = 0


def read_stl(path: Path, data: bytes) -> Mesh:
    """Reads the mesh of an STL file's bytes; all solids of a text file together. Raises `MeshError`."""
    notes = Notes(path.name)
    count = int.from_bytes(data[80:84], "little") if len(data) >= _HEADER else 0
    needed = _HEADER + _RECORD * count
    if count and len(data) == needed:
        soup = _binary(path.name, data, count)
    elif _is_text(data):
        soup = _text(path.name, plain_text(data, notes, path.name), notes)
    elif count and len(data) > needed:
        notes.add(len(data) - needed, "Left out {} byte(s) after the last triangle.")
        soup = _binary(path.name, data, count)
    else:
        raise MeshError(
            f"{path.name}: the STL says {count:,} triangles but has {max(len(data) - _HEADER, 0) // _RECORD:,}; "
            "it is cut off or no STL: export it again."
        )
    return _to_mesh(path, soup, notes)


def _is_text(data: bytes) -> bool:
    if data.startswith(_WIDE):
        return True
    return _SOLID.match(data) is not None and b"\0" not in data[:4096]


def _check_count(source: str, count: int) -> None:
    if count > MAX_TRIANGLES:
        raise MeshError(
            f"{source}: the mesh has {count:,} triangles, at most {MAX_TRIANGLES:,} can be textured; "
            "reduce it (Blender: Decimate modifier) or split it into parts."
        )


def _binary(source: str, data: bytes, count: int) -> _Soup:
    _check_count(source, count)
    record = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows = np.frombuffer(data, record, count, _HEADER)
    return _Soup(rows["corners"].reshape(-1, 3).astype(np.float64), np.full(count, 3, np.int32))


def _text(source: str, data: bytes, notes: Notes) -> _Soup:
    lowered = data.lower()
    _check_count(source, max(lowered.count(b"vertex") // 3, lowered.count(b"facet") // 2))
    if not _END.search(data):
        last = lowered.rfind(b"endfacet")
        if lowered.find(b"facet", last + len(b"endfacet")) >= 0 or last < 0:
            raise MeshError(f"{source}: the STL text ends without 'endsolid', it is cut off: export it again.")
        notes.add(1, "The STL text ends without 'endsolid': if it was cut off, the rest of the mesh is missing.")
    # Names of solids may hold any word.
    data = _NAMES.sub(b"", data)
    lowered = data.lower()
    lines = _VERTEX.findall(data)
    facets = len(re.findall(rb"\bfacet\b", lowered)) - len(re.findall(rb"\bend[ \t]+facet\b", lowered))
    if facets * 3 == len(lines) and all(map(_NUMBERS.fullmatch, lines)) and lowered.count(b"endfacet") == facets:
        return _Soup(np.fromstring(b" ".join(lines), sep=" ").reshape(-1, 3), np.full(facets, 3, np.int32))
    return _facet_by_facet(data)


def _facet_by_facet(data: bytes) -> _Soup:
    """Text where some facet has other than three vertices, or one that is no number."""
    points: list[list[float]] = []
    sizes: list[int] = []
    lost = 0
    current: list[list[float]] = []
    readable = True

    def close() -> None:
        """Ends the current facet: keeps its points, or counts it as lost where it could not be read."""
        nonlocal lost, readable
        if current and not readable:
            lost += 1
        elif current:
            points.extend(current)
            sizes.append(len(current))
        current.clear()
        readable = True

    for match in _PARTS.finditer(data):
        if match[1] is None:
            close()
        elif _NUMBERS.fullmatch(match[2]):
            current.append([float(word) for word in match[2].split()])
        else:
            current.append([])
            readable = False
    close()
    return _Soup(np.array(points, dtype=np.float64).reshape(-1, 3), np.array(sizes, dtype=np.int32), lost)


def _to_mesh(path: Path, soup: _Soup, notes: Notes) -> Mesh:
    total = len(soup.sizes) + soup.lost
    notes.add_lost(
        soup.lost,
        total,
        "Left out {} facet(s) that could not be read.",
        lambda: f"{soup.lost:,} of {total:,} facets cannot be read; the file is damaged: export it again.",
    )
    bad = unusable_positions(soup.points)
    polygon = np.repeat(np.arange(len(soup.sizes)), soup.sizes)
    bad_facets = np.bincount(polygon, bad, len(soup.sizes)) > 0
    notes.add_lost(
        int(bad_facets.sum()),
        total,
        "Left out {} facet(s) with a vertex that is NaN or infinite.",
        lambda: (
            f"{int(bad.sum()):,} vertex position(s) are NaN or infinite, expected finite numbers; "
            "repair the mesh (Blender: Mesh > Clean Up) and export it again."
        ),
    )
    short = soup.sizes < 3
    notes.add(int((short & ~bad_facets).sum()), "Left out {} facet(s) with fewer than 3 corners.")
    kept = ~(short | bad_facets)
    sizes, pools = keep_polygons(kept, soup.sizes, np.arange(len(soup.points)))
    chosen = pools[0]
    assert chosen is not None
    positions, corners = _joined(soup.points[chosen])
    return Mesh(
        name=path.stem,
        positions=positions,
        polygon_sizes=sizes,
        corner_positions=corners,
        uvs=None,
        corner_uvs=None,
        normals=None,
        corner_normals=None,
        material_index=np.zeros(len(sizes), dtype=np.int32),
        material_names=("",),
        up_axis="z",
        notes=notes.sentences(),
    )


def _joined(points: Float64[np.ndarray, "L 3"]) -> tuple[Float64[np.ndarray, "V 3"], Int32[np.ndarray, " L"]]:
    """Equal points as one, in the order of the file: equal as float32, counted from near the mesh."""
    if not len(points):
        return points, np.zeros(0, dtype=np.int32)
    every: Int[np.ndarray, " L"] = np.arange(len(points), dtype=np.int32)
    # + 0.0 turns -0.0 into 0.0, which is the same place with other bits.
    local = np.ascontiguousarray((points - local_origin(points, every)).astype(np.float32) + np.float32(0.0))
    _, kept, inverse = np.unique(local.view(np.dtype((np.void, 12))).ravel(), return_index=True, return_inverse=True)
    order = np.argsort(kept)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return points[kept[order]], rank[inverse]
