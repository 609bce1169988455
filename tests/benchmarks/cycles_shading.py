# SPDX-License-Identifier: Apache-2.0
"""Our shading against Cycles, with the same materials and light: python -m tests.benchmarks.cycles_shading BPY_PYTHON

BPY_PYTHON is a Python with Blender's bpy (4.2 or later). Writes results/cycles_shading.json and .webp: for every
environment a row of balls by Cycles, the same by us, and their difference times eight. Errors are RMSE of sRGB values
after the tone curve, in percent of full scale, over the disc inside its silhouette (two pixels less).

Cycles' Principled differs on purpose: exact Fresnel of an index of 1.5 instead of Schlick's, and for metals Schlick's
with a tint; its noise at these samples is part of the figures.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from pgc.rendering.brdf import MIN_COSINE
from pgc.rendering.environment import Environment, colored_key, overcast, prefilter, sky, studio
from pgc.rendering.light import Light
from pgc.rendering.pbr_shading import SurfaceSamples, split_sum
from pgc.rendering.tone_curve import picture_from_radiance

MATERIALS = (
    (0.9, 0.6, 0.3, 1.0, 0.15),
    (0.9, 0.6, 0.3, 1.0, 0.4),
    (0.9, 0.9, 0.9, 1.0, 0.8),
    (0.7, 0.15, 0.1, 0.0, 0.2),
    (0.2, 0.4, 0.6, 0.0, 0.6),
    (0.8, 0.8, 0.8, 0.0, 1.0),
)
"""Linear base colour, metallic, roughness."""
SIZE = 40
SAMPLES = 64


def by_cycles(python: str, environments: list[Environment]) -> np.ndarray:
    """[environments, materials, size, size, 4], linear."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [f"{index}.npy" for index in range(len(environments))]
        for file, environment in zip(files, environments, strict=True):
            np.save(folder / file, environment.radiance.numpy())
        job = {"environments": files, "materials": MATERIALS, "size": SIZE, "samples": SAMPLES}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        script = Path(__file__).with_name("cycles_render.py")
        subprocess.run([python, str(script), str(folder)], check=True, stdout=subprocess.DEVNULL, timeout=3600)
        return np.load(folder / "result.npy")


def by_us(environment: Environment, material: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear picture [size, size, 3], and the disc."""
    step = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    z, x = torch.meshgrid(-step, step, indexing="ij")
    inside = x * x + z * z < 0.999
    normal = torch.stack([x, -(1 - x * x - z * z).clamp_min(0).sqrt(), z], dim=-1)[inside]
    points = len(normal)
    view = torch.tensor([0.0, -1.0, 0.0]).expand(points, 3)
    samples = SurfaceSamples(
        view_index=torch.zeros(points, dtype=torch.long),
        normal=F.normalize(normal, dim=1),
        view=view,
        cosine=(normal * view).sum(1, keepdim=True).clamp(MIN_COSINE, 1.0),
        base_color=torch.tensor(material[:3]).expand(points, 3),
        roughness=torch.full((points, 1), material[4]),
        metallic=torch.full((points, 1), material[3]),
        occlusion=torch.ones(points, 1),
    )
    image = torch.zeros(SIZE, SIZE, 3)
    image[inside] = split_sum(samples, Light(environment=prefilter(environment)))
    return image, (x * x + z * z).sqrt() < 1 - 2 * 2 / SIZE


def main() -> None:
    """Renders, compares and writes."""
    torch.set_num_threads(1)
    environments = [studio(), sky(), overcast(), colored_key()]
    cycles = torch.from_numpy(by_cycles(sys.argv[1], environments))
    rows: list[torch.Tensor] = []
    table: dict[str, list[float]] = {}
    squares: list[float] = []
    for index, environment in enumerate(environments):
        lines: tuple[list[torch.Tensor], ...] = ([], [], [])
        for at, material in enumerate(MATERIALS):
            ours, disc = by_us(environment, material)
            ours, theirs = picture_from_radiance(ours), picture_from_radiance(cycles[index, at, :, :, :3])
            square = float((ours - theirs)[disc].square().mean())
            squares.append(square)
            table.setdefault(environment.name, []).append(round(100 * square**0.5, 2))
            for line, image in zip(lines, (theirs, ours, 0.5 + 8 * (ours - theirs) * disc[..., None]), strict=True):
                line.append(image)
        rows += [torch.cat(line, dim=1) for line in lines]
    sheet = (torch.cat(rows).clamp(0, 1) * 255).round().byte().numpy()
    results = Path(__file__).parent / "results"
    Image.fromarray(sheet).save(results / "cycles_shading.webp", quality=88, method=6)
    facts = {
        "what": "our shading against Cycles; see tests/benchmarks/cycles_shading.py",
        "materials": MATERIALS,
        "rmse_percent": table,
        "rmse_percent_of_all_pictures": round(100 * (sum(squares) / len(squares)) ** 0.5, 2),
        "samples": SAMPLES,
    }
    (results / "cycles_shading.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
