# SPDX-License-Identifier: Apache-2.0
"""Lit training renders: sphere-traced shapes in metals, plastics and patterns, shaded exactly as runs shade.

Shading, environments and tone curve are those of ``pgc.rendering``, so that the prior sees in training what a texture
is shown as in a run; and so is the picture of the known materials, which tells it the light.
``render_lit(scene, …)`` depends on nothing but its arguments.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pgc.color_space import linear_from_srgb
from pgc.pocket.data.finishes import LitMaterial, PbrPoints, draw_material, draw_pattern, material_points
from pgc.pocket.data.lit_captions import LitLighting, write_lit_caption
from pgc.pocket.data.render import RenderConfig, TrainingCamera, light_factors, plain_background, visible_shape
from pgc.pocket.data.shapes import normals
from pgc.rendering.brdf import MIN_COSINE
from pgc.rendering.environment import colored_key, overcast, random_environment, sky, studio
from pgc.rendering.known_materials import SHADING_CHANNELS, known_shading
from pgc.rendering.light import Light
from pgc.rendering.pbr_shading import SurfaceSamples, split_sum
from pgc.rendering.prefilter import PrefilteredEnvironment, prefilter
from pgc.rendering.tone_curve import picture_from_radiance

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class LitRenderConfig:
    """What the lit renders look like. Lenses are longer than the first edition's: those of its runs are among them."""

    render: RenderConfig = field(default_factory=lambda: RenderConfig(focal=(0.95, 1.6)))
    materials: int = 3
    """Pictures of one shape from one camera, each of another material under another light."""
    flat_share: float = 0.15
    """Share of pictures that show base colour alone, and no light with it."""
    exposure: float = 0.6
    drawn: int = 24
    """Environments of random tints and lamps, beside the four that have a name."""
    named_share: float = 0.6
    patterns_from: int = 2400
    """From this scene on all materials are patterns under a finish: wet stone is seldom drawn otherwise, and a prior of
    the scenes before, trained for 3,200 steps, painted it dry."""


@dataclass(frozen=True)
class LitSample:
    """One render. ``shading`` shows the known materials, all 0 where there is no light to tell of."""

    image: NDArray[np.uint8]  # [size, size, 3], sRGB
    depth: Floats  # [size, size], 0 off the object
    shading: NDArray[np.uint8]  # [size, size, SHADING_CHANNELS], sRGB
    caption: str
    kind: str
    finish: str
    lighting: LitLighting


@dataclass(frozen=True)
class _Surface:
    """What one camera sees: all subsamples that hit, and one of them for every pixel that has any."""

    points: Floats  # [P, 3]
    normal: Floats  # [P, 3]
    view: Floats  # [P, 3], towards the camera
    hit: NDArray[np.bool_]  # [fine * fine]
    chosen: NDArray[np.int64]  # [Q] rows of points
    pixels: NDArray[np.int64]  # [Q] the pixel of each


@functools.cache
def training_environments(drawn: int) -> tuple[PrefilteredEnvironment, ...]:
    """Makes the four named environments, then ``drawn`` others; none of them is one of a run's or the suite's draws."""
    others = [random_environment(torch.Generator().manual_seed(700_000 + index)) for index in range(drawn)]
    return tuple(prefilter(one) for one in (studio(), overcast(), sky(), colored_key(), *others))


def _draw_light(rng: np.random.Generator, config: LitRenderConfig, pool: Sequence[PrefilteredEnvironment]) -> Light:
    named = rng.random() < config.named_share
    index = int(rng.integers(4)) if named or len(pool) == 4 else int(rng.integers(4, len(pool)))
    exposure = float(rng.uniform(-config.exposure, config.exposure))
    return Light(environment=pool[index], rotation=float(rng.uniform(0.0, 2.0 * np.pi)), exposure=exposure)


def _surface(
    camera: TrainingCamera, hit: NDArray[np.bool_], points: Floats, normal: Floats, config: RenderConfig
) -> _Surface:
    view = camera.position - points
    view = view / np.linalg.norm(view, axis=-1, keepdims=True)
    blocks = (config.size, config.supersample, config.size, config.supersample)
    row = np.full(hit.shape, -1, np.int64)
    row[hit] = np.arange(len(points))
    best = row.reshape(blocks).transpose(0, 2, 1, 3).reshape(config.size**2, -1).max(axis=1)
    pixels = np.flatnonzero(best >= 0)
    return _Surface(points, normal, view.astype(np.float32), hit, best[pixels], pixels)


