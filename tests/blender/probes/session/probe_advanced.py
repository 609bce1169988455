# SPDX-License-Identifier: Apache-2.0
"""The Advanced panel: a reference, what the model is shown, colors to start from; drawn, sent, or refused by name."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from probe_panel import _texts, draw
from probe_session import Rig, disable, enable
from probe_shapes import _rig


def _image(name: str, pixels: np.ndarray, **more: Any) -> bpy.types.Image:
    """An image of these values [H, W, 4], row 0 at the top."""
    height, width = pixels.shape[:2]
    image = bpy.data.images.new(name, width, height, alpha=True, **more)
    image.pixels.foreach_set(np.ascontiguousarray(pixels[::-1], np.float32).ravel())
    return image


def _refusal(rig: Rig) -> list[Any]:
    """What is said where Generate is refused, and the button; nothing must have been sent."""
    before = len(rig.fake.submitted)
    try:
        bpy.ops.pgc.generate()
    except RuntimeError as error:
        problem = rig.state.problem
        return [str(error), problem.operator if problem else "", len(rig.fake.submitted) - before]
    return ["", "", len(rig.fake.submitted) - before]


def loras(folder: str) -> Any:
    """Files are added to models that take some, by their bytes; what cannot be is refused before anything is sent."""
    rig, settings, place = _rig(), bpy.context.scene.pgc, Path(folder)
    for name in ("moss", "rust", "style.ckpt"):
        (place / (name if "." in name else f"{name}.safetensors")).write_bytes(name.encode() * 20)
    settings.lora_1, settings.lora_1_scale = str(place / "moss.safetensors"), 0.25
    found: dict[str, Any] = {"built-in": [len(_sent(rig)[0].guidance.loras), ("prop", "lora_1") in draw()]}
    settings.model = "sd15"
    drawn = draw()
    found["drawn"] = [
        ("prop", name) in drawn for name in ("lora_1", "lora_1_scale", "lora_2", "lora_2_scale", "lora_3")
    ]
    settings.lora_3, settings.lora_3_scale = str(place / "rust.safetensors"), -1.0
    spec, arrays = _sent(rig)
    found["sent"] = [[one.name, one.scale, bytes(arrays[one.file.sha256]).decode()] for one in spec.guidance.loras]
    bpy.ops.pgc.refine_shape()
    shape = rig.fake.submitted[-1]
    found["shape"] = [[one.name, one.file.sha256 in shape[2]] for one in shape[1].guidance.loras]
    settings.lora_1_scale = 0.0
    found["without strength"] = [one.name for one in _sent(rig)[0].guidance.loras]
    settings.lora_1_scale = 1.0
    # The same place, another file.
    (place / "moss.safetensors").write_bytes(b"fern" * 21)
    spec, arrays = _sent(rig)
    found["changed"] = bytes(arrays[spec.guidance.loras[0].file.sha256]).decode()
    for name in ("style.ckpt", "gone.safetensors", "rust.safetensors"):
        settings.lora_1 = str(place / name)
        found[name] = _refusal(rig)
    disable()
    return found


def added(folder: str) -> Any:
    """Learnt words go along by their bytes, the server's own models by their names; drawn where there are some."""
    from blender_addon.protocol.records import ModelInfo

    rig, settings, place = _rig(), bpy.context.scene.pgc, Path(folder)
    (place / "moss.safetensors").write_bytes(b"moss" * 20)
    names = ("embedding_1", "embedding_1_word", "embedding_2", "depth_model", "edges_model", "reference_adapter")
    shown = lambda: [("prop", name) in draw() for name in names]  # noqa: E731
    settings.prompt, settings.embedding_1 = "bricks with Moss", str(place / "moss.safetensors")
    settings.depth_model, settings.reference_adapter = "mine", "eye"
    found: dict[str, Any] = {"built-in": [len(_sent(rig)[0].guidance.embeddings), *shown()]}
    settings.model, settings.depth_model, settings.reference_adapter = "sd15", "", ""
    settings.use_edges, settings.reference = True, _image("Autumn", np.full((2, 2, 4), 1.0, np.float32))
    found["none"] = shown()
    rig.state.server.models = tuple(
        ModelInfo(key=key, state="installed") for key in ("sd15", "depth:mine", "edges:lines", "ip-adapter:eye")
    )
    found["listed"] = shown()
    settings.depth_model, settings.edges_model, settings.reference_adapter = "mine", "lines", "eye"
    settings.maps = {"base_color", "roughness"}
    spec, arrays = _sent(rig)
    found["sent"] = [[one.word, one.name, bytes(arrays[one.file.sha256]).decode()] for one in spec.guidance.embeddings]
    found["named"] = [[one.kind, one.model] for one in spec.conditions.controls]
    found["adapter"] = spec.conditions.reference.adapter
    settings.embedding_2 = settings.embedding_1
    found["twice"] = _refusal(rig)
    settings.embedding_2, settings.embedding_1_word = "", "lichen"
    found["no such word"] = _refusal(rig)
    settings.embedding_1_word = "two words"
    found["no word"] = _refusal(rig)
    (place / "wet moss.safetensors").write_bytes(b"wet" * 20)
    settings.embedding_1, settings.embedding_1_word = str(place / "wet moss.safetensors"), ""
    found["no word either"] = _refusal(rig)
    settings.embedding_1, settings.use_edges, settings.edges_model = "", True, "My Lines"
    found["no name"] = _refusal(rig)
    disable()
    return found


def _sent(rig: Rig) -> tuple[Any, Any]:
    """The newest job and its arrays; the job itself is given up."""
    view = rig.click()
    bpy.ops.pgc.cancel(key=view.key)
    _, spec, arrays = rig.fake.submitted[-1]
    return spec, arrays


