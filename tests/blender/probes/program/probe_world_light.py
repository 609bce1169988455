# SPDX-License-Identifier: Apache-2.0
"""Inside Blender: light from a picture of all directions, laid out as `pgc.rendering.latlong` says."""

import bpy
import numpy as np

__all__ = ["light_with"]


def light_with(scene: bpy.types.Scene, radiance: np.ndarray) -> None:
    """World light of a latitude-longitude picture [3, H, W], row 0 up, azimuth -180° first."""
    _, height, width = radiance.shape
    image = bpy.data.images.new("environment", width, height, float_buffer=True)
    image.colorspace_settings.name = "Non-Color"
    pixels = np.ones((height, width, 4), dtype=np.float32)
    # Blender's rows start at the bottom, and its columns run against the azimuth.
    pixels[..., :3] = radiance.transpose(1, 2, 0)[::-1, ::-1]
    image.pixels.foreach_set(pixels.ravel())
    image.pack()
    world = bpy.data.worlds.new("world")
    if bpy.app.version < (5, 0, 0):
        world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    background = next(node for node in nodes if node.bl_idname == "ShaderNodeBackground")
    texture = nodes.new("ShaderNodeTexEnvironment")
    texture.image = image
    links.new(texture.outputs["Color"], background.inputs["Color"])
    scene.world = world
