# SPDX-License-Identifier: Apache-2.0
"""USD: the caller's polygons, UVs and names as a text file (.usda), with UsdPreviewSurface materials.

OpenUSD's text format, and its "UsdPreviewSurface Specification": every program that reads USD knows this material. It
names the images beside it, all tiles of a UDIM set by one name with <UDIM> in it. OpenUSD's library, which nothing else
here needs, reads the files in the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped

from pgc.export.surface_images import SurfaceImages, check_tiles
from pgc.export.usd_material import material_lines
from pgc.mesh.data import Mesh, PreparedMesh
from pgc.whole_files import write_bytes

__all__ = ["write_usd"]

_NO_IDENTIFIER = re.compile(r"[^A-Za-z0-9_]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BOUND = 'prepend apiSchemas = ["MaterialBindingAPI"]'


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Part:
    """The polygons of one mesh prim."""

    name: str
    shown_name: str
    polygons: Int[np.ndarray, " P"]
    corners: Int[np.ndarray, " L"]


def write_usd(path: Path, prepared: PreparedMesh, images: SurfaceImages) -> None:
    """Writes a USD file whose images lie beside it.

    The file's parts are meshes of their names, materials are subsets of faces with the caller's names; names that USD
    cannot spell are spelt with underscores, and stand in full as display names. Axes are the caller's (Y or Z up), and
    so is the unit, which is called a metre. Points are float32, counted from the mesh's origin, which is a translation
    of its own where the mesh lies far away. Corners without a normal, or with one of no length, get the smooth one that
    shading used. All UV sets are written: the textured one as `st`, others under their names; and vertex colours as
    `displayColor`.

    Args:
        path: ends in .usda.
        prepared: the mesh.
        images: what its material shows.

    Raises:
        MeshError: an image for a tile is missing.
        OutputError: the file cannot be written.
    """
    check_tiles(images.files, prepared)
    mesh = prepared.mesh
    root = _free(mesh.name, set())
    materials = _named(name or mesh.name for name in mesh.material_names)
    lines = [
        "#usda 1.0",
        f'(\n    defaultPrim = "{root}"\n    metersPerUnit = 1\n    upAxis = "{mesh.up_axis.upper()}"\n)',
        "",
        f'def Xform "{root}" (\n    kind = "component"\n    {_display(mesh.name)}\n)',
        "{",
        *_place(mesh),
    ]
    normals = _corner_normals(prepared)
    for part in _parts(mesh):
        lines += _indented(_mesh_prim(mesh, part, normals, [f"/{root}/Materials/{name}" for name in materials]))
    lines += ['    def Scope "Materials"', "    {"]
    for name, shown in zip(materials, mesh.material_names, strict=True):
        lines += _indented(
            material_lines(name, _display(shown or mesh.name), f"/{root}/Materials/{name}", images), times=2
        )
    # A name from a file system that has other letters is no text of Unicode.
    write_bytes(path, "\n".join([*lines, "    }", "}", ""]).encode("utf-8", "backslashreplace"))


def _free(name: str, taken: set[str]) -> str:
    """Returns a name that USD takes for an identifier and that is not taken yet, and takes it."""
    plain = _NO_IDENTIFIER.sub("_", name) or "_"
    plain = f"_{plain}" if plain[0].isdigit() else plain
    number, free = 1, plain
    while free in taken:
        number += 1
        free = f"{plain}_{number}"
    taken.add(free)
    return free


def _named(names: Iterable[str]) -> list[str]:
    taken = set[str]()
    return [_free(name, taken) for name in names]


def _display(name: str) -> str:
    # A text of JSON is one of USD too, as long as letters stand as they are, and none is JSON's own \\u0007.
    return f"displayName = {json.dumps(_CONTROL.sub('', name), ensure_ascii=False)}"


def _indented(lines: Iterable[str], times: int = 1) -> list[str]:
    return [f"{'    ' * times}{line}" for line in lines]


def _place(mesh: Mesh) -> list[str]:
    if not mesh.origin.any():
        return []
    return [
        f"    double3 xformOp:translate = ({', '.join(map(repr, mesh.origin.tolist()))})",
        '    uniform token[] xformOpOrder = ["xformOp:translate"]',
    ]


def _parts(mesh: Mesh) -> list[_Part]:
    named = mesh.part_index is not None and any(mesh.part_names)
    index = mesh.part_index if mesh.part_index is not None and named else np.zeros(len(mesh.polygon_sizes), np.int32)
    shown = [name or mesh.name for name in mesh.part_names] if named else [mesh.name]
    # Beside the meshes lies the scope of materials.
    taken = {"Materials"}
    of_corner = np.repeat(index, mesh.polygon_sizes)
    return [
        _Part(
            name=_free(shown[number], taken),
            shown_name=shown[number],
            polygons=np.flatnonzero(index == number),
            corners=np.flatnonzero(of_corner == number),
        )
        for number in np.unique(index).tolist()
    ]


def _corner_normals(prepared: PreparedMesh) -> Float[np.ndarray, "L 3"]:
    """Normals of corners in the caller's axes: given, or as shaded; up where a polygon had no triangle."""
    mesh, triangles = prepared.mesh, prepared.triangles
    normals = np.zeros((len(mesh.corner_positions), 3), np.float32)
    normals[:, 1 if mesh.up_axis == "y" else 2] = 1.0
    turned = triangles.corner_normals.astype(np.float64) @ prepared.normalization.rotation()
    normals[triangles.corner_index.reshape(-1)] = turned.reshape(-1, 3)
    if mesh.normals is not None and mesh.corner_normals is not None:
        stored = mesh.normals[np.maximum(mesh.corner_normals, 0)]
        given = (mesh.corner_normals >= 0) & stored.any(axis=1)
        normals[given] = stored[given]
    return normals


