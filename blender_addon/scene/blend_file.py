# SPDX-License-Identifier: GPL-3.0-or-later
"""A new .blend with one textured object, for `pgc` to call in a Blender of its own.

The description is a JSON file; arrays lie beside it in an .npz. See `write_blend`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .pictures.images import new_packed_image, new_tiled_image
from .pictures.materials import build_material

__all__ = ["write_blend"]

_MOST_BYTES = 63


def write_blend(description: Path) -> None:
    """Writes the .blend that a description asks for. The scene that is open in this process is lost.

    The description holds `output` (path of the .blend), `name`, `arrays` (path of an .npz with positions [V, 3] in
    Blender's axes, counted from the object's location [3], polygon_sizes [P], corner_positions [L], corner_uvs
    [L, 2], material_index [P] and, where there are, corner_normals [L, 3], 0 where a corner has none, and
    corner_colors [L, 4], linear), `slots` (how many material slots), `uv_layers` (a list of {"name", "array"}),
    `textured` (the name of the one among these whose array is corner_uvs), and `maps`: a map's name to
    {"color_space": "srgb" or "linear", "files": {tile: path of a PNG}}.

    Raises:
        SceneError: an image is damaged, or a map has no place in a material.
    """
    job = json.loads(description.read_text(encoding="utf-8"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with np.load(job["arrays"]) as arrays:
        mesh = _mesh(job["name"], dict(arrays), job["uv_layers"], job["textured"])
        location = arrays["location"].tolist()
    obj = bpy.data.objects.new(job["name"], mesh)
    obj.location = location
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    obj.select_set(True)
    images = {name: _image(f"{job['name']} {name}", entry) for name, entry in job["maps"].items()}
    material = build_material(job["name"], images, mesh.uv_layers.active.name)
    # One slot for each of the caller's materials, so that his grouping of faces survives.
    for _ in range(job["slots"]):
        mesh.materials.append(material)
    bpy.ops.wm.save_as_mainfile(filepath=job["output"], check_existing=False, copy=True)


def _mesh(name: str, arrays: Mapping[str, Any], layers: Sequence[Mapping[str, str]], textured: str) -> bpy.types.Mesh:
    """The caller's polygons, as they are."""
    mesh = bpy.data.meshes.new(name)
    sizes = arrays["polygon_sizes"]
    mesh.vertices.add(len(arrays["positions"]))
    mesh.loops.add(len(arrays["corner_positions"]))
    mesh.polygons.add(len(sizes))
    mesh.vertices.foreach_set("co", arrays["positions"].reshape(-1))
    mesh.loops.foreach_set("vertex_index", arrays["corner_positions"])
    mesh.polygons.foreach_set("loop_start", (np.cumsum(sizes) - sizes).astype(np.int32))
    mesh.polygons.foreach_set("material_index", arrays["material_index"])
    _add_uv_layers(mesh, arrays, layers, textured)
    if "corner_colors" in arrays:
        colors = mesh.color_attributes.new("Color", "FLOAT_COLOR", "CORNER")
        colors.data.foreach_set("color", arrays["corner_colors"].reshape(-1))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(sizes), np.bool_))
    mesh.update(calc_edges=True)
    if "corner_normals" in arrays:
        mesh.normals_split_custom_set(arrays["corner_normals"])
    return mesh


def _add_uv_layers(
    mesh: bpy.types.Mesh, arrays: Mapping[str, Any], layers: Sequence[Mapping[str, str]], textured: str
) -> None:
    """The file's UV sets in their order; the textured one is active and rendered."""
    for layer in layers:
        # A set of the file that has the textured one's name gets another.
        chosen = layer["array"] == "corner_uvs"
        same = layer["name"] == textured and not chosen
        name = f"{layer['name']}.file" if same else layer["name"]
        new = mesh.uv_layers.new(name=_short(name), do_init=False)
        new.uv.foreach_set("vector", arrays[layer["array"]].reshape(-1))
        new.active_render = chosen
    mesh.uv_layers.active_index = [layer["array"] for layer in layers].index("corner_uvs")


def _short(name: str) -> str:
    """A name that a layer can have: of a longer one Blender makes another, or none."""
    return name.encode()[:_MOST_BYTES].decode(errors="ignore")


def _image(name: str, entry: Mapping[str, Any]) -> bpy.types.Image:
    files = {int(tile): Path(path).read_bytes() for tile, path in entry["files"].items()}
    if list(files) == [1001]:
        return new_packed_image(name, files[1001], entry["color_space"])
    return new_tiled_image(name, files, entry["color_space"])
