# SPDX-License-Identifier: Apache-2.0
"""Strokes on versions. A stroke is what a brush leaves: pixels that changed, in an image that is not stored yet."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from probe_keep_mask import _said
from probe_panel import _operators, draw
from probe_session import Rig, enable, materials
from probe_version_cases import ends_cleanly
from probes import _png, _ramp

STROKE = 0.2


def _picture(version: Any) -> bpy.types.Image:
    return version.maps["base_color"].image


def _pixels(image: bpy.types.Image) -> np.ndarray:
    """float32 [pixels, 4]."""
    values = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(values)
    return values.reshape(-1, 4)


def _stroke(image: bpy.types.Image, start: int = 0) -> None:
    values = _pixels(image)
    values[start : start + 64, :3] = STROKE
    image.pixels.foreach_set(values.ravel())


def _stroked(image: bpy.types.Image, start: int = 0) -> bool:
    return bool(np.abs(_pixels(image)[start : start + 64, :3] - STROKE).max() < 0.01)


def _said_of_strokes() -> list[str]:
    log = draw()
    found = [text for kind, text in log if kind == "label" and ("Strokes" in text or "painted on" in text)]
    return found + [one for one in _operators(log) if one in ("pgc.paint_on_copy", "pgc.restore_version")]


def _listed(obj: bpy.types.Object, made: np.ndarray) -> list[list[Any]]:
    """Name, whether it is for painting, and whether its pixels are right: as made, or with a stroke at the start."""
    found = []
    for version in obj.pgc.versions:
        image = _picture(version)
        right = _stroked(image) if version.painted else np.array_equal(_pixels(image), made)
        found.append([version.name, version.painted, right])
    return found


def _shown(obj: bpy.types.Object) -> list[int]:
    material = obj.material_slots[0].material
    return [index for index, version in enumerate(obj.pgc.versions) if version.material == material]


@ends_cleanly
def strokes() -> Any:
    """Ordinary painting on what an object shows: what is said, and what is kept."""
    enable()
    rig = Rig()
    rig.finish(rig.run(), png=_png(_ramp(32)))
    obj, paint = rig.obj, bpy.context.scene.tool_settings.image_paint
    twin = obj.copy()
    bpy.context.scene.collection.objects.link(twin)
    image = _picture(obj.pgc.versions[0])
    made = _pixels(image)
    found: dict[str, Any] = {"at first": _said_of_strokes()}
    paint.mode, paint.canvas = "IMAGE", image
    bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
    rig.tick()
    found["ordinary painting"] = _said_of_strokes()
    paint.canvas = bpy.data.images.new("Mine", 8, 8)
    found["another image"] = _said_of_strokes()
    paint.canvas = image
    _stroke(image)
    revision = rig.state.revision
    rig.tick()
    assert rig.state.revision > revision, "the panel is not drawn again"
    found["painted"] = _said_of_strokes()

    bpy.ops.ed.undo_push(message="stroke")
    before, twin_name = materials(obj), twin.name
    assert bpy.ops.pgc.paint_on_copy() == {"FINISHED"}
    same = paint.canvas == image == _picture(obj.pgc.versions[1]) and materials(obj) == before
    in_twin = _listed(twin, made) == _listed(obj, made) and _picture(twin.pgc.versions[0]) != image
    found["kept"] = [
        _listed(obj, made),
        _shown(obj),
        "same canvas, material and look" if same else "changed",
        _said_of_strokes(),
        "in the copy of the object too" if in_twin else "not in the copy of the object",
    ]
    bpy.ops.ed.undo_push(message="Keep as New Version")
    for name, step in (("undone", bpy.ops.ed.undo), ("redone", bpy.ops.ed.redo)):
        step()
        rig.tick()
        obj, twin = bpy.data.objects["Shown"], bpy.data.objects[twin_name]
        found[name] = [len(obj.pgc.versions), _said_of_strokes(), _stroked(_picture(obj.pgc.versions[-1]))]
    paint = bpy.context.scene.tool_settings.image_paint
    image = _picture(obj.pgc.versions[1])
    paint.canvas = image
    _stroke(image, 64)
    found["stroke on the copy"] = _said_of_strokes()
    bpy.ops.pgc.version_compare()
    found["compared"] = _shown(obj)

    original = _picture(obj.pgc.versions[0])
    _stroke(original)
    assert bpy.ops.pgc.restore_version(index=0) == {"FINISHED"}
    rig.tick()
    paint.canvas = None
    found["restored"] = [_listed(obj, made), _shown(obj), _said_of_strokes()]

    _stroke(_picture(obj.pgc.versions[0]))
    bpy.ops.object.mode_set(mode="OBJECT")
    path = Path(bpy.app.tempdir) / "painted.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    found["saved"] = [_listed(obj, made), _shown(obj)]
    bpy.ops.wm.open_mainfile(filepath=str(path))
    obj = bpy.data.objects["Shown"]
    found["opened"] = [_listed(obj, made), _shown(obj)]
    found["one stored stroke more"] = _stroked(_picture(obj.pgc.versions[1]), 64)

    bpy.context.view_layer.objects.active = obj
    folder = Path(bpy.app.tempdir) / "maps"
    bpy.ops.pgc.version_move_to_disk(index=0, directory=str(folder))
    _stroke(_picture(obj.pgc.versions[0]))
    for file in folder.iterdir():
        file.unlink()
    said = _said(lambda: bpy.ops.pgc.paint_on_copy(index=0))[0]
    words = "is missing" if "is missing" in said else said
    found["file is gone"] = [words, len(obj.pgc.versions), bool(_picture(obj.pgc.versions[0]).is_dirty)]
    return found