def _mesh_prim(mesh: Mesh, part: _Part, normals: Float[np.ndarray, "L 3"], materials: Sequence[str]) -> list[str]:
    used, corners = np.unique(mesh.corner_positions[part.corners], return_inverse=True)
    points = (mesh.positions[used] - mesh.origin).astype(np.float32)
    extent = np.stack([points.min(axis=0), points.max(axis=0)])
    varying = '(\n            interpolation = "faceVarying"\n        )'
    lines = [
        f'def Mesh "{part.name}" (\n        {_BOUND}\n        {_display(part.shown_name)}\n    )',
        "{",
        f"    float3[] extent = {_tuples(extent)}",
        f"    int[] faceVertexCounts = {_numbers(mesh.polygon_sizes[part.polygons])}",
        f"    int[] faceVertexIndices = {_numbers(corners.reshape(-1))}",
        f"    point3f[] points = {_tuples(points)}",
        f"    normal3f[] normals = {_tuples(normals[part.corners])} {varying}",
        '    uniform token subdivisionScheme = "none"',
        "    uniform bool doubleSided = 1",
        *_uv_sets(mesh, part),
        *_colors(mesh, part),
        *_bindings(mesh, part, materials),
        "}",
    ]
    return lines


def _uv_sets(mesh: Mesh, part: _Part) -> list[str]:
    if mesh.uvs is None or mesh.corner_uvs is None:
        return []
    taken, lines = set[str](), list[str]()
    sets = [("st", mesh.uvs, mesh.corner_uvs)]
    sets += [(other.name or "uv", other.uvs, other.corner_uvs) for other in mesh.other_uv_sets]
    for name, uvs, index in sets:
        lines += _indexed(f"texCoord2f[] primvars:{_free(name, taken)}", uvs, index[part.corners])
    return lines


def _colors(mesh: Mesh, part: _Part) -> list[str]:
    if mesh.colors is None or mesh.corner_colors is None:
        return []
    # White where a corner has none, as everywhere else here.
    return _indexed(
        "color3f[] primvars:displayColor", mesh.colors[:, :3], mesh.corner_colors[part.corners], missing=1.0
    )


def _indexed(
    declared: str, pool: Float[np.ndarray, "N C"], index: Int[np.ndarray, " L"], *, missing: float = 0.0
) -> list[str]:
    """A primvar of the corners: the values that they use, and which each uses; index -1 is `missing`."""
    used, numbers = np.unique(index, return_inverse=True)
    values = np.where(used[:, None] < 0, np.float32(missing), pool[np.maximum(used, 0)])
    name = declared.split()[-1]
    return [
        f'    {declared} = {_tuples(values)} (\n            interpolation = "faceVarying"\n        )',
        f"    int[] {name}:indices = {_numbers(numbers.reshape(-1))}",
    ]


def _bindings(mesh: Mesh, part: _Part, materials: Sequence[str]) -> list[str]:
    """One material for all of a part, or a subset of faces for each."""
    of_polygon = mesh.material_index[part.polygons]
    numbers: list[int] = np.unique(of_polygon).tolist()
    if len(numbers) == 1:
        return [f"    rel material:binding = <{materials[numbers[0]]}>"]
    lines = ['    uniform token subsetFamily:materialBind:familyType = "partition"']
    for number in numbers:
        name = materials[number].rpartition("/")[2]
        lines += [
            f'    def GeomSubset "{name}" (\n            {_BOUND}\n        )',
            "    {",
            '        uniform token elementType = "face"',
            '        uniform token familyName = "materialBind"',
            f"        int[] indices = {_numbers(np.flatnonzero(of_polygon == number))}",
            f"        rel material:binding = <{materials[number]}>",
            "    }",
        ]
    return lines


def _numbers(values: Int[np.ndarray, " N"]) -> str:
    return f"[{', '.join(map(str, values.tolist()))}]"


def _tuples(values: Shaped[np.ndarray, "N C"]) -> str:
    # NumPy's text is the shortest that reads back as the same number.
    rows = values.astype(np.float32).astype(str).tolist()
    return "[" + ", ".join(f"({', '.join(row)})" for row in rows) + "]"