def reference() -> Any:
    """A picture of the file goes along with its alpha; what cannot use it says so before anything is sent."""
    enable()
    rig, settings = Rig(), bpy.context.scene.pgc
    found: dict[str, Any] = {"none": _sent(rig)[0].conditions.reference is None}
    values = np.zeros((3, 2, 4), np.float32)
    values[0, 0], values[0, 1], values[2, 1] = (1.0, 0.5, 0.0, 1.0), (0.0, 1.0, 0.2, 0.5), (0.2, 0.4, 0.6, 1.0)
    settings.reference, settings.reference_scale = _image("Autumn", values), 0.25
    spec, arrays = _sent(rig)
    told = spec.conditions.reference
    found["scale"], found["pixels"] = told.scale, arrays[told.image.sha256].tolist()
    found["controls"] = len(spec.conditions.controls)
    settings.use_shuffle, settings.use_normal, settings.shuffle_scale = True, True, 0.75
    found["not the model's"] = len(_sent(rig)[0].conditions.controls)
    found["drawn"] = [("prop", name) in draw() for name in ("reference_scale", "use_depth", "use_normal")]
    found["why"] = "shown depth only" in _texts(draw())
    settings.model = "sd15"
    found["shown"] = [[one.kind, one.scale] for one in _sent(rig)[0].conditions.controls]
    found["sd15 drawn"] = [("prop", name) in draw() for name in ("use_normal", "use_shuffle", "use_tile")]
    settings.model = "flux"
    settings.use_depth_scale = True
    found["flux"] = [("prop", "use_depth") in draw(), _sent(rig)[0].conditions.depth_scale]
    settings.model = "sd15"
    settings.maps = {"base_color", "roughness"}
    found["lit drawn"] = "base color only" in _texts(draw())
    found["lit"] = _refusal(rig)
    settings.reference_scale = 0.0
    found["shuffled alone"] = _sent(rig)[0].conditions.reference.scale
    settings.use_shuffle = False
    found["off"] = _sent(rig)[0].conditions.reference is None
    settings.maps, settings.reference_scale = {"base_color"}, 0.5
    settings.reference = _image("Clear", np.zeros((4, 4, 4), np.float32))
    found["clear"] = _refusal(rig)
    gray = np.full((1, 1500, 4), 0.25, np.float32)
    gray[..., 3] = 1.0
    settings.reference = _image("Wide", gray, float_buffer=True)
    spec, arrays = _sent(rig)
    sent = arrays[spec.conditions.reference.image.sha256]
    found["linear and wide"] = [list(sent.shape), int(sent.min()), int(sent.max())]
    disable()
    return found


def regenerated() -> Any:
    """A version is made again with its own reference; where that is gone, it says so and the panel stays."""
    enable()
    rig, settings = Rig(), bpy.context.scene.pgc
    first, second = (_image(name, np.ones((2, 2, 4), np.float32)) for name in ("First", "Second"))
    settings.reference, settings.back_prompt = first, "moss"
    rig.finish(rig.run())
    settings.reference, settings.back_prompt = second, ""
    assert bpy.ops.pgc.version_regenerate(index=0) == {"FINISHED"}
    found: dict[str, Any] = {"again": [settings.reference.name, settings.back_prompt]}
    bpy.ops.pgc.cancel(key=rig.state.newest().key)
    settings.reference = second
    bpy.data.images.remove(first)
    try:
        bpy.ops.pgc.version_regenerate(index=0)
    except RuntimeError as error:
        found["gone"] = str(error)
    found["kept"] = settings.reference.name
    disable()
    return found


def starts() -> Any:
    """Colors of the mesh at corners or points; a grid where it can be; what no job may say is said."""
    enable()
    rig, settings = Rig(), bpy.context.scene.pgc
    found: dict[str, Any] = {"hidden": ("prop", "use_vertex_colors") in draw()}
    settings.use_vertex_colors = True
    found["no colors"] = _refusal(rig)
    mesh = rig.obj.data
    values = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 0.5, 1.0]]
    for domain, kind in (("CORNER", "FLOAT_COLOR"), ("POINT", "FLOAT_COLOR"), ("CORNER", "BYTE_COLOR")):
        attribute = mesh.color_attributes.new(f"{domain} {kind}", kind, domain)
        attribute.data.foreach_set("color", np.ravel(values))
        mesh.color_attributes.active_color = attribute
        bpy.context.view_layer.update()
        spec, arrays = _sent(rig)
        colors = arrays[spec.meshes[0].corner_colors.sha256]
        places = arrays[spec.meshes[0].positions.sha256][arrays[spec.meshes[0].faces.sha256]]
        found[f"{domain} {kind}"] = [
            list(colors.shape), [colors[np.all(places == place, axis=-1)][0].round(2).tolist() for place in
                                 ((-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0))]
        ]  # fmt: skip
    found["strength"] = spec.settings.strength
    settings.texture_field = "hashgrid"
    found["grid"] = [_sent(rig)[0].settings.texture_field, "starts anew" in _texts(draw())]
    settings.use_vertex_colors = False
    spec, _ = _sent(rig)
    found["plain"] = [spec.settings.texture_field, spec.settings.strength, spec.meshes[0].corner_colors is None]
    settings.maps = {"base_color", "normal"}
    found["lit grid"] = _sent(rig)[0].settings.texture_field
    settings.maps = {"base_color"}
    settings.loss = "rfds"
    found["another model's loss"] = _refusal(rig)
    disable()
    return found
