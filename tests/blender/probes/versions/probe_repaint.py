# SPDX-License-Identifier: Apache-2.0
"""A mask over every map: what a job gets of pictures, of values, of channels, and of several slots."""

from typing import Any

import bpy
import numpy as np
from probe_keep_mask import _mask, _own_material, _said
from probe_session import Rig, enable
from probe_version_cases import ends_cleanly

SIDE = 16


def _noise(seed: int, channels: int) -> np.ndarray:
    shape = (SIDE, SIDE) if channels == 1 else (SIDE, SIDE, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _image(name: str, pixels: np.ndarray, *, data: bool) -> bpy.types.Image:
    """An image of these bytes, row 0 at the top."""
    image = bpy.data.images.new(name, SIDE, SIDE, is_data=data)
    values = np.ones((SIDE, SIDE, 4), np.float32)
    values[..., :3] = (pixels if pixels.ndim == 3 else pixels[..., None]).astype(np.float32) / 255.0
    image.pixels.foreach_set(values[::-1].ravel())
    return image


def _node(shader: Any, image: bpy.types.Image) -> Any:
    node = shader.id_data.nodes.new("ShaderNodeTexImage")
    node.image = image
    return node


def _sent(rig: Rig) -> tuple[Any, dict[str, np.ndarray]]:
    """The newest job, and its images beside base colour."""
    rig.click()
    _, spec, arrays = rig.fake.submitted[-1]
    found = {name: arrays[images[0].array.sha256] for name, images in spec.initial_maps.items()}
    found["base_color"] = arrays[spec.initial_texture[0].array.sha256]
    bpy.ops.pgc.cancel(key=rig.state.newest().key)
    rig.tick()
    rig.state.jobs.clear()
    return spec, found


@ends_cleanly
def every_map() -> Any:
    """Pictures, packed channels, values and a normal map; then nodes that no mask can keep."""
    enable()
    rig = Rig()
    settings = bpy.context.scene.pgc
    settings.maps = {"base_color", "roughness", "metallic", "normal", "occlusion"}
    shader, texture = _own_material(rig)
    color, packed, relief = _noise(0, 3), _noise(1, 3), _noise(2, 3)
    texture.image = _image("Color", color, data=False)
    tree = shader.id_data
    split = tree.nodes.new("ShaderNodeSeparateColor")
    tree.links.new(_node(shader, _image("ORM", packed, data=True)).outputs["Color"], split.inputs["Color"])
    tree.links.new(split.outputs["Green"], shader.inputs["Roughness"])
    shader.inputs["Metallic"].default_value = 0.2
    bump = tree.nodes.new("ShaderNodeNormalMap")
    tree.links.new(_node(shader, _image("Relief", relief, data=True)).outputs["Color"], bump.inputs["Color"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    _mask(rig.obj)
    settings.soft_edge, settings.mask_anew = 12, True
    spec, found = _sent(rig)
    answer: dict[str, Any] = {
        "color": bool(np.array_equal(found["base_color"], color)),
        "roughness": bool(np.array_equal(found["roughness"], packed[..., 1])),
        "metallic": np.unique(found["metallic"]).tolist(),
        "normal": bool(np.array_equal(found["normal"], relief)),
        "names": sorted(found),
        "mask": [len(spec.lock_mask), spec.settings.soft_edge, spec.settings.mask_start],
    }
    settings.use_start = True
    answer["strength"] = _sent(rig)[0].settings.mask_start
    settings.use_start = False
    noise = tree.nodes.new("ShaderNodeTexNoise")
    tree.links.new(noise.outputs[0], shader.inputs["Metallic"])
    answer["nodes"] = _said(bpy.ops.pgc.generate)
    settings.maps = {"base_color", "roughness"}
    answer["without it"] = sorted(_sent(rig)[1])
    rig.obj.pgc.keep_mask = None
    settings.use_start, settings.maps = True, {"metallic"}
    spec, found = _sent(rig)
    answer["start"] = [sorted(found), spec.settings.soft_edge, len(spec.lock_mask)]
    return answer


@ends_cleanly
def several_slots() -> Any:
    """Two slots, each with a material and pictures of its own: each face's texels are its own slot's."""
    enable()
    rig = Rig()
    settings, obj = bpy.context.scene.pgc, rig.obj
    settings.maps = {"base_color", "roughness"}
    mesh = bpy.data.meshes.new("Two")
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (2, 0, 0), (2, 1, 0)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3), (1, 4, 5, 2)])
    layer = mesh.uv_layers.new(name="UVMap").uv
    left = (0, 0, 0.5, 0, 0.5, 1, 0, 1)
    layer.foreach_set(
        "vector", np.array([*left, *(part + (0.5 if at % 2 == 0 else 0) for at, part in enumerate(left))])
    )
    mesh.polygons[1].material_index = 1
    obj.data = mesh
    pictures, finishes = [_noise(3, 3), _noise(4, 3)], [_noise(5, 1), None]
    for picture, finish in zip(pictures, finishes, strict=True):
        shader, texture = _own_material(rig)
        texture.image = _image("Color", picture, data=False)
        if finish is None:
            shader.inputs["Roughness"].default_value = 1.0
        else:
            shader.id_data.links.new(
                _node(shader, _image("Finish", finish, data=True)).outputs["Color"], shader.inputs["Roughness"]
            )
    _mask(obj)
    answer = {}
    half = SIDE // 2
    for active in (0, 1):
        obj.active_material_index = active
        _, found = _sent(rig)
        color, rough = found["base_color"], found["roughness"]
        answer[f"active {active}"] = [
            bool(np.array_equal(color[:, :half], pictures[0][:, :half])),
            bool(np.array_equal(color[:, half:], pictures[1][:, half:])),
            bool(np.array_equal(rough[:, :half], finishes[0][:, :half])),
            np.unique(rough[:, half:]).tolist(),
        ]
    settings.target = "slot"
    _, found = _sent(rig)
    answer["slot"] = bool(np.array_equal(found["base_color"], pictures[1]))
    return answer
