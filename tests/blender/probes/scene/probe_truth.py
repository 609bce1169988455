# SPDX-License-Identifier: Apache-2.0
"""A server that paints known functions of UV and of position, and what Cycles then sees on the object.

The object has three quads side by side, seen from above. The first belongs to the artist's slot, the other two to the
targeted one; one of their charts is mirrored. What is painted comes from the arrays that were sent, what is expected
from the object itself, so that a mistake in the export is seen as well as one in what is made of the result. The file
is saved and opened again in between. `PLANTS` are mistakes that the extension could make.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from probe_session import Rig, disable, enable, job_result
from probes import _png

SIDE = 256
SEEN = 96
"""Pixels of a rendered side."""
SPACES = {"base_color": "srgb", "roughness": "linear", "metallic": "linear", "normal": "linear", "occlusion": "linear"}
_EDGES = np.array((-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0))
_HEIGHTS = np.array((0.3, 0.0, -0.2, 0.1))


def painted(name: str, uv: np.ndarray, position: np.ndarray) -> np.ndarray:
    """The analytic answer: values [..., C] in 0 to 1 of a map, for uv [..., 2] and position [..., 3]."""
    u, v = uv[..., 0], uv[..., 1]
    x, y, z = position[..., 0], position[..., 1], position[..., 2]
    match name:
        case "base_color":
            return np.stack([0.5 + 0.4 * x, 0.45 + 0.35 * y, 0.5 + z - 0.2 * y], -1)
        case "roughness":
            return (0.15 + 0.6 * u + 0.2 * v)[..., None]
        case "metallic":
            return (0.9 - 0.3 * u - 0.5 * v * v)[..., None]
        case "occlusion":
            return (0.6 - 0.15 * x + 0.3 * y * x)[..., None]
        case _:
            slope = np.stack([0.6 * (u - 0.3), 0.4 * (v - 0.7)], -1)
            up = np.sqrt(1.0 - (slope**2).sum(-1, keepdims=True))
            return np.concatenate([slope, up], -1) * 0.5 + 0.5


def _charts(quad: int, s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both UV maps, [..., 2], of a quad at s and t from 0 to 1 along x and y."""
    artist = (
        np.stack([0.02 + 0.1 * s, 0.1 + 0.8 * t], -1),
        np.stack([0.15 + 0.3 * t, 0.1 + 0.7 * s], -1),
        np.stack([0.95 - 0.4 * t, 0.15 + 0.8 * s], -1),
    )[quad]
    return artist, np.stack([(quad + 0.9 * s) / 3.0, 0.9 - 0.8 * t], -1)


def _make_mesh() -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new("Quads")
    vertices = [(x, y, z) for x, z in zip(_EDGES, _HEIGHTS, strict=True) for y in (-1.0, 1.0)]
    mesh.from_pydata(vertices, [], [(2 * i, 2 * i + 2, 2 * i + 3, 2 * i + 1) for i in range(3)])
    corners = np.array((0.0, 1.0, 1.0, 0.0)), np.array((0.0, 0.0, 1.0, 1.0))
    for index, name in enumerate(("Artist", "Other")):
        layer = mesh.uv_layers.new(name=name)
        layer.uv.foreach_set("vector", np.concatenate([_charts(i, *corners)[index] for i in range(3)]).ravel())
    mesh.uv_layers.active = mesh.uv_layers["Other"]
    mesh.uv_layers["Other"].active_render = True
    for name in ("Mine", "Target"):
        mesh.materials.append(bpy.data.materials.new(name))
    mesh.polygons.foreach_set("material_index", np.array((0, 1, 1), np.int32))
    return mesh


