# SPDX-License-Identifier: Apache-2.0
"""Baking the materials of an object into one set: four quads with a material each, in four columns of one texture."""

from typing import Any

import bpy
import numpy as np
from probe_session import disable, enable
from probe_versions import scene_digest
from probes import _png, _ramp

SIZE = 32


def _strip(tiles: int = 1) -> bpy.types.Object:
    """Quads 0 to 3 side by side in x, which is u; with two tiles the last two lie in 1002, and columns are wider."""
    mesh = bpy.data.meshes.new("Strip")
    points = [(x, y, 0) for x in range(5) for y in (0, 1)]
    mesh.from_pydata(points, [], [(2 * i, 2 * i + 2, 2 * i + 3, 2 * i + 1) for i in range(4)])
    width = tiles / 4
    corners = [(i + dx) * width for i in range(4) for dx in (0, 1, 1, 0)]
    layer = mesh.uv_layers.new(name="Artist")
    layer.uv.foreach_set("vector", np.stack([corners, [0, 0, 1, 1] * 4], axis=1).astype(np.float32).reshape(-1))
    mesh.uv_layers.new(name="Other")
    mesh.uv_layers.active = layer
    mesh.polygons.foreach_set("material_index", np.arange(4, dtype=np.int32))
    obj = bpy.data.objects.new("Strip", mesh)
    bpy.context.scene.collection.objects.link(obj)
    for material in (_pictures(), _principled("Plain", (0.2, 0.4, 0.6), 0.3, 1.0), _mixed(), _glass()):
        mesh.materials.append(material)
    obj.shape_key_add(name="Basis")
    return obj


def _material(name: str) -> tuple[bpy.types.Material, bpy.types.NodeTree, bpy.types.Node]:
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    tree = material.node_tree
    return material, tree, next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")


def _principled(name: str, color: tuple[float, ...], roughness: float, metallic: float) -> bpy.types.Material:
    material, _, shader = _material(name)
    shader.inputs["Base Color"].default_value = (*color, 1)
    shader.inputs["Roughness"].default_value, shader.inputs["Metallic"].default_value = roughness, metallic
    return material


def _pictures() -> bpy.types.Material:
    """As a version has it: base colour and normal from pictures, roughness and metallic from channels of one."""
    from blender_addon.scene.pictures.images import new_packed_image
    from blender_addon.scene.pictures.materials import build_material

    relief = np.empty((SIZE, SIZE, 3), np.uint8)
    relief[:] = (166, 102, 246)
    images = {
        "base_color": new_packed_image("c", _png(_ramp(SIZE)), "srgb"),
        "orm": new_packed_image("o", _png(_ramp(SIZE)[::-1].copy()), "linear"),
        "normal": new_packed_image("n", _png(relief), "linear"),
    }
    return build_material("Pictures", images, "Artist")


def _mixed() -> bpy.types.Material:
    """A quarter red plastic, three quarters of a blue diffuse."""
    material, tree, shader = _material("Mixed")
    shader.inputs["Base Color"].default_value = (1, 0, 0, 1)
    shader.inputs["Roughness"].default_value = 0.2
    other, mix = tree.nodes.new("ShaderNodeBsdfDiffuse"), tree.nodes.new("ShaderNodeMixShader")
    other.inputs["Color"].default_value = (0, 0, 1, 1)
    mix.inputs[0].default_value = 0.75
    tree.links.new(shader.outputs[0], mix.inputs[1])
    tree.links.new(other.outputs[0], mix.inputs[2])
    output = tree.get_output_node("ALL")
    tree.links.new(mix.outputs[0], output.inputs["Surface"])
    return material


def _glass() -> bpy.types.Material:
    """A shader that has no such channels; its viewport colour is green."""
    material, tree, _ = _material("Glass")
    material.diffuse_color, material.roughness, material.metallic = (0, 1, 0, 1), 0.9, 0.5
    glass = tree.nodes.new("ShaderNodeBsdfGlass")
    tree.links.new(glass.outputs[0], tree.get_output_node("ALL").inputs["Surface"])
    return material


def _pixels(image: bpy.types.Image) -> np.ndarray:
    """Bytes as stored, [S, S, 3], row 0 at the top."""
    width, height = image.size
    values = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    return np.round(values.reshape(height, width, 4)[::-1, :, :3] * 255).astype(np.int32)


def _counts() -> dict[str, int]:
    kinds = (
        "objects",
        "meshes",
        "materials",
        "images",
        "scenes",
        "shape_keys",
        "actions",
        "node_groups",
        "worlds",
        "collections",
    )
    return {kind: len(getattr(bpy.data, kind)) for kind in kinds}


