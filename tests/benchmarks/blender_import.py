# SPDX-License-Identifier: Apache-2.0
"""Imports a mesh file with Blender and stores its polygons: python blender_import.py FILE OUT.npz. Needs bpy.

OUT.npz holds, in Blender's world (Z up): `corners` [L,3] float64, `sizes` [P] int32, and for every UV layer of a
number its corners, `uvs_0` [L,2] …, NaN where an object has none. An import that fails stores `error`.
"""

import re
import sys
from pathlib import Path

import bpy
import numpy as np

MAX_LAYERS = 8


def import_file(path):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    match path.suffix.lower():
        case ".gltf" | ".glb":
            import_gltf(path)
        case ".obj":
            bpy.ops.wm.obj_import(filepath=str(path))
        case ".ply":
            bpy.ops.wm.ply_import(filepath=str(path))
        case ".stl":
            bpy.ops.wm.stl_import(filepath=str(path))


def import_gltf(path):
    """Without animations: their first frame would replace the pose and the weights that the file has by itself."""
    import addon_utils

    addon_utils.enable("io_scene_gltf2")
    from io_scene_gltf2.io.imp.gltf2_io_gltf import glTFImporter

    read = glTFImporter.read

    def read_without_animations(importer):
        read(importer)
        importer.data.animations = None

    glTFImporter.read = read_without_animations
    bpy.ops.import_scene.gltf(filepath=str(path))


def shown_objects():
    """Mesh objects, without the shapes that the glTF importer draws bones with."""
    hidden = bpy.data.collections.get("glTF_not_exported")
    kept = set() if hidden is None else set(hidden.objects)
    return [found for found in bpy.data.objects if found.type == "MESH" and found not in kept]


def polygons_of(shown, graph):
    evaluated = shown.evaluated_get(graph)
    mesh = evaluated.to_mesh()
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    world = np.array(shown.matrix_world, np.float64)
    points = points.reshape(-1, 3).astype(np.float64) @ world[:3, :3].T + world[:3, 3]
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    sizes = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_total", sizes)
    layers = np.full((MAX_LAYERS, len(corners), 2), np.nan)
    for number, layer in enumerate(mesh.uv_layers[:MAX_LAYERS]):
        uvs = np.empty(2 * len(corners), np.float32)
        layer.uv.foreach_get("vector", uvs)
        layers[number] = uvs.reshape(-1, 2)
    if np.linalg.det(world[:3, :3]) < 0:
        # What Blender shows of a mirrored object: the other side is the front.
        order = np.concatenate([np.arange(e - 1, e - n - 1, -1) for e, n in zip(np.cumsum(sizes), sizes, strict=True)])
        corners, layers = corners[order], layers[:, order]
    evaluated.to_mesh_clear()
    return points[corners], sizes, layers


def first_error(text):
    """The line of an operator's report that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line and not line.startswith(("File", "Traceback", "Location"))]
    # Paths of this machine say nothing elsewhere.
    return re.sub(r"/\S*/", "", (errors or lines or [""])[-1])[:200]


def main(path, out):
    try:
        import_file(Path(path))
    except RuntimeError as error:
        np.savez(out, error=np.array(first_error(str(error))))
        return
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    parts = [polygons_of(shown, graph) for shown in shown_objects()]
    parts = [part for part in parts if len(part[1])]
    if not parts:
        np.savez(out, error=np.array("no faces"))
        return
    layers = np.concatenate([part[2] for part in parts], axis=1)
    np.savez(
        out,
        corners=np.concatenate([part[0] for part in parts]),
        sizes=np.concatenate([part[1] for part in parts]),
        **{f"uvs_{number}": layers[number] for number in range(MAX_LAYERS)},
    )


if __name__ == "__main__":
    main(*sys.argv[1:3])