def _samples(surface: _Surface, values: PbrPoints) -> SurfaceSamples:
    normal, view = (torch.from_numpy(np.asarray(part, np.float32)) for part in (surface.normal, surface.view))
    normal = F.normalize(normal, dim=-1)
    column = {"roughness": values.roughness, "metallic": values.metallic}
    scalars = {name: torch.from_numpy(value)[:, None] for name, value in column.items()}
    return SurfaceSamples(
        view_index=torch.zeros(len(normal), dtype=torch.long),
        normal=normal,
        view=view,
        cosine=(normal * view).sum(-1, keepdim=True).clamp(MIN_COSINE, 1.0),
        base_color=linear_from_srgb(torch.from_numpy(np.ascontiguousarray(values.base_color))),
        occlusion=torch.ones(len(normal), 1),
        **scalars,
    )


def _rows(samples: SurfaceSamples, rows: Tensor) -> SurfaceSamples:
    names = ("view_index", "normal", "view", "cosine", "base_color", "roughness", "metallic", "occlusion")
    return SurfaceSamples(**{name: getattr(samples, name)[rows] for name in names})


def _picture(
    rng: np.random.Generator, surface: _Surface, colors: Floats, material: LitMaterial, config: RenderConfig
) -> NDArray[np.uint8]:
    """Colours of the subsamples over a plain background, averaged to pixels."""
    fine = config.size * config.supersample
    image = np.broadcast_to(plain_background(rng, material.tone), (fine * fine, 3)).copy()
    image[surface.hit] = colors
    blocks = (config.size, config.supersample, config.size, config.supersample, 3)
    return np.round(image.reshape(blocks).mean((1, 3)) * 255.0).astype(np.uint8)


@torch.no_grad()
def render_lit(scene: int, seed: int, config: LitRenderConfig) -> list[LitSample]:
    """Renders the pictures of scene ``scene`` of the set ``seed``: one shape, one camera, several materials and
    lights."""
    rng = np.random.default_rng([seed, scene])
    setup = config.render
    shape, camera, view, (depth, rays) = visible_shape(rng, setup)
    hit = np.isfinite(depth)
    points = (camera.position + rays[hit] * depth[hit][:, None]).astype(np.float32)
    surface = _surface(camera, hit, points, normals(shape, points), setup)
    blocks = (setup.size, setup.supersample, setup.size, setup.supersample)
    covered = hit.reshape(blocks).sum((1, 3))
    depth_sum = np.where(hit, depth, 0.0).reshape(blocks).sum((1, 3))
    mean_depth = np.where(covered * 2 >= setup.supersample**2, depth_sum / np.maximum(covered, 1), 0.0)
    draw = draw_material if scene < config.patterns_from else draw_pattern
    drawn = [_one(rng, draw(rng), surface, camera, config) for _ in range(config.materials)]
    return [
        LitSample(
            image=image,
            depth=mean_depth.astype(np.float32),
            shading=shading,
            caption=write_lit_caption(rng, material, shape.name, view, lighting),
            kind=material.kind,
            finish=material.finish,
            lighting=lighting,
        )
        for material, lighting, image, shading in drawn
    ]


def _one(
    rng: np.random.Generator, material: LitMaterial, surface: _Surface, camera: TrainingCamera, config: LitRenderConfig
) -> tuple[LitMaterial, LitLighting, NDArray[np.uint8], NDArray[np.uint8]]:
    setup = config.render
    values = material_points(material, surface.points, surface.normal)
    shading = np.zeros((setup.size**2, SHADING_CHANNELS), np.uint8)
    if rng.random() < config.flat_share:
        factors = light_factors(rng, camera, surface.normal, "flat")
        flat = np.clip(values.base_color * factors[:, None], 0.0, 1.0)
        lighting: LitLighting = "flat"
        image = _picture(rng, surface, flat, material, setup)
    else:
        light = _draw_light(rng, config, training_environments(config.drawn))
        samples = _samples(surface, values)
        lighting = "environment"
        image = _picture(rng, surface, picture_from_radiance(split_sum(samples, light)).numpy(), material, setup)
        known = known_shading(_rows(samples, torch.from_numpy(surface.chosen)), light)
        shading[surface.pixels] = np.round(known.numpy() * 255.0).astype(np.uint8)
    return material, lighting, image, shading.reshape(setup.size, setup.size, SHADING_CHANNELS)
