# SPDX-License-Identifier: Apache-2.0
"""Inside Blender: textured models from GLB, each rendered by Cycles under several lights."""

from collections.abc import Mapping, Sequence
from typing import Any

import bpy
import numpy as np
from probe_demo import frame
from probe_world_light import light_with

__all__ = ["render_models"]


def render_models(models: Sequence[Mapping[str, Any]], lights: Sequence[str], size: int) -> Any:
    """Each model ("glb", "pictures": one .png a light) alone on a floor; `lights` are .npy of radiance."""
    radiance = [np.load(light) for light in lights]
    for model in models:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.ops.import_scene.gltf(filepath=model["glb"])
        obj = next(item for item in bpy.context.scene.objects if item.type == "MESH")
        frame(obj, (size, size))
        for values, picture in zip(radiance, model["pictures"], strict=True):
            light_with(bpy.context.scene, values)
            bpy.context.scene.render.filepath = picture
            bpy.ops.render.render(write_still=True)
    return bpy.app.version_string
