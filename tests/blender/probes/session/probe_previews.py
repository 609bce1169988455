# SPDX-License-Identifier: Apache-2.0
"""The live preview on the mesh, and results that wait: what shows when, and what comes back."""

from typing import Any

import bpy
import numpy as np
from probe_awkward import AWKWARD
from probe_session import Rig, disable, enable, materials
from probes import digest


def _preview_pixels(obj: bpy.types.Object, name: str = "base_color") -> Any:
    """[H, W, 4] of the picture that the preview shows, or None."""
    material = obj.pgc.job.preview.material
    node = material.node_tree.nodes.get(f"pgc {name}") if material is not None else None
    if node is None:
        return None
    values = np.empty(node.image.size[0] * node.image.size[1] * 4, np.float32)
    node.image.pixels.foreach_get(values)
    return values.reshape(node.image.size[1], node.image.size[0], 4)


def awkward_scenes() -> Any:
    """In each awkward scene: a job with a preview that is cancelled; everything is as before."""
    from blender_addon.session.uv_checks import checks

    found = {}
    for name, make in AWKWARD.items():
        enable()
        rig = Rig()
        obj, options = make()
        bpy.context.view_layer.objects.active = obj
        bpy.context.view_layer.update()
        settings = bpy.context.scene.pgc
        settings.target = options.target
        if options.target == "slot":
            obj.active_material_index = options.slot
        if options.target == "selected_faces" and not any(polygon.select for polygon in obj.data.polygons):
            obj.data.polygons[0].select = True
        others = [other for other in bpy.data.objects if other.type == "MESH" and other != obj]
        before, before_others = digest(obj), [digest(other) for other in others]
        checks().accept(obj)  # Some of these UVs overlap or repeat, and would be refused at the first click.
        try:
            view = rig.run()
        except RuntimeError as error:
            found[name] = {"refused": str(error), "same": before == digest(obj), "sent": len(rig.fake.submitted)}
            disable()
            continue
        rig.preview()
        shown = "PGC Preview" in materials(obj)
        others_same = before_others == [digest(other) for other in others]
        bpy.ops.pgc.cancel()
        at_once = before == digest(obj)
        rig.finish(view, cancelled=True)
        found[name] = {
            "shown": shown,
            "others": others_same and before_others == [digest(other) for other in others],
            "at once": at_once,
            "same": before == digest(obj),
            "versions": len(obj.pgc.versions),
            "phase": view.phase.value,
            "note": view.note,
            "left": [
                item.name for item in (*bpy.data.images, *bpy.data.materials) if "Preview" in item.name and item.users
            ],
            "told": rig.fake.cancelled,
        }
        disable()
    return found


def faces() -> Any:
    """A preview on selected faces moves those only, also when the selection changes while the job runs."""
    enable()
    rig = Rig()
    obj, _ = AWKWARD["selected faces"]()
    bpy.context.view_layer.objects.active = obj
    bpy.context.scene.pgc.target = "selected_faces"
    before = digest(obj)
    view = rig.run()
    for polygon in obj.data.polygons:
        polygon.select = polygon.index == 5
    selected_other = digest(obj)
    rig.preview()
    found = {
        "shown": [obj.material_slots[polygon.material_index].material.name for polygon in obj.data.polygons],
        "asked": before != selected_other,
    }
    rig.finish(view)
    names = [obj.material_slots[polygon.material_index].material.name for polygon in obj.data.polygons]
    found |= {"final": names, "phase": view.phase.value, "slots": materials(obj)}
    disable()
    return found


def pixels() -> Any:
    """Colours as they came, the right way up, UDIM tiles side by side; maps beside the base color get sockets."""
    from blender_addon.client.events import JobPreview

    enable()
    rig = Rig()
    rig.run()
    image = np.zeros((2, 4, 3), np.uint8)
    image[0] = (255, 128, 0)
    rig.fake.say(JobPreview("job-1", 1, 3, "base_color", 1001, image[:2, :2], 0))
    rig.tick()
    values = _preview_pixels(rig.obj)
    found: dict[str, Any] = {"top": values[1, 0].tolist(), "bottom": values[0, 0].tolist()}
    blue = np.zeros((2, 2, 3), np.uint8)
    blue[:] = (0, 0, 255)
    rig.fake.say(JobPreview("job-1", 2, 4, "base_color", 1012, blue, 0))
    rig.tick()
    values = _preview_pixels(rig.obj)
    mapping = rig.obj.pgc.job.preview.material.node_tree.nodes["pgc mapping"]
    found |= {
        "atlas": list(values.shape),
        "tile 1001": values[1, 0, :3].tolist(),
        "tile 1012": values[2, 2, :3].tolist(),
        "scale": list(mapping.inputs["Scale"].default_value),
    }
    rig.preview((64, 64, 64), map="roughness")
    rig.preview((128, 128, 255), map="normal")
    rig.preview((1, 2, 3), map="a map of tomorrow")
    tree = rig.obj.pgc.job.preview.material.node_tree
    shader = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    found |= {
        "linked": sorted(socket.identifier for socket in shader.inputs if socket.is_linked),
        "roughness": round(float(_preview_pixels(rig.obj, "roughness")[0, 0, 0]), 3),
        "float": all(image.is_float for image in bpy.data.images),
    }
    disable()
    return found


