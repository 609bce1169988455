# SPDX-License-Identifier: Apache-2.0
"""Runs inside Blender's Python: balls of given materials under given environments, rendered by Cycles.

    BPY_PYTHON tests/benchmarks/cycles_render.py FOLDER

FOLDER holds job.json ({"environments": [files.npy], "materials": [[r, g, b, metallic, roughness]], "size", "samples"})
and gets result.npy, [environments, materials, size, size, 4], linear, row 0 at the top. No pgc in here.
"""

import json
import sys
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "blender" / "probes" / "program"))
from probe_world_light import light_with


def scene_of(size: int, samples: int) -> bpy.types.Scene:
    """A smooth unit ball seen straight from -Y."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = samples, False, False
    scene.cycles.pixel_filter_type, scene.cycles.seed = "BOX", 3
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.film_transparent = True
    scene.render.image_settings.file_format, scene.render.image_settings.color_depth = "OPEN_EXR", "32"
    scene.view_settings.view_transform = "Standard"
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    bpy.ops.mesh.primitive_uv_sphere_add(segments=128, ring_count=64, radius=1.0)
    for polygon in bpy.context.object.data.polygons:
        polygon.use_smooth = True
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type, camera.data.ortho_scale = "ORTHO", 2.0
    camera.location, camera.rotation_euler = (0.0, -10.0, 0.0), (np.pi / 2, 0.0, 0.0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene


def render(scene: bpy.types.Scene, material: list[float], file: Path) -> np.ndarray:
    """One picture [size, size, 4] of the ball in a Principled material."""
    made = bpy.data.materials.new("material")
    made.use_nodes = True
    inputs = made.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value = (*material[:3], 1.0)
    inputs["Metallic"].default_value, inputs["Roughness"].default_value = material[3:]
    ball = next(item for item in bpy.data.objects if item.type == "MESH")
    ball.data.materials.clear()
    ball.data.materials.append(made)
    scene.render.filepath = str(file)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(file))
    image.colorspace_settings.name = "Non-Color"
    pixels = np.empty(len(image.pixels), dtype=np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    size = scene.render.resolution_x
    return pixels.reshape(size, size, 4)[::-1]


def main() -> None:
    """Renders all pairs of the job."""
    folder = Path(sys.argv[-1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    scene = scene_of(job["size"], job["samples"])
    rows = []
    for name in job["environments"]:
        light_with(scene, np.load(folder / name))
        rows.append([render(scene, material, folder / "picture.exr") for material in job["materials"]])
    np.save(folder / "result.npy", np.array(rows))


if __name__ == "__main__":
    main()
