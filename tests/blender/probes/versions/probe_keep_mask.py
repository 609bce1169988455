# SPDX-License-Identifier: Apache-2.0
"""A mask of what stays: what a job gets of it, how it is painted, and what a real server makes of it."""

import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from probe_session import ADDON, Rig, enable, materials
from probe_version_cases import ends_cleanly
from probes import _png, _ramp

SIDE = 32


def _mask(obj: bpy.types.Object, side: int = 8) -> bpy.types.Image:
    """White where u < 1/2 and v > 1/4."""
    image = bpy.data.images.new("Mine", side, side, is_data=True)
    values = np.zeros((side, side, 4), np.float32)
    values[side // 4 :, : side // 2] = 1.0
    image.pixels.foreach_set(values.ravel())
    obj.pgc.keep_mask = image
    return image


def _with_version(picture: np.ndarray) -> Rig:
    """A rig whose object shows a version of this base colour."""
    rig = Rig()
    rig.obj.data.uv_layers[0].name = "Artist"
    view = rig.run()
    rig.finish(view, png=_png(picture))
    return rig


def _said(action: Any) -> list[str]:
    """The sentence in the panel after a click that was refused, and the operator that mends it."""
    from blender_addon.session import event_pump

    event_pump.show_problem(None)
    try:
        action()
    except RuntimeError:
        problem = event_pump.current_state().problem
        return [problem.text, problem.operator]
    return ["", ""]


@ends_cleanly
def job() -> Any:
    """The arrays that a job gets, in bytes; none without white."""
    enable()
    picture = _ramp(SIDE)
    rig = _with_version(picture)
    settings = bpy.context.scene.pgc
    settings.texture_size, settings.maps = "256", {"base_color", "occlusion"}
    image = _mask(rig.obj)
    rig.click()
    _, spec, arrays = rig.fake.submitted[-1]
    locked = arrays[spec.lock_mask[0].array.sha256]
    expected = np.zeros((SIDE, SIDE), np.uint8)
    expected[: SIDE * 3 // 4, : SIDE // 2] = 255
    found = {
        "mask": bool(np.array_equal(locked, expected)),
        "picture": bool(np.array_equal(arrays[spec.initial_texture[0].array.sha256], picture)),
        "tiles": [spec.lock_mask[0].tile, spec.initial_texture[0].tile],
        "size": [spec.settings.texture_size, rig.state.newest().request.texture_size],
        "all there": {ref.sha256 for ref in spec.refs().values()} <= set(arrays),
    }
    bpy.ops.pgc.cancel(key=rig.state.newest().key)
    rig.tick()
    rig.state.jobs.clear()
    image.pixels.foreach_set(np.zeros(8 * 8 * 4, np.float32))
    rig.click()
    _, spec, _ = rig.fake.submitted[-1]
    found["black"] = [len(spec.lock_mask), len(spec.initial_texture), spec.settings.texture_size]
    return found


def _red(image: bpy.types.Image) -> np.ndarray:
    """The first channel, [H, W], row 0 at the bottom."""
    values = np.empty(image.size[0] * image.size[1] * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return values.reshape(image.size[1], image.size[0], image.channels)[..., 0]


@ends_cleanly
def change() -> Any:
    """The mask read as what changes: what a job gets, and what is refused or warned of."""
    enable()
    rig = _with_version(_ramp(SIDE))
    settings, obj = bpy.context.scene.pgc, rig.obj
    settings.maps = {"base_color"}
    image = _mask(obj)
    obj.pgc.mask_reading = "CHANGE"
    rig.click()
    _, spec, arrays = rig.fake.submitted[-1]
    expected = np.full((SIDE, SIDE), 255, np.uint8)
    expected[: SIDE * 3 // 4, : SIDE // 2] = 0
    found: dict[str, Any] = {"mask": bool(np.array_equal(arrays[spec.lock_mask[0].array.sha256], expected))}
    bpy.ops.pgc.cancel(key=rig.state.newest().key)
    rig.tick()
    rig.state.jobs.clear()
    image.pixels.foreach_set(np.zeros(8 * 8 * 4, np.float32))
    found["black"] = _said(bpy.ops.pgc.generate)[0]
    image.pixels.foreach_set(np.ones(8 * 8 * 4, np.float32))
    rig.click()
    found["white"] = [len(rig.fake.submitted[-1][1].lock_mask), rig.state.newest().warning]
    return found


@ends_cleanly
def start() -> Any:
    """The next texture starts from what is shown: what a job gets, with and without a mask, and what is refused."""
    enable()
    rig = Rig()
    settings = bpy.context.scene.pgc
    settings.use_start, settings.strength, settings.maps = True, 0.25, {"base_color", "roughness"}
    found: dict[str, Any] = {"nothing": _said(bpy.ops.pgc.generate)[0]}
    settings.use_start = False
    rig.obj.data.uv_layers[0].name = "Artist"
    picture = _ramp(SIDE)
    rig.finish(rig.run(), png=_png(picture))
    settings.use_start = True
    rig.click()
    _, spec, arrays = rig.fake.submitted[-1]
    found["sent"] = [len(spec.lock_mask), round(spec.settings.strength, 6), spec.settings.texture_size]
    found["picture"] = bool(np.array_equal(arrays[spec.initial_texture[0].array.sha256], picture))
    found["warning"] = rig.state.newest().warning
    bpy.ops.pgc.cancel(key=rig.state.newest().key)
    rig.tick()
    rig.state.jobs.clear()
    settings.maps = {"base_color"}
    _mask(rig.obj)
    rig.click()
    _, spec, _ = rig.fake.submitted[-1]
    found["masked"] = [len(spec.lock_mask), len(spec.initial_texture), round(spec.settings.strength, 6)]
    bpy.ops.pgc.cancel(key=rig.state.newest().key)
    rig.tick()
    rig.state.jobs.clear()
    settings.use_start = False
    rig.click()
    found["off"] = rig.fake.submitted[-1][1].settings.strength
    return found


@ends_cleanly
def edits() -> Any:
    """Invert, Clear, Fill and Add Selected Faces, each taken back by undo; the tint follows while one paints."""
    enable()
    rig = _with_version(_ramp(SIDE))
    obj = rig.obj
    obj.data.uv_layers[0].uv.foreach_set("vector", np.array((0, 0, 0.5, 0, 0.5, 0.5, 0, 0.5), np.float32))
    before = _red(_mask(obj)).copy()
    obj.data.polygons.foreach_set("select", [False])
    found: dict[str, Any] = {}
    try:
        bpy.ops.pgc.edit_keep_mask(action="FACES")
    except RuntimeError as error:
        found["no faces"] = str(error).strip()
    obj.data.polygons.foreach_set("select", [True])
    bpy.ops.ed.undo_push(message="before")
    for action in ("INVERT", "CLEAR", "FILL", "FACES"):
        bpy.ops.pgc.edit_keep_mask(action=action)
        # What the window does after a click.
        bpy.ops.ed.undo_push(message=action)
        obj = bpy.data.objects["Shown"]
        found[action] = np.round(_red(obj.pgc.keep_mask)).astype(int)[[0, 0, 3, 7], [0, 7, 3, 0]].tolist()
        bpy.ops.ed.undo()
        obj = bpy.data.objects["Shown"]
        found[f"{action} undone"] = bool(np.array_equal(_red(obj.pgc.keep_mask), before))
        bpy.ops.ed.redo()
        again = _red(bpy.data.objects["Shown"].pgc.keep_mask)
        found[f"{action} redone"] = np.round(again).astype(int)[[0, 0, 3, 7], [0, 7, 3, 0]].tolist() == found[action]
        bpy.ops.ed.undo()
    obj = bpy.data.objects["Shown"]
    bpy.ops.pgc.paint_keep_mask()
    obj.pgc.mask_reading = "CHANGE"
    bpy.ops.pgc.edit_keep_mask(action="INVERT")
    rig.tick()
    tree = obj.material_slots[0].material.node_tree
    tint = next(one for node in tree.nodes for one in node.inputs if one.identifier == "B_Color").default_value
    canvas = bpy.context.scene.tool_settings.image_paint.canvas
    found["painting"] = [tint[2] > tint[0], canvas == obj.pgc.keep_mask, tree.nodes.active.image == obj.pgc.keep_mask]
    return found


@ends_cleanly
def mesh_masks() -> Any:
    """What of the mesh becomes white: weights, slots, what faces up, height; and Grow and Shrink."""
    enable()
    rig = _with_version(_ramp(SIDE))
    obj = rig.obj
    obj.data.uv_layers[0].uv.foreach_set("vector", np.array((0, 0, 1, 0, 1, 1, 0, 1), np.float32))
    obj.pgc.keep_mask = bpy.data.images.new("Mask", 64, 64, is_data=True)

    def made(action: str) -> np.ndarray:
        bpy.ops.pgc.edit_keep_mask(action="CLEAR")
        bpy.ops.pgc.edit_keep_mask(action=action)
        return np.array(obj.pgc.keep_mask.pixels[:]).reshape(64, 64, 4)[..., 0]

    def refused(action: str) -> str:
        try:
            bpy.ops.pgc.edit_keep_mask(action=action)
        except RuntimeError as error:
            return str(error).strip()
        return ""

    found: dict[str, Any] = {"no group": refused("GROUP")}
    group = obj.vertex_groups.new(name="Right")
    found["no weight"] = refused("GROUP")
    corners = np.array([vertex.co for vertex in obj.data.vertices])
    right = [int(index) for index in np.flatnonzero(corners[:, 0] > corners[:, 0].mean())]
    group.add(right, 0.5, "REPLACE")
    weights = made("GROUP")
    columns = (np.arange(64) + 0.5) / 64 * 0.5
    found["group"] = float(np.abs(weights - columns).max())
    obj.active_material_index = 0
    found["slot"] = float(made("SLOT").min())
    obj.rotation_euler = (0.0, 0.0, 0.0)
    bpy.context.view_layer.update()
    normal = obj.data.polygons[0].normal
    obj.rotation_euler = normal.rotation_difference((0.0, 0.0, 1.0)).to_euler()
    bpy.context.view_layer.update()
    found["up"] = float(made("UP").min())
    obj.rotation_euler = normal.rotation_difference((1.0, 0.0, 0.0)).to_euler()
    bpy.context.view_layer.update()
    found["sideways"] = refused("UP")
    found["flat"] = [refused("EDGES"), refused("CREVICES")]
    height = made("HEIGHT")
    found["height"] = [float(height.min()), float(height.max())]
    pixels = np.zeros((64, 64, 4), np.float32)
    pixels[20:30, 40:44, :3] = 1.0
    obj.pgc.keep_mask.pixels.foreach_set(pixels.ravel())
    sizes = []
    for action in ("GROW", "SHRINK", "SHRINK"):
        bpy.ops.pgc.edit_keep_mask(action=action)
        sizes.append(int(np.array(obj.pgc.keep_mask.pixels[:]).reshape(64, 64, 4)[..., 0].sum()))
    found["sizes"] = sizes
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    cube.pgc.keep_mask = bpy.data.images.new("Cube Mask", 256, 256, is_data=True)
    bpy.ops.pgc.edit_keep_mask(action="EDGES")
    worn = np.array(cube.pgc.keep_mask.pixels[:]).reshape(256, 256, 4)[..., 0]
    # Each of its six faces has 64 x 64 pixels for a side of 2; a band is 2 % of its diagonal wide, thus 2.2 pixels.
    found["cube"] = [float(worn.max()), int((worn > 0.01).sum())]
    cube.scale = (-1.0, 1.0, 1.0)
    bpy.context.view_layer.update()
    bpy.ops.pgc.edit_keep_mask(action="CLEAR")
    bpy.ops.pgc.edit_keep_mask(action="EDGES")
    found["mirrored"] = bool(np.array_equal(np.array(cube.pgc.keep_mask.pixels[:]).reshape(256, 256, 4)[..., 0], worn))
    from blender_addon.scene.painting.mask_values import inward_note

    notes = [inward_note(cube, "EDGES")]
    cube.data.flip_normals()
    found["inwards"] = [*notes, inward_note(cube, "CREVICES"), inward_note(cube, "UP")]
    cube.data.flip_normals()
    bpy.ops.object.mode_set(mode="EDIT")
    found["editing"] = refused("FACES")
    bpy.ops.object.mode_set(mode="OBJECT")
    layer = cube.data.uv_layers[0].uv
    uvs = np.empty(len(layer) * 2, np.float32)
    layer.foreach_get("vector", uvs)
    layer.foreach_set("vector", uvs * 40.0 + 40.0)
    found["elsewhere"] = refused("UP")
    layer.foreach_set("vector", uvs * 40.0 - 20.0)
    found["repeating"] = refused("HEIGHT")
    return found


@ends_cleanly
def own_material() -> Any:
    """Without a version, what the artist's own material shows is kept."""
    enable()
    rig = Rig()
    _, texture = _own_material(rig)
    texture.image = bpy.data.images.new("Own", 16, 16)
    texture.image.generated_color = (0.2, 0.4, 0.6, 1.0)
    _mask(rig.obj)
    rig.click()
    _, spec, arrays = rig.fake.submitted[-1]
    picture = arrays[spec.initial_texture[0].array.sha256]
    return [list(picture.shape), np.unique(picture.reshape(-1, 3), axis=0).tolist()]


@ends_cleanly
def deep_pictures() -> Any:
    """Pictures of more than 8 bits, which Blender keeps in linear light: the colours that a job gets, and what is
    said of what it does not get."""
    from blender_addon.scene.painting.keep_mask import kept_texture

    enable()
    rig = Rig()
    _, texture = _own_material(rig)
    _mask(rig.obj)
    found = {}
    for name, options, color in (
        ("bytes", {}, (0.5, 0.2, 0.0, 1.0)),
        ("float", {"float_buffer": True}, (0.2158605, 0.0331048, 0.0, 1.0)),
        ("data", {"float_buffer": True, "is_data": True}, (0.5, 0.2, 0.0, 1.0)),
        ("bright", {"float_buffer": True}, (4.0, 0.0, 0.0, 1.0)),
        ("alpha", {"alpha": True}, (0.5, 0.2, 0.0, 0.5)),
    ):
        image = bpy.data.images.new(name, 16, 16, **options)
        image.pixels.foreach_set(np.tile(np.float32(color), 256))
        texture.image = image
        kept = kept_texture(rig.obj, "", np.zeros((1, 2), np.float32))
        found[name] = [kept.picture[0, 0].tolist(), [note.split(";")[0].split(", which")[0] for note in kept.notes]]
    return found


def _own_material(rig: Rig) -> tuple[Any, Any]:
    """A material of the artist's on the object: its shader and the texture of its base colour."""
    material = bpy.data.materials.new("Mine")
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    texture = material.node_tree.nodes.new("ShaderNodeTexImage")
    material.node_tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    rig.obj.data.materials.append(material)
    return shader, texture


@ends_cleanly
def refusals() -> Any:
    """What a mask cannot be used with, and the sentence for it."""
    enable()
    rig = Rig()
    obj, settings = rig.obj, bpy.context.scene.pgc
    image = _mask(obj)
    found = {"nothing": _said(bpy.ops.pgc.generate)}
    obj.pgc.keep_mask = None
    view = rig.run()
    rig.finish(view)
    obj.pgc.keep_mask = image
    obj.data.uv_layers.new(name="Second")
    settings.uv_map = "Second"
    found["uv map"] = _said(bpy.ops.pgc.generate)
    settings.uv_map = ""
    obj.data.uv_layers.active = obj.data.uv_layers[0]
    uvs = np.array((0, 0, 1.5, 0, 1.5, 1, 0, 1), np.float32)
    obj.data.uv_layers[0].uv.foreach_set("vector", uvs)
    found["tiles"] = _said(bpy.ops.pgc.generate)
    obj.data.uv_layers[0].uv.foreach_set("vector", np.minimum(uvs, 1.0))
    image.pixels.foreach_set(np.ones(8 * 8 * 4, np.float32))
    found["white"] = _said(bpy.ops.pgc.generate)
    obj.pgc.versions[0].maps["base_color"].image = bpy.data.images.new("Odd", 48, 32)
    _mask(obj)
    found["odd"] = _said(bpy.ops.pgc.generate)
    found["sent"] = len(rig.fake.submitted)
    settings.target = "objects"
    found["several"] = _said(bpy.ops.pgc.generate)
    return found


@ends_cleanly
def painting(folder: str) -> Any:
    """New Mask, Paint Mask and Done Painting; what was painted is in the saved file."""
    enable()
    rig = Rig()
    found: dict[str, Any] = {"poll before": [bpy.ops.pgc.new_keep_mask.poll(), bpy.ops.pgc.paint_keep_mask.poll()]}
    rig.finish(rig.run(), png=_png(_ramp(64)))
    obj, paint = rig.obj, bpy.context.scene.tool_settings.image_paint
    other = bpy.data.images.new("Canvas", 4, 4)
    paint.mode, paint.canvas = "MATERIAL", other
    shared = getattr(paint, "unified_paint_settings", None) or bpy.context.scene.tool_settings.unified_paint_settings
    shared.use_unified_color, shared.color, shared.secondary_color = True, (1, 0, 0), (0, 0, 1)
    bpy.ops.pgc.new_keep_mask()
    mask = obj.pgc.keep_mask
    values = np.empty(64 * 64 * 4, np.float32)
    mask.pixels.foreach_get(values)
    black = not values.reshape(-1, 4)[:, :3].any()
    found["new"] = [list(mask.size), black, mask.colorspace_settings.name, obj.mode, paint.mode, paint.canvas == mask]
    found["colors"] = [list(shared.color), list(shared.secondary_color)]
    found["tint"] = [materials(obj), _pictures(obj.material_slots[0].material)]
    bpy.ops.ed.undo_push(message="stroke")
    bpy.ops.ed.undo()
    bpy.ops.ed.redo()
    rig.tick()
    obj = bpy.data.objects["Shown"]
    mask, paint = obj.pgc.keep_mask, bpy.context.scene.tool_settings.image_paint
    found["after undo"] = [obj.mode, materials(obj)]
    values.reshape(64, 64, 4)[:, 5:20, :3] = 1.0
    mask.pixels.foreach_set(values)
    bpy.ops.pgc.paint_keep_mask()
    other = bpy.data.images["Canvas"]
    shared = getattr(paint, "unified_paint_settings", None) or bpy.context.scene.tool_settings.unified_paint_settings
    found["colors then"] = [list(shared.color), list(shared.secondary_color)]
    found["done"] = [obj.mode, paint.mode, paint.canvas == other, materials(obj)]
    bpy.ops.pgc.paint_keep_mask()
    found["again"] = [obj.mode, paint.mode, paint.canvas == mask]
    # Left with the Tab key, and entered anew: Done still brings back how it was at first.
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.tick()
    found["left"] = materials(obj)
    bpy.ops.pgc.paint_keep_mask()
    bpy.ops.pgc.paint_keep_mask()
    found["in the end"] = [obj.mode, paint.mode, paint.canvas == other]
    path = str(Path(folder) / "scene.blend")
    bpy.ops.pgc.paint_keep_mask()
    bpy.ops.wm.save_as_mainfile(filepath=path)
    found["at save"] = materials(obj)
    rig.tick()
    found["after save"] = materials(obj)
    bpy.ops.wm.open_mainfile(filepath=path)
    obj = bpy.data.objects["Shown"]
    found["in file"] = [materials(obj), [one.name for one in bpy.data.materials if one.name.startswith("PGC")]]
    mask = obj.pgc.keep_mask
    kept = np.empty(64 * 64 * mask.channels, np.float32)
    mask.pixels.foreach_get(kept)
    found["saved"] = bool(np.array_equal(kept.reshape(64, 64, -1)[..., 0], values.reshape(64, 64, 4)[..., 0]))
    return found


def _pictures(material: bpy.types.Material) -> list[str]:
    nodes = material.node_tree.nodes
    return sorted(node.image.name for node in nodes if node.bl_idname == "ShaderNodeTexImage" and node.image)


def _pixels(version: Any, name: str) -> np.ndarray:
    """uint8 [S, S, 3], as Blender has it."""
    image = version.maps[name].image
    values = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(values)
    return np.round(values * 255).astype(np.uint8).reshape(image.size[1], image.size[0], 4)[..., :3]


@ends_cleanly
def while_painting() -> Any:
    """What else may happen meanwhile: a job whose result waits, UV maps and the mask that go, a mesh that is shared."""
    enable()
    rig = Rig()
    obj = rig.obj
    rig.finish(rig.run(), png=_png(_ramp(32)))
    _mask(obj)
    bpy.ops.pgc.paint_keep_mask()
    view = rig.run("job-2")
    rig.preview(job="job-2")
    found: dict[str, Any] = {"preview": materials(obj), "sent": len(rig.fake.submitted[-1][1].lock_mask)}
    rig.finish(view)
    found["held"] = [view.phase.value, materials(obj)]
    bpy.ops.pgc.paint_keep_mask()
    rig.tick()
    found["then"] = [view.phase.value, materials(obj), len(obj.pgc.versions)]
    bpy.ops.pgc.paint_keep_mask()
    obj.pgc.keep_mask = None
    rig.tick()
    found["no mask"] = [obj.mode, materials(obj), bpy.ops.pgc.paint_keep_mask.poll()]
    bpy.ops.object.mode_set(mode="OBJECT")
    twin = bpy.data.objects.new("Twin", obj.data)
    bpy.context.scene.collection.objects.link(twin)
    _mask(obj)
    bpy.ops.pgc.paint_keep_mask()
    found["shared"] = [materials(obj), materials(twin)]
    bpy.ops.pgc.paint_keep_mask()
    found["shared then"] = [materials(obj), materials(twin)]
    bpy.ops.pgc.paint_keep_mask()
    obj.data.uv_layers.remove(obj.data.uv_layers[0])
    obj.pgc.job.preview.key = ""
    rig.tick()
    found["no UVs"] = obj.mode
    return found


@ends_cleanly
def on_a_server(connection: str) -> Any:
    """Two prompts on one object, the second with a mask: what changed where."""
    from blender_addon.session import event_pump

    enable()
    bpy.context.preferences.addons[ADDON].preferences.connection = connection
    bpy.ops.mesh.primitive_plane_add()
    obj = bpy.context.object
    settings, state = bpy.context.scene.pgc, bpy.context.window_manager.pgc
    settings.steps, settings.texture_size, settings.warm_start = 2, "256", "off"
    names = ("base_color", "roughness", "metallic")
    settings.maps = set(names)
    phases = []
    for prompt in ("red bricks", "blue checker"):
        settings.prompt = prompt
        if phases:
            _mask(obj)
        assert bpy.ops.pgc.generate() == {"FINISHED"}
        end = time.monotonic() + 170
        while state.state not in {"done", "failed"} and time.monotonic() < end:
            event_pump.tick()
            time.sleep(0.02)
        assert state.state == "done", (state.state, state.message)
        phases.append(state.state)
    first, second = (np.dstack([_pixels(version, name) for name in names]) for version in obj.pgc.versions)
    same = (first == second).all(axis=-1)
    white = np.zeros((256, 256), bool)
    white[64:, :128] = True
    return {"kept": bool(same[white].all()), "changed": float(1.0 - same[~white].mean())}
