# SPDX-License-Identifier: Apache-2.0
"""What words ask for less light: pictures of the built-in model that is not told the light, with and without them.

    python -m tests.benchmarks.light_words --out light-words.json

Each prompt on each of four meshes from one view, and with each wording from the same noise, so that wordings compare in
pairs. Light in a picture is what order-2 harmonics of the normal explain of the logarithm of its luminance, as a
standard deviation (`baked_light` of the material suite has the same of textures); highlights are how far its brightest
fiftieth lies above its median, in the same logarithms.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
from jaxtyping import Float
from torch import Tensor

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.evaluation.cache import environment, rounded, write_json
from pgc.evaluation.measures.statistics import mean_interval
from pgc.evaluation.meshes import EVALUATION_MESHES, evaluation_mesh
from pgc.guidance.diffusion.pocket import pocket_weights
from pgc.mesh import prepare_mesh
from pgc.pocket.conditioning import depth_condition, lit_condition
from pgc.pocket.sample import load_pipeline
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.penalties import harmonics

PROMPTS = ("matte blue plastic", "polished gold", "rusty iron", "red bricks", "dark wood", "green leather")
WORDINGS: dict[str, tuple[str, str]] = {
    "nothing": ("", ""),
    "soft lighting": (", soft lighting", ""),
    "flat lighting": (", flat lighting", ""),
    "albedo": (", albedo", ""),
    "not: shaded, soft lighting, studio lighting": ("", "shaded, soft lighting, studio lighting"),
    "flat lighting, and not: shaded, soft lighting": (", flat lighting", "shaded, soft lighting"),
}
"""What is added to the prompt, and what it is not to be."""
_SIZE, _SEED, _STEPS, _SCALE = 128, 4100, 12, 4.0
_DARKEST, _BRIGHTEST_SHARE = 0.02, 0.02


def light_in(picture: Float[Tensor, "3 h w"], normal: Float[Tensor, "3 h w"], mask: Tensor) -> tuple[float, float]:
    """Returns the standard deviation of what looks like light, and how far highlights stand out."""
    tone = picture.double().mean(dim=0)[mask].clamp_min(_DARKEST).log()
    basis = harmonics(normal.permute(1, 2, 0)[mask].double())
    fit = basis @ (torch.linalg.pinv(basis) @ tone)
    bright = torch.quantile(tone, 1.0 - _BRIGHTEST_SHARE) - tone.median()
    return float(fit.std()), float(bright)


def _views() -> list[GBuffer]:
    found = []
    for at, name in enumerate(EVALUATION_MESHES):
        mesh = prepare_mesh(evaluation_mesh(name)).triangles
        cameras = SphereCameraSampler(SphereSamplerConfig(focal=(1.35, 1.6))).sample(
            1, np.random.default_rng(_SEED + at)
        )
        found.append(WarpRasterizer(mesh, device=torch.device("cpu")).render(cameras, (_SIZE, _SIZE)))
    return found


@torch.no_grad()
def _pictures(
    pipeline: StableDiffusionControlNetPipeline, prompt: str, wording: tuple[str, str], views: Sequence[GBuffer]
) -> Float[Tensor, "b 3 h w"]:
    depth, mask = (torch.cat([getattr(view, name) for view in views]) for name in ("depth", "mask"))
    condition = depth_condition(depth, mask.float())
    condition = lit_condition(condition, None, int(pipeline.controlnet.config["conditioning_channels"]))
    images, _ = pipeline(
        [prompt + wording[0]] * len(views),
        negative_prompt=[wording[1]] * len(views),
        image=condition,
        num_inference_steps=_STEPS,
        guidance_scale=_SCALE,
        generator=torch.Generator().manual_seed(_SEED),
        output_type="np",
        return_dict=False,
    )
    return torch.from_numpy(np.asarray(images)).permute(0, 3, 1, 2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draws all pictures, measures them, and writes means and differences to no words in pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    pipeline, views = load_pipeline(pocket_weights()), _views()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in WORDINGS}
    for prompt in PROMPTS:
        for name, wording in WORDINGS.items():
            pictures = _pictures(pipeline, prompt, wording, views)
            found[name] += [
                light_in(one, view.normal[0], view.coverage[0, 0] >= 1.0)
                for one, view in zip(pictures, views, strict=True)
            ]
    plain = found["nothing"]
    rows = {
        name: {
            measure: {
                "mean": mean_interval([one[at] for one in values]),
                "less than without": mean_interval([b[at] - a[at] for a, b in zip(values, plain, strict=True)]),
            }
            for at, measure in enumerate(("light", "highlights"))
        }
        for name, values in found.items()
    }
    content = {
        "environment": environment(),
        "prompts": PROMPTS,
        "meshes": list(EVALUATION_MESHES),
        "steps": _STEPS,
        "guidance_scale": _SCALE,
        "n": len(plain),
        "wordings": rows,
    }
    write_json(given.out, rounded(content, 4))


if __name__ == "__main__":
    main()