def _run(tiles: int = 1, **options: Any) -> tuple[bpy.types.Object, dict[str, Any]]:
    """The strip, baked; with what changed."""
    enable()
    obj = _strip(tiles)
    bpy.context.view_layer.objects.active = obj
    obj.select_set(True)
    scene = bpy.context.scene
    scene.render.engine, scene.frame_current = "BLENDER_WORKBENCH", 7
    scene.render.bake.margin = 3
    scene.cycles.samples = 77
    bpy.context.view_layer.update()
    bpy.ops.ed.undo_push(message="start")
    before, counts = scene_digest(), _counts()
    cycles = (scene.cycles.samples, scene.render.bake.margin)
    result = list(bpy.ops.pgc.bake_set(**options))
    facts = {
        "result": result,
        "added": {kind: number - counts[kind] for kind, number in _counts().items() if number != counts[kind]},
        "cycles": cycles == (scene.cycles.samples, scene.render.bake.margin),
        "engine": scene.render.engine,
    }
    # Only the slots may show something else: with the old look back, all is as before.
    bpy.ops.pgc.restore()
    facts["same"] = scene_digest() == before
    bpy.ops.pgc.version_apply(index=0)
    facts["before"] = before
    return obj, facts


def _again() -> dict[str, Any]:
    """Asking for a baked version once more, as if it had a prompt."""
    from blender_addon.session import event_pump

    settings = bpy.context.scene.pgc
    settings.prompt, settings.seed = "red bricks", 7
    said = []
    for operator in (bpy.ops.pgc.version_regenerate, bpy.ops.pgc.version_reuse_prompt):
        try:
            operator()
        except RuntimeError:
            problem = event_pump.current_state().problem
            said.append(problem.text if problem else "")
    return {"again": said, "panel": [settings.prompt, settings.seed]}


def bake() -> Any:
    """Values of the four columns; then undo."""
    try:
        obj, facts = _run(size="512", margin=4)
        before = facts.pop("before")
        version = obj.pgc.versions[0]
        maps = {entry.name: _pixels(entry.image) for entry in version.maps}
        found = {name: [image[256, 128 * column + 64].tolist() for column in range(4)] for name, image in maps.items()}
        spaces = {entry.name: entry.image.colorspace_settings.name for entry in version.maps}
        materials = {slot.material == version.material for slot in obj.material_slots}
        name = version.name
        again = _again()
        bpy.ops.ed.undo_push(message="end")
        return {
            **facts,
            "values": found,
            "spaces": spaces,
            "all slots": materials == {True},
            "name": name,
            **again,
            "uv": version.uv_map,
            "before": bool(before),
        }
    finally:
        disable()