def _paint(spec: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the server makes of a job: uint8 [S, S, 3] by map, row 0 at the top, charts drawn out beyond their edges."""
    mesh = spec.meshes[0]
    faces, uvs = arrays[mesh.faces.sha256], arrays[mesh.corner_uvs.sha256].astype(np.float64)
    corners = arrays[mesh.positions.sha256].astype(np.float64)[faces]
    wanted = arrays[mesh.textured.sha256].astype(bool)
    t = (np.arange(SIDE) + 0.5) / SIDE
    texels = np.stack(np.meshgrid(t, t[::-1]), -1)
    best, positions = np.full((SIDE, SIDE), -np.inf), np.zeros((SIDE, SIDE, 3))
    for uv, corner in zip(uvs[wanted], corners[wanted], strict=True):
        rest = (texels - uv[0]) @ np.linalg.inv(np.stack([uv[1] - uv[0], uv[2] - uv[0]]))
        weights = np.concatenate([1.0 - rest.sum(-1, keepdims=True), rest], -1)
        better = weights.min(-1) > best
        best[better] = weights.min(-1)[better]
        positions[better] = (weights @ corner)[better]
    values = {name: np.clip(painted(name, texels, positions), 0.0, 1.0) for name in SPACES}
    return {
        name: np.round(np.broadcast_to(value, (SIDE, SIDE, 3)) * 255).astype(np.uint8) for name, value in values.items()
    }


def _generate(folder: str) -> dict[str, np.ndarray]:
    """One job on a fresh object, saved and opened again; returns what the server painted."""
    from blender_addon.client.events import JobFinished
    from blender_addon.protocol.arrays import DType
    from blender_addon.protocol.records import MapFile

    rig = Rig()
    rig.obj.data = _make_mesh()
    rig.obj.active_material_index = 1
    bpy.context.view_layer.update()
    settings = bpy.context.scene.pgc
    settings.maps, settings.target, settings.uv_map = set(SPACES), "slot", "Artist"
    view = rig.run()
    _, spec, arrays = rig.fake.submitted[0]
    pictures, files = _paint(spec, arrays), {}
    for index, (name, pixels) in enumerate(pictures.items()):
        data = _png(pixels)
        file = MapFile(name, 1001, SIDE, SIDE, 3, DType.U8, SPACES[name], "png", f"{index:064x}", len(data))
        files[file] = data
    rig.fake.say(JobFinished("job-1", view.key, job_result(next(iter(files))), files, b"{}"))
    rig.tick()
    path = str(Path(folder) / "scene.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    return pictures


def truth(plant: str, folder: str) -> Any:
    """Largest difference from the analytic answer: of each map as Cycles sees it, and of the pixels read back."""
    enable()
    if plant:
        PLANTS[plant]()
    pictures = _generate(folder)
    obj = bpy.data.objects["Shown"]
    version = obj.pgc.versions[0]
    found: dict[str, Any] = {"read back": {}, "seen": {}}
    for name, pixels in pictures.items():
        image = version.maps[name].image
        values = np.zeros(SIDE * SIDE * 4, np.float32)
        if image.has_data or tuple(image.size) == (SIDE, SIDE):
            image.pixels.foreach_get(values)
        read = values.reshape(SIDE, SIDE, 4)[::-1, :, :3]
        found["read back"][name] = float(np.abs(read - pixels / 255.0).max())
    for name in SPACES:
        found["seen"][name] = float(np.abs(_seen(obj, name) - _expected(name)).max())
    disable()
    return found


def _expected(name: str) -> np.ndarray:
    """What a camera above sees of a map, float64 [S, S, 3], row 0 at the top; black where the artist's material is."""
    t = (np.arange(SEEN) + 0.5) / SEEN * 2.0 - 1.0
    x, y = np.meshgrid(t, t[::-1])
    quad = np.clip(np.searchsorted(_EDGES, x) - 1, 0, 2)
    s, height = (x - _EDGES[quad]) / (2.0 / 3.0), np.interp(x, _EDGES, _HEIGHTS)
    uv = np.choose(quad[..., None], [_charts(index, s, (y + 1.0) / 2.0)[0] for index in range(3)])
    values = painted(name, uv, np.stack([x, y, height], -1))
    if name == "base_color":
        values = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    if name == "normal":
        along = np.stack([np.ones(3), np.zeros(3), np.diff(_HEIGHTS) * 1.5], -1)
        along /= np.linalg.norm(along, axis=-1, keepdims=True)
        across = np.array((0.0, 1.0, 0.0))
        # Directions of u and v on each quad, and away from it.
        frames = np.stack([(a, b, np.cross(along[i], across)) for i, (a, b) in enumerate(_directions(along, across))])
        values = np.einsum("hwi,hwij->hwj", values * 2.0 - 1.0, frames[quad]) * 0.5 + 0.5
    return np.broadcast_to(values, (SEEN, SEEN, 3)) * (quad > 0)[..., None]


def _directions(along: np.ndarray, across: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of u and v in space, by quad, as `_charts` lays them."""
    return [(along[0], across), (across, along[1]), (-across, along[2])]


def _seen(obj: bpy.types.Object, name: str) -> np.ndarray:
    """A map through the link that leads into the shader, as Cycles sees it from above, linear [S, S, 3]."""
    for material in {slot.material for slot in obj.material_slots}:
        _emit(material, name)
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    # Only the middle of each pixel counts.
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "GAUSSIAN", 0.01
    scene.render.resolution_x = scene.render.resolution_y = SEEN
    scene.render.resolution_percentage, scene.view_settings.view_transform = 100, "Standard"
    scene.render.image_settings.file_format, scene.render.image_settings.color_depth = "OPEN_EXR", "32"
    if scene.camera is None:
        camera = bpy.data.objects.new("Top", bpy.data.cameras.new("Top"))
        camera.data.type, camera.data.ortho_scale, camera.location = "ORTHO", 2.0, (0, 0, 3)
        scene.collection.objects.link(camera)
        scene.camera = camera
    path = Path(bpy.app.tempdir) / f"seen_{name}.exr"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    values = np.empty(SEEN * SEEN * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return values.reshape(SEEN, SEEN, -1)[::-1, :, :3]


def _emit(material: bpy.types.Material, name: str) -> None:
    """Let the material glow with what leads into the map's socket; black where nothing does."""
    if material.node_tree is None:
        # The artist's own, on 4.x; it would reflect what the others emit.
        material.use_nodes = True
    tree = material.node_tree
    identifier = {"base_color": "Base Color", "occlusion": "Occlusion"}.get(name, name.capitalize())
    links = [
        link
        for link in tree.links
        if link.to_socket.name == identifier
        and link.to_node.bl_idname in {"ShaderNodeBsdfPrincipled", "ShaderNodeGroup"}
    ]
    glow = tree.nodes.new("ShaderNodeEmission")
    glow.inputs["Color"].default_value = (0, 0, 0, 1)
    if links and name == "normal":
        half = tree.nodes.new("ShaderNodeVectorMath")
        half.operation = "MULTIPLY_ADD"
        half.inputs[1].default_value = half.inputs[2].default_value = (0.5, 0.5, 0.5)
        tree.links.new(links[0].from_socket, half.inputs[0])
        tree.links.new(half.outputs[0], glow.inputs["Color"])
    elif links:
        tree.links.new(links[0].from_socket, glow.inputs["Color"])
    output = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeOutputMaterial")
    tree.links.new(glow.outputs[0], output.inputs["Surface"])


# Mistakes on purpose.


def _wrap(module: Any, name: str, wrong: Callable[..., Any]) -> None:
    """Let `wrong(true function, ...)` stand for a function of a module."""
    true = getattr(module, name)
    setattr(module, name, lambda *given, **named: wrong(true, *given, **named))


def _flip_v() -> None:
    from blender_addon.session import submission

    def flipped(true: Any, *given: Any) -> Any:
        mesh = true(*given)
        return replace(
            mesh, corner_uvs=np.ascontiguousarray(mesh.corner_uvs * np.float32((1, -1)) + np.float32((0, 1)))
        )

    _wrap(submission, "export_mesh", flipped)


def _flip_rows() -> None:
    from blender_addon.scene.versions import builder as version_builder

    def flipped(true: Any, *given: Any) -> Any:
        image = true(*given)
        values = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(values)
        image.pixels.foreach_set(np.ascontiguousarray(values.reshape(SIDE, SIDE, -1)[::-1]).ravel())
        image.pack()
        return image

    _wrap(version_builder, "new_packed_image", flipped)


def _drop_the_pack() -> None:
    from blender_addon.scene.versions import builder as version_builder

    def unpacked(true: Any, *given: Any) -> Any:
        image = true(*given)
        image.unpack(method="REMOVE")
        return image

    _wrap(version_builder, "new_packed_image", unpacked)


def _late_color_space() -> None:
    from blender_addon.scene.pictures import images
    from blender_addon.scene.versions import builder as version_builder

    def late(true: Any, name: str, png: bytes, color_space: str) -> Any:
        good = true(name, png, color_space)
        image = bpy.data.images.new(name, *good.size)
        values = np.empty(len(good.pixels), np.float32)
        good.pixels.foreach_get(values)
        image.pixels.foreach_set(values)
        images._set_color_space(image, color_space)
        image.pack()
        return image

    _wrap(version_builder, "new_packed_image", late)


def _no_color_space() -> None:
    from blender_addon.scene.pictures import images

    images._set_color_space = lambda image, color_space: setattr(image.colorspace_settings, "name", "sRGB")


def _wrong_slot() -> None:
    from blender_addon.session import submission

    _wrap(submission, "_options", lambda true, *given: replace(true(*given), slot=0))


def _wrong_uv_map() -> None:
    from blender_addon.scene.versions import builder as version_builder

    _wrap(version_builder, "build_material", lambda true, name, images, uv_map: true(name, images, "Other"))


def _swapped_maps() -> None:
    from blender_addon.scene.versions import builder as version_builder

    def swapped(true: Any, name: str, images: Any, uv_map: str) -> Any:
        return true(name, images | {"roughness": images["metallic"], "metallic": images["roughness"]}, uv_map)

    _wrap(version_builder, "build_material", swapped)


def _cleared_materials() -> None:
    from blender_addon.scene.versions import showing as versions

    def cleared(true: Any, obj: Any, layers: Any, materials: Any, *more: Any) -> None:
        obj.data.materials.clear()
        for material in materials.values():
            obj.data.materials.append(material)

    _wrap(versions, "show_layers", cleared)


PLANTS: dict[str, Callable[[], None]] = {
    "flip V": _flip_v,
    "flip rows": _flip_rows,
    "drop the pack": _drop_the_pack,
    "late color space": _late_color_space,
    "no color space": _no_color_space,
    "wrong slot": _wrong_slot,
    "wrong UV map": _wrong_uv_map,
    "swapped maps": _swapped_maps,
    "cleared materials": _cleared_materials,
}
