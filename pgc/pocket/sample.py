# SPDX-License-Identifier: Apache-2.0
"""Pictures from the prior alone, without any texture: a look at what guidance will ask for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from numpy.typing import NDArray
from torch import Tensor

from pgc.pocket.conditioning import depth_condition, lit_condition
from pgc.pocket.data.lit_render import LitRenderConfig, render_lit
from pgc.pocket.data.materials import COLORS, MATERIALS
from pgc.pocket.data.render import RenderConfig, render_sample

# Far from the training set's seed: shapes and views that training never saw.
_UNSEEN_SEED = 90_001
_PHRASES = {"wood": "wooden", "checker": "checkered", "stripes": "striped", "dots": "polka dot", "rust": "rusty"}


@dataclass(frozen=True)
class SampleConfig:
    """The settings of drawing pictures from the prior."""

    steps: int = 16
    guidance_scale: float = 4.0


def load_pipeline(folder: Path) -> StableDiffusionControlNetPipeline:
    """Loads the prior as a ready diffusers pipeline on the CPU, with a fast sampler."""
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def unseen_depths(count: int, seed: int, size: int = 128) -> Tensor:
    """Renders depth pictures [count, 3, size, size] of shapes that are not in the training set."""
    samples = [render_sample(index, _UNSEEN_SEED + seed, RenderConfig(size=size)) for index in range(count)]
    depth = torch.from_numpy(np.stack([sample.depth for sample in samples]))[:, None]
    mask = torch.from_numpy(np.stack([sample.mask for sample in samples]))[:, None]
    return depth_condition(depth, mask)


def unseen_lit(count: int, seed: int, size: int = 128) -> tuple[Tensor, Tensor]:
    """Renders depth pictures [count, 3, size, size] and known materials [count, K, size, size] of unseen scenes and
    lights."""
    config = LitRenderConfig(render=RenderConfig(size=size, focal=(0.95, 1.6)), materials=1, flat_share=0.0, drawn=2)
    samples = [render_lit(index, _UNSEEN_SEED + seed, config)[0] for index in range(count)]
    depth = torch.from_numpy(np.stack([one.depth for one in samples]))[:, None]
    shading = torch.from_numpy(np.stack([one.shading for one in samples])).permute(0, 3, 1, 2).float() / 255.0
    return depth_condition(depth, depth > 0), shading


def sample(
    pipeline: StableDiffusionControlNetPipeline,
    prompts: list[str],
    depths: Tensor,
    seed: int,
    config: SampleConfig | None = None,
    *,
    shading: Tensor | None = None,
) -> NDArray[np.uint8]:
    """Draws pictures [B, H, W, 3] for prompts [B] on depth pictures [B, 3, H, W]; a second edition may be told the
    light."""
    config = config or SampleConfig()
    channels = int(pipeline.controlnet.config["conditioning_channels"])
    condition = depths if channels == depths.shape[1] else lit_condition(depths, shading, channels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        images, _ = pipeline(
            prompts,
            image=condition,
            num_inference_steps=config.steps,
            guidance_scale=config.guidance_scale,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
            return_dict=False,
        )
    return np.round(np.asarray(images) * 255.0).astype(np.uint8)


def sample_grid(pipeline: StableDiffusionControlNetPipeline, seed: int, columns: int = 6) -> NDArray[np.uint8]:
    """Draws all materials (rows) in ``columns`` colours, each on another unseen shape."""
    rows = []
    for row, material in enumerate(MATERIALS):
        colors = [COLORS[(row * columns + column) % len(COLORS)] for column in range(columns)]
        prompts = [f"a {color} {_PHRASES.get(material, material)} object, flat lighting" for color in colors]
        images = sample(pipeline, prompts, unseen_depths(columns, seed + row), seed + row)
        rows.append(np.concatenate(list(images), axis=1))
    return np.concatenate(rows, axis=0)


LIT_PROMPTS = (
    "polished gold", "brushed copper", "rusty iron", "matte blue plastic", "glossy red plastic", "wet cobblestone",
    "matte green metal", "polished chrome",
)  # fmt: skip


def lit_grid(pipeline: StableDiffusionControlNetPipeline, seed: int, columns: int = 6) -> NDArray[np.uint8]:
    """Draws `LIT_PROMPTS` (rows) on unseen shapes under as many lights; above them the rough silver that tells the
    light."""
    depths, shading = unseen_lit(columns, seed)
    told = np.round(shading[:, -3:].permute(0, 2, 3, 1).numpy() * 255.0).astype(np.uint8)
    rows = [np.concatenate(list(told), axis=1)]
    for row, prompt in enumerate(LIT_PROMPTS):
        prompts = [f"{prompt}, soft lighting"] * columns
        images = sample(pipeline, prompts, depths, seed + row, shading=shading)
        rows.append(np.concatenate(list(images), axis=1))
    return np.concatenate(rows, axis=0)
