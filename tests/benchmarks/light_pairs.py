# SPDX-License-Identifier: Apache-2.0
"""Pictures to train a ControlNet for light on, with what it is shown of each: FlashTex's three channels.

    python -m tests.benchmarks.light_pairs --out pairs --count 2000 --size 1024

Known materials of the material suite on its meshes, each from a drawn camera under a drawn environment, rendered as
runs render. The folder is an ImageFolder of the library datasets: `metadata.jsonl` names a picture (`file_name`), its
condition (`conditioning_image_file_name`) and its words (`text`) in each line. `pgc/distillation/README.md` has the
command that trains on it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.evaluation.materials.truth import SUITE_MATERIALS, SUITE_MESHES, bake_truth, suite_mesh
from pgc.evaluation.pictures import to_bytes
from pgc.guidance.diffusion.light_controls import flashtex_image
from pgc.lighting.environments import eyes_of
from pgc.rendering.compositing import composite
from pgc.rendering.environment import random_environment
from pgc.rendering.known_materials import lit_white_of
from pgc.rendering.light import Light, ViewedLight
from pgc.rendering.pbr_shading import pbr
from pgc.rendering.prefilter import prefilter
from pgc.rendering.raster.gbuffer import surface_points
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.finished_texture import FinishedTexture
from pgc.whole_files import write_picture

_EXPOSURE = 0.6
_ENVIRONMENT_SEED = 40_000_000


@torch.no_grad()
def light_pair(number: int, seed: int, size: int, texture_size: int) -> tuple[torch.Tensor, torch.Tensor, str]:
    """Renders picture `number`: itself and its condition, [1, 3, size, size] in [0, 1], and its words."""
    rng = np.random.default_rng([seed, number])
    mesh, kind = int(rng.integers(SUITE_MESHES)), SUITE_MATERIALS[int(rng.integers(len(SUITE_MATERIALS)))]
    _, triangles = suite_mesh(mesh)
    truth = FinishedTexture(bake_truth(triangles, kind, texture_size, int(rng.integers(2**31))))
    cameras = SphereCameraSampler(SphereSamplerConfig(focal=(1.1, 1.6))).sample(1, rng)
    gbuffer = WarpRasterizer(triangles, device=torch.device("cpu")).render(cameras, (size, size))
    drawn = torch.Generator().manual_seed(_ENVIRONMENT_SEED + int(rng.integers(2**31)))
    light = Light(
        environment=prefilter(random_environment(drawn)),
        rotation=float(rng.uniform(0.0, 2.0 * math.pi)),
        exposure=float(rng.uniform(-_EXPOSURE, _EXPOSURE)),
    )
    viewed = ViewedLight(light=light, eye=eyes_of(cameras))
    lit = pbr(gbuffer, truth.sample(surface_points(gbuffer)), light, eye=viewed.eye)
    background = torch.from_numpy(rng.uniform(0.0, 1.0, (1, 3, 1, 1))).float()
    picture = composite(lit, gbuffer.coverage, background)
    return picture, flashtex_image(lit_white_of(gbuffer, viewed)), kind.replace("_", " ")


def main(arguments: Sequence[str] | None = None) -> None:
    """Renders all pairs, and lists them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--texture-size", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    for name in ("count", "size", "texture_size"):
        if getattr(given, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(given, name)}; expected 1 or more")
    given.out.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(given.count):
        names = f"{number:06d}.png", f"{number:06d}_light.png"
        picture, condition, words = light_pair(number, given.seed, given.size, given.texture_size)
        for name, image in zip(names, (picture, condition), strict=True):
            write_picture(given.out / name, Image.fromarray(to_bytes(image)[0]))
        lines.append(json.dumps({"file_name": names[0], "conditioning_image_file_name": names[1], "text": words}))
    (given.out / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write(f"{given.out}: {len(lines)} pairs\n")


if __name__ == "__main__":
    main()