def cycles_sees_the_preview() -> Any:
    """The preview's colour, rendered in even light with the Standard view, is the colour that came."""
    from probes import _seen_from_above

    enable()
    rig = Rig()
    rig.run()
    rig.preview((200, 90, 30))
    tree = rig.obj.pgc.job.preview.material.node_tree
    shader = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    next(socket for socket in shader.inputs if socket.identifier == "Specular IOR Level").default_value = 0.0
    seen = _seen_from_above(16)[8, 8] * 255
    disable()
    return [float(value) for value in seen]


def undo() -> Any:
    """Previews make no undo step; an undo in the middle of a job keeps the job, and leaves no preview behind."""
    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    bpy.ops.ed.undo_push(message="Start")
    view = rig.run()
    rig.preview()
    obj = bpy.data.objects["Shown"]
    obj.location.x = 2.0
    bpy.ops.ed.undo_push(message="Move, with a preview on")
    obj.location.x = 4.0
    bpy.ops.ed.undo_push(message="Move again")
    bpy.ops.ed.undo()
    rig.tick()
    obj = bpy.data.objects["Shown"]
    found: dict[str, Any] = {"x": obj.location.x, "live": view.live, "pending": len(obj.pgc.job.pending)}
    rig.preview((0, 255, 0))
    obj = bpy.data.objects["Shown"]
    found["preview"] = [materials(obj), [round(float(v), 2) for v in _preview_pixels(obj)[0, 0, :3]]]
    rig.finish(view)
    obj = bpy.data.objects["Shown"]
    found["final"] = materials(obj)
    bpy.ops.ed.undo()
    rig.tick()
    obj = bpy.data.objects["Shown"]
    found["undone"] = [materials(obj), obj.pgc.job.preview.key]
    bpy.ops.ed.redo()
    found["redone"] = materials(bpy.data.objects["Shown"])
    found["images"] = sorted(image.name for image in bpy.data.images if image.users)
    disable()
    return found


def modes() -> Any:
    """A result that comes in a mode where it cannot be applied waits, and is applied when the mode is left."""
    found = {}
    for mode, target in (
        ("EDIT", "object"),
        ("EDIT", "selected_faces"),
        ("SCULPT", "object"),
        ("TEXTURE_PAINT", "object"),
        ("VERTEX_PAINT", "object"),
    ):
        enable()
        rig = Rig()
        rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
        bpy.context.scene.pgc.target = target
        rig.obj.data.polygons[0].select = True
        view = rig.run()
        rig.preview()
        first = materials(rig.obj)
        bpy.ops.object.mode_set(mode=mode)
        rig.tick()
        rig.preview((0, 200, 0))
        within = materials(rig.obj)
        rig.finish(view)
        waits = [view.phase.value, view.note, materials(rig.obj)]
        bpy.ops.object.mode_set(mode="OBJECT")
        rig.tick()
        faces = [rig.obj.material_slots[polygon.material_index].material.name for polygon in rig.obj.data.polygons]
        found[f"{mode} {target}"] = {
            "first": first,
            "within": within,
            "waits": waits,
            "end": [view.phase.value, faces],
            "mode kept": rig.obj.mode,
        }
        disable()
    return found


def edit_mode_click() -> Any:
    """Generate in Edit Mode: what was edited counts, the mode and the selection stay."""
    import bmesh

    enable()
    rig = Rig()
    bpy.context.scene.pgc.target = "selected_faces"
    bpy.ops.object.mode_set(mode="EDIT")
    mesh = bmesh.from_edit_mesh(rig.obj.data)
    mesh.faces.ensure_lookup_table()
    bmesh.ops.subdivide_edges(mesh, edges=mesh.edges[:], cuts=1, use_grid_fill=True)
    mesh.faces.ensure_lookup_table()
    for face in mesh.faces:
        face.select_set(False)
    mesh.faces[0].select_set(True)
    bmesh.update_edit_mesh(rig.obj.data)
    rig.click()
    _, spec, arrays = rig.fake.submitted[-1]
    part = spec.meshes[0]
    mesh = bmesh.from_edit_mesh(rig.obj.data)
    found = {
        "mode": rig.obj.mode,
        "triangles": part.faces.shape[0],
        "textured": int(np.asarray(arrays[part.textured.sha256]).sum()),
        "selected": sum(face.select for face in mesh.faces),
    }
    disable()
    return found
