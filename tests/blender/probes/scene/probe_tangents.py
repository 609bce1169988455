# SPDX-License-Identifier: Apache-2.0
"""Blender's own tangents of its primitives, for the library's to be compared with."""

import bpy
import numpy as np

_PRIMITIVES = {
    "sphere": lambda: bpy.ops.mesh.primitive_uv_sphere_add(segments=24, ring_count=12),
    "torus": lambda: bpy.ops.mesh.primitive_torus_add(),
    "monkey": lambda: bpy.ops.mesh.primitive_monkey_add(),
    "cylinder": lambda: bpy.ops.mesh.primitive_cylinder_add(),
}


def write_tangents(folder: str) -> list[str]:
    """Writes NAME.npz with what Blender says of every corner of a triangulated primitive; returns the names."""
    import bmesh  # with pip's bpy, only once bpy is there

    for name, add in _PRIMITIVES.items():
        add()
        mesh = bpy.context.object.data
        editable = bmesh.new()
        editable.from_mesh(mesh)
        bmesh.ops.triangulate(editable, faces=editable.faces)
        editable.to_mesh(mesh)
        editable.free()
        for polygon in mesh.polygons:
            polygon.use_smooth = name != "cylinder"
        mesh.calc_tangents(uvmap=mesh.uv_layers.active.name)
        corners = len(mesh.loops)
        np.savez(
            f"{folder}/{name}.npz",
            positions=_read(mesh.vertices, "co", (len(mesh.vertices), 3)),
            faces=_read(mesh.loops, "vertex_index", (corners // 3, 3), np.int32),
            uvs=_read(mesh.uv_layers.active.data, "uv", (corners // 3, 3, 2)),
            normals=_read(mesh.loops, "normal", (corners // 3, 3, 3)),
            tangents=_read(mesh.loops, "tangent", (corners // 3, 3, 3)),
            signs=_read(mesh.loops, "bitangent_sign", (corners // 3, 3)),
        )
    return list(_PRIMITIVES)


def _read(items, name: str, shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    values = np.zeros(int(np.prod(shape)), dtype=dtype)
    items.foreach_get(name, values)
    return values.reshape(shape)