def exact() -> Any:
    """At the size of its pictures the first column comes out byte by byte."""
    try:
        enable()
        obj = _strip()
        bpy.context.view_layer.objects.active = obj
        from blender_addon.scene.pictures.bake import BakeOptions, bake_materials
        from blender_addon.scene.pictures.images import new_packed_image

        shares: list[float] = []
        baked = bake_materials(bpy.context, obj, BakeOptions(size=SIZE, margin=0), shares.append)
        columns = slice(0, SIZE // 4)
        known = _ramp(SIZE)
        orm = known[::-1]
        expected = {"base_color": known, "roughness": orm[..., [1] * 3], "metallic": orm[..., [2] * 3]}
        off = {}
        for name, pixels in expected.items():
            got = _pixels(new_packed_image(name, baked.maps[name][1001], "linear"))
            off[name] = int(np.abs(got[:, columns] - pixels[:, columns].astype(np.int32)).max())
        return {"off": off, "approximated": list(baked.approximated), "shares": shares}
    finally:
        disable()


def _corner() -> bpy.types.Object:
    """A narrow floor from a high wall at x = 0 to x = 1; u of the floor is x, the wall lies in the upper half."""
    mesh = bpy.data.meshes.new("Corner")
    floor = [(0, -0.05, 0), (1, -0.05, 0), (1, 0.05, 0), (0, 0.05, 0)]
    wall = [(0, -50, 0), (0, 50, 0), (0, 50, 1), (0, -50, 1)]
    mesh.from_pydata([*floor, *wall], [], [(0, 1, 2, 3), (4, 5, 6, 7)])
    corners = [(0, 0), (1, 0), (1, 0.5), (0, 0.5), (0, 0.5), (1, 0.5), (1, 1), (0, 1)]
    layer = mesh.uv_layers.new(name="Artist")
    layer.uv.foreach_set("vector", np.array(corners, np.float32).reshape(-1))
    mesh.materials.append(_principled("Plain", (0.2, 0.4, 0.6), 0.3, 1.0))
    obj = bpy.data.objects.new("Corner", mesh)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def occlusion() -> Any:
    """Along the floor, away from the wall; whether something is left, and a big thing above it that is not its own."""
    try:
        enable()
        obj = _corner()
        bpy.ops.mesh.primitive_plane_add(size=100, location=(0, 0, 5))
        bpy.context.view_layer.objects.active = obj
        counts = _counts()
        assert bpy.ops.pgc.bake_set(size="512", margin=0, occlusion=True) == {"FINISHED"}
        version = obj.pgc.versions[0]
        image = next(entry.image for entry in version.maps if entry.name == "occlusion")
        pixels = _pixels(image)[384:496]
        return {
            "maps": [entry.name for entry in version.maps],
            "space": image.colorspace_settings.name,
            "at": {str(u): float(pixels[:, int(u * 512) - 8 : int(u * 512) + 8].mean()) / 255 for u in (0.25, 0.75)},
            "added": {kind: number - counts[kind] for kind, number in _counts().items() if number != counts[kind]},
        }
    finally:
        disable()


def undo() -> Any:
    """One undo step takes all of it back."""
    try:
        enable()
        obj = _strip()
        bpy.context.view_layer.objects.active = obj
        bpy.context.view_layer.update()
        bpy.ops.ed.undo_push(message="start")
        before, counts = scene_digest(), _counts()
        bpy.ops.pgc.bake_set(size="512")
        bpy.ops.ed.undo_push(message="baked")
        bpy.ops.ed.undo()
        obj = bpy.data.objects["Strip"]
        return {"versions": len(obj.pgc.versions), "same": scene_digest() == before, "counts": _counts() == counts}
    finally:
        disable()


def udim() -> Any:
    """Two tiles: the columns of the second are the third and fourth quad."""
    try:
        enable()
        obj = _strip(2)
        bpy.context.view_layer.objects.active = obj
        from blender_addon.scene.pictures.bake import BakeOptions, bake_materials
        from blender_addon.scene.pictures.images import new_packed_image

        baked = bake_materials(bpy.context, obj, BakeOptions(size=SIZE))
        found = {}
        for tile, png in baked.maps["metallic"].items():
            pixels = _pixels(new_packed_image("t", png, "linear"))
            found[str(tile)] = [pixels[16, 8].tolist(), pixels[16, 24].tolist()]
        return found
    finally:
        disable()


def parked() -> Any:
    """The tiles of a bake where the right half is the left one's mirror image, its UVs a unit to the right: of one
    material, and each half of its own."""
    try:
        enable()
        obj = _strip()
        bpy.context.view_layer.objects.active = obj
        from blender_addon.scene.pictures.bake import BakeOptions, bake_materials

        places = np.array([(x + dx, dy) for x in range(4) for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1))], np.float32)
        right = np.repeat(np.arange(4) >= 2, 4)
        u = np.where(right, 1 + (4 - places[:, 0]) / 2, places[:, 0] / 2)
        layer = obj.data.uv_layers["Artist"]
        layer.uv.foreach_set("vector", np.stack([u, places[:, 1]], axis=1).astype(np.float32).reshape(-1))
        found = {}
        for name, slots in (("one", (0, 0, 0, 0)), ("two", (0, 0, 1, 1))):
            obj.data.polygons.foreach_set("material_index", np.array(slots, np.int32))
            maps = bake_materials(bpy.context, obj, BakeOptions(size=SIZE)).maps
            found[name] = [list(tiles) for tiles in maps.values()]
        return found
    finally:
        disable()


def refusals() -> Any:
    """What cannot be baked, and that nothing is left behind."""
    try:
        enable()
        obj = _strip()
        bpy.context.view_layer.objects.active = obj
        from blender_addon.scene.errors import SceneError
        from blender_addon.scene.pictures.bake import BakeOptions, bake_materials

        counts, said = _counts(), []
        bare = bpy.data.meshes.new("Bare")
        bare.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
        empty = bpy.data.objects.new("Bare", bare)
        for target, options in ((empty, BakeOptions()), (obj, BakeOptions(uv_map="Nowhere"))):
            try:
                bake_materials(bpy.context, target, options)
            except SceneError as error:
                said.append(error.text)
        bpy.data.objects.remove(empty)
        bpy.data.meshes.remove(bare)
        bpy.ops.object.mode_set(mode="EDIT")
        try:
            bake_materials(bpy.context, obj, BakeOptions())
        except SceneError as error:
            said.append(error.text)
        return {"said": said, "poll": bpy.ops.pgc.bake_set.poll(), "left": _counts() != counts}
    finally:
        disable()
