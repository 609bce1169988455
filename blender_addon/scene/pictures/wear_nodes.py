# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of wear in a version's material: nodes between what it shows and its shader, which come and go as a whole.

The pictures beneath are never changed. Each layer mixes the maps that it has over those below, as far as its mask is
white and its strength says; maps that it lacks, and occlusion, stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy

from ...model.maps import MAPS
from ..errors import SceneError
from .materials import PACKED

__all__ = ["check_wearable", "has_shader", "set_wear_strength", "show_wear"]

_OURS = "pgc_wear"
"""Custom property of our nodes: the layer's place, from 0."""
_STRENGTH = "pgc_wear_strength"
_MIXED = {"base_color": ("RGBA", "Color"), "roughness": ("FLOAT", "Float"), "metallic": ("FLOAT", "Float"),
          "normal": ("VECTOR", "Vector")}  # fmt: skip
"""How each map is mixed: the node's type, and the ending of its sockets."""


def has_shader(material: bpy.types.Material) -> bool:
    """Says whether a material has the shader that layers are mixed before."""
    return _shader(material) is not None


def check_wearable(material: bpy.types.Material) -> None:
    """Checks that a material can show layers.

    Raises:
        SceneError: somebody has taken its shader away.
    """
    if not has_shader(material):
        raise SceneError(
            f"The material {material.name} has no Principled BSDF any more, which layers of wear are mixed before; add "
            "one, or remove the material, and the version makes a new one."
        )


def _shader(material: bpy.types.Material) -> bpy.types.Node | None:
    nodes = material.node_tree.nodes if material.node_tree is not None else ()
    return next((node for node in nodes if node.bl_idname == "ShaderNodeBsdfPrincipled"), None)


def show_wear(material: bpy.types.Material, layers: Sequence[Any]) -> None:
    """Makes a material show these layers of wear (`PGC_PG_wear`), the first lowest, in place of those that it had.

    Raises:
        SceneError: it has no shader any more.
    """
    check_wearable(material)
    tree, shader = material.node_tree, _shader(material)
    _take_off(tree, shader)
    for place, layer in enumerate(layers):
        factor = _factor(tree, layer, place)
        for name, output in _maps(tree, layer, place).items():
            _mix(tree, _shader_socket(shader, name), name, (output, factor), place)


def set_wear_strength(material: bpy.types.Material, layers: Sequence[Any]) -> bool:
    """Gives the nodes that are there the layers' strengths; returns False where nodes or masks are missing."""
    found = {node[_OURS]: node for node in material.node_tree.nodes if _OURS in node and _STRENGTH in node}
    if set(found) != set(range(len(layers))) or any(layer.mask is None for layer in layers):
        return False
    for place, layer in enumerate(layers):
        found[place].inputs[1].default_value = 0.0 if layer.hidden else layer.strength
    return True


def _take_off(tree: bpy.types.NodeTree, shader: bpy.types.Node) -> None:
    for name in _MIXED:
        socket = _shader_socket(shader, name)
        while socket.is_linked and _OURS in (mix := socket.links[0].from_node):
            below = _named(mix.inputs, f"A_{_MIXED[name][1]}")
            source = below.links[0].from_socket if below.is_linked else None
            tree.links.remove(socket.links[0])
            if source is not None and (_OURS not in source.node or source.node.bl_idname == "ShaderNodeMix"):
                tree.links.new(source, socket)
    for node in [node for node in tree.nodes if _OURS in node]:
        tree.nodes.remove(node)


def _mix(
    tree: bpy.types.NodeTree,
    socket: bpy.types.NodeSocket,
    name: str,
    what: tuple[bpy.types.NodeSocket, bpy.types.NodeSocket],
    place: int,
) -> None:
    """Puts a node before a socket of the shader that mixes a layer's map over what is there."""
    kind, ending = _MIXED[name]
    mix = _new(tree, "ShaderNodeMix", place, (-150.0, 300.0 - 160.0 * list(_MIXED).index(name)))
    mix.data_type = kind
    below = _named(mix.inputs, f"A_{ending}")
    if socket.is_linked:
        tree.links.new(socket.links[0].from_socket, below)
    elif name == "normal":
        smooth = _new(tree, "ShaderNodeNewGeometry", place, (-400.0, -500.0))
        tree.links.new(smooth.outputs["Normal"], below)
    else:
        below.default_value = socket.default_value
    tree.links.new(what[0], _named(mix.inputs, f"B_{ending}"))
    tree.links.new(what[1], _named(mix.inputs, "Factor_Float"))
    tree.links.new(_named(mix.outputs, f"Result_{ending}"), socket)


def _factor(tree: bpy.types.NodeTree, layer: Any, place: int) -> bpy.types.NodeSocket:  # noqa: ANN401
    """White of the mask times strength; nothing where somebody has deleted the mask."""
    times = _new(tree, "ShaderNodeMath", place, (-400.0, -300.0))
    times.operation = "MULTIPLY"
    times[_STRENGTH] = True
    times.inputs[1].default_value = 0.0 if layer.hidden else layer.strength
    times.inputs[0].default_value = 0.0
    if layer.mask is not None:
        tree.links.new(_texture(tree, layer.mask, layer.mask_uv_map, place, -300.0), times.inputs[0])
    return times.outputs[0]


def _maps(tree: bpy.types.NodeTree, layer: Any, place: int) -> dict[str, bpy.types.NodeSocket]:  # noqa: ANN401
    found: dict[str, bpy.types.NodeSocket] = {}
    for row, entry in enumerate(one for one in layer.maps if one.image is not None):
        if entry.name not in (*_MIXED, PACKED):
            continue
        color = _texture(tree, entry.image, layer.uv_map, place, -600.0 - 300.0 * row)
        if entry.name == PACKED:
            split = _new(tree, "ShaderNodeSeparateColor", place, (-400.0, -600.0 - 300.0 * row))
            tree.links.new(color, split.inputs["Color"])
            found |= {"roughness": split.outputs[1], "metallic": split.outputs[2]}
        elif entry.name == "normal":
            relief = _new(tree, "ShaderNodeNormalMap", place, (-400.0, -600.0 - 300.0 * row))
            relief.uv_map = layer.uv_map
            tree.links.new(color, relief.inputs["Color"])
            found["normal"] = relief.outputs["Normal"]
        else:
            found[entry.name] = color
    return found


def _texture(
    tree: bpy.types.NodeTree, image: bpy.types.Image, uv_map: str, place: int, height: float
) -> bpy.types.NodeSocket:
    uv = _new(tree, "ShaderNodeUVMap", place, (-1000.0, height))
    uv.uv_map = uv_map
    texture = _new(tree, "ShaderNodeTexImage", place, (-700.0, height))
    texture.image = image
    tree.links.new(uv.outputs["UV"], texture.inputs["Vector"])
    return texture.outputs["Color"]


def _new(tree: bpy.types.NodeTree, kind: str, place: int, location: tuple[float, float]) -> bpy.types.Node:
    node = tree.nodes.new(kind)
    node[_OURS] = place
    # Each layer stands in a column of its own, left of the one before.
    node.location = (location[0] - 1100.0 * (place + 1), location[1])
    return node


def _shader_socket(shader: bpy.types.Node, name: str) -> bpy.types.NodeSocket:
    return _named(shader.inputs, "Normal" if name == "normal" else MAPS[name].socket)


def _named(sockets: Any, identifier: str) -> bpy.types.NodeSocket:  # noqa: ANN401 - a bpy collection
    """By identifier: names are translated, and a mix node has several of one name."""
    return next(socket for socket in sockets if socket.identifier == identifier)
