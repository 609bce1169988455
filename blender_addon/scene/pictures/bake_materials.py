# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of materials for a bake: with one channel as their emission, and the image to bake into as the active node."""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from ...model.maps import MAPS

__all__ = ["BakeMaterial"]

_INPUTS = {
    "ShaderNodeBsdfPrincipled": {name: row.socket for name, row in MAPS.items()},
    "ShaderNodeBsdfDiffuse": {"base_color": "Color"},
    "ShaderNodeBsdfGlossy": {"base_color": "Color", "roughness": "Roughness", "metallic": 1.0},
    "ShaderNodeBsdfAnisotropic": {"base_color": "Color", "roughness": "Roughness", "metallic": 1.0},
    "ShaderNodeBsdfMetallic": {"base_color": "Base Color", "roughness": "Roughness", "metallic": 1.0},
}
"""Shader node -> channel -> identifier of the input that says it, or what it is always; else the map's default."""

_FAR = 1e6
"""In units of the scene: all of the object counts, however far away."""


class BakeMaterial:
    """A copy of a material, made for a bake and removed after it.

    Args:
        original: None: an empty slot, which Blender draws in gray.
        occlusion_rays: a pixel, 1 to 128, where occlusion is shown.
    """

    def __init__(self, original: bpy.types.Material | None, occlusion_rays: int = 0) -> None:
        self.material = original.copy() if original is not None else bpy.data.materials.new("PGC Bake")
        if bpy.app.version < (5, 0, 0):
            # From 5.0 on it always has nodes, and saying so is deprecated.
            had_nodes = self.material.use_nodes
            self.material.use_nodes = True
        else:
            had_nodes = True
        self.name = original.name if original is not None else ""
        self.approximated = False
        """Whether a shader was met whose channels are not known; its viewport colour stands for it."""
        tree = self.material.node_tree
        self._tree = tree
        self._output = tree.get_output_node("CYCLES")
        if self._output is None:
            self._output = tree.nodes.new("ShaderNodeOutputMaterial")
        links = self._output.inputs["Surface"].links
        self._surface = links[0].from_socket if links and had_nodes and original is not None else None
        self._rays = occlusion_rays
        self._image = tree.nodes.new("ShaderNodeTexImage")
        self._emission = tree.nodes.new("ShaderNodeEmission")

    def show(self, channel: str, image: bpy.types.Image) -> None:
        """Makes the material emit base_color, roughness, metallic or occlusion, or be as it is for "normal"; into the
        image.
        """
        self._image.image = image
        self._tree.nodes.active = self._image
        if channel == "normal":
            if self._surface is not None:
                self._tree.links.new(self._surface, self._output.inputs["Surface"])
            return
        source = self._occlusion() if channel == "occlusion" else self._value(self._surface, channel)
        self._tree.links.new(source, self._emission.inputs["Color"])
        self._tree.links.new(self._emission.outputs["Emission"], self._output.inputs["Surface"])

    def remove(self) -> None:
        """Takes the copy away."""
        bpy.data.materials.remove(self.material)

    def _occlusion(self) -> bpy.types.NodeSocket:
        """How much of the light from all around comes in: nothing is in the bake's scene but the object."""
        node = self._tree.nodes.new("ShaderNodeAmbientOcclusion")
        node.samples = self._rays
        node.inputs["Distance"].default_value = _FAR
        return node.outputs["Color"]

    def _value(self, shader: bpy.types.NodeSocket | None, channel: str) -> bpy.types.NodeSocket:
        """The colour socket that holds a channel of what comes out of a shader socket."""
        if shader is None:
            return self._viewport(channel)
        node = shader.node
        if node.bl_idname == "NodeReroute":
            return self._value(_source(node.inputs[0]), channel)
        if node.bl_idname == "ShaderNodeMixShader":
            factor, first, second = node.inputs
            return self._mixed(factor, [self._value(_source(item), channel) for item in (first, second)])
        known = _INPUTS.get(node.bl_idname)
        if known is None:
            return self._viewport(channel)
        place = known.get(channel, MAPS[channel].default)
        if isinstance(place, float):
            return self._constant((place,) * 3)
        entry = next(item for item in node.inputs if item.identifier == place)
        source = _source(entry)
        if source is not None:
            return source
        value = entry.default_value
        return self._constant(tuple(value[:3]) if channel == "base_color" else (value,) * 3)

    def _mixed(self, factor: bpy.types.NodeSocket, sides: Sequence[bpy.types.NodeSocket]) -> bpy.types.NodeSocket:
        mix = self._tree.nodes.new("ShaderNodeMix")
        mix.data_type = "RGBA"
        sockets = {item.identifier: item for item in mix.inputs}
        source = _source(factor)
        if source is None:
            sockets["Factor_Float"].default_value = factor.default_value
        else:
            self._tree.links.new(source, sockets["Factor_Float"])
        for side, name in zip(sides, ("A_Color", "B_Color"), strict=True):
            self._tree.links.new(side, sockets[name])
        return next(item for item in mix.outputs if item.identifier == "Result_Color")

    def _viewport(self, channel: str) -> bpy.types.NodeSocket:
        """What the material shows where nodes are not drawn."""
        self.approximated = True
        if channel == "base_color":
            return self._constant(tuple(self.material.diffuse_color[:3]))
        return self._constant((getattr(self.material, channel, MAPS[channel].default),) * 3)

    def _constant(self, color: Sequence[float]) -> bpy.types.NodeSocket:
        node = self._tree.nodes.new("ShaderNodeRGB")
        node.outputs[0].default_value = (*color, 1.0)
        return node.outputs[0]


def _source(socket: bpy.types.NodeSocket) -> bpy.types.NodeSocket | None:
    return socket.links[0].from_socket if socket.is_linked else None
