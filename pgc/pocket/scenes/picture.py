# SPDX-License-Identifier: Apache-2.0
"""Training pictures with their truth: one shape from one camera, several materials, each under a light of its own.

``render_scene(scene, split, config)`` depends on nothing but its arguments: data are made again from their seed, in any
order, by any number of processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from pgc.pocket.data.captions import View
from pgc.pocket.data.lit_render import training_environments
from pgc.pocket.data.render import RenderConfig, TrainingCamera, light_factors, plain_background, visible_shape
from pgc.pocket.data.shapes import ShapeName, normals
from pgc.pocket.scenes.relief import Floats, relief_normals
from pgc.pocket.scenes.shading import lit_colors, surface_samples_of
from pgc.pocket.swatches.draw import Drawn, Split, draw, drawn_values
from pgc.pocket.swatches.recipe import Values
from pgc.pocket.swatches.words import caption
from pgc.rendering.known_materials import SHADING_CHANNELS, known_shading
from pgc.rendering.light import Light
from pgc.rendering.prefilter import PrefilteredEnvironment

__all__ = ["SEEDS", "SceneConfig", "ScenePicture", "render_scene"]

SEEDS: dict[Split, int] = {"train": 1_301, "tune": 1_302, "test": 1_303}
"""Of shapes, cameras, lights and looks; no scene is in two sets."""


@dataclass(frozen=True)
class SceneConfig:
    """What the pictures look like. Lenses are those of runs."""

    render: RenderConfig = field(default_factory=lambda: RenderConfig(size=256, focal=(0.95, 1.6)))
    materials: int = 3
    flat_share: float = 0.35
    """Share of pictures that show base colour alone, and no light with it: what runs for base colour ask for."""
    exposure: float = 0.6
    environments: int = 24
    """Environments of random tints and lamps, beside the four that have a name."""
    two_materials: float = 0.18


@dataclass(frozen=True)
class ScenePicture:
    """One picture. Arrays are [size, size, …], 0 off the object."""

    image: NDArray[np.uint8]  # 3 channels, sRGB
    depth: Floats
    shading: NDArray[np.uint8]  # the known materials under the light, all 0 where the picture is flat
    truth: NDArray[np.uint8]  # 5 channels: base colour (sRGB), roughness, metallic
    caption: str
    drawn: Drawn
    shape: ShapeName
    view: View
    flat: bool


@dataclass(frozen=True)
class _Seen:
    """What the camera sees, at the fine raster that pixels are averaged of."""

    points: Floats  # [P, 3]
    normal: Floats  # [P, 3]
    view: Floats  # [P, 3], towards the camera
    hit: NDArray[np.bool_]  # [fine, fine]
    camera: TrainingCamera
    config: RenderConfig

    def raster(self, rows: Floats) -> Floats:
        """Puts rows [P, C] back in their places [fine, fine, C], 0 elsewhere."""
        full = np.zeros((*self.hit.shape, rows.shape[1]), np.float32)
        full[self.hit] = rows
        return full

    def pixels(self, fine: Floats) -> Floats:
        """Averages over the fine raster's blocks: [fine, fine, C] to [size, size, C]."""
        size, step = self.config.size, self.config.supersample
        means: Floats = fine.reshape(size, step, size, step, -1).mean((1, 3))
        return means


def _bytes(values: Floats) -> NDArray[np.uint8]:
    return np.round(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)


def _seen_means(seen: _Seen, rows: Floats) -> Floats:
    """Means [size, size, C] over what was hit of each pixel, 0 where less than half of it was."""
    cover = seen.pixels(seen.hit[..., None].astype(np.float32))
    means = seen.pixels(seen.raster(rows)) / np.maximum(cover, 1e-6)
    return np.where(cover >= 0.5, means, 0.0).astype(np.float32)


def _light(rng: np.random.Generator, config: SceneConfig, pool: Sequence[PrefilteredEnvironment]) -> Light:
    named = rng.random() < 0.5 or len(pool) == 4
    index = int(rng.integers(4)) if named else int(rng.integers(4, len(pool)))
    exposure = float(rng.uniform(-config.exposure, config.exposure))
    return Light(environment=pool[index], rotation=float(rng.uniform(0.0, 2.0 * np.pi)), exposure=exposure)


def _known(seen: _Seen, values: Values, light: Light) -> NDArray[np.uint8]:
    """The known materials under ``light``: of one subsample a pixel, on the shape itself, whose relief is not known."""
    size, step = seen.config.size, seen.config.supersample
    row = np.full(seen.hit.shape, -1, np.int64)
    row[seen.hit] = np.arange(len(seen.points))
    best = row.reshape(size, step, size, step).transpose(0, 2, 1, 3).reshape(size * size, -1).max(axis=1)
    pixels = np.flatnonzero(best >= 0)
    chosen = best[pixels]
    part = Values(*(field_[chosen] for field_ in (values.base_color, values.roughness, values.metallic, values.height)))
    shading = np.zeros((size * size, SHADING_CHANNELS), np.uint8)
    with torch.no_grad():
        samples = surface_samples_of(seen.normal[chosen], seen.view[chosen], part)
        shading[pixels] = _bytes(known_shading(samples, light).numpy())
    return shading.reshape(size, size, SHADING_CHANNELS)


def _one(
    rng: np.random.Generator, seen: _Seen, drawn: Drawn, config: SceneConfig
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], bool]:
    """(image, shading, truth, flat) of one material."""
    values = drawn_values(drawn, seen.points, seen.normal)
    flat = bool(rng.random() < config.flat_share)
    shading = np.zeros((config.render.size, config.render.size, SHADING_CHANNELS), np.uint8)
    if flat:
        colors = np.clip(values.base_color * light_factors(rng, seen.camera, seen.normal, "flat")[:, None], 0.0, 1.0)
    else:
        light = _light(rng, config, training_environments(config.environments))
        raised = (seen.raster(part) for part in (seen.points, seen.normal, values.height[:, None]))
        points, normal, height = raised
        bent = relief_normals(points, normal, height[..., 0], seen.hit)[seen.hit]
        colors = lit_colors(bent, seen.view, values, light)
        shading = _known(seen, values, light)
    picture = np.empty((*seen.hit.shape, 3), np.float32)
    picture[:] = plain_background(rng, drawn.first.look.main)
    picture[seen.hit] = colors
    rows = np.concatenate([values.base_color, values.roughness[:, None], values.metallic[:, None]], -1)
    return _bytes(seen.pixels(picture)), shading, _bytes(_seen_means(seen, rows)), flat


def render_scene(scene: int, split: Split, config: SceneConfig) -> list[ScenePicture]:
    """Renders the pictures of scene ``scene`` of the set ``split``."""
    rng = np.random.default_rng([SEEDS[split], scene])
    setup = config.render
    shape, camera, view, (depth, rays) = visible_shape(rng, setup)
    fine = setup.size * setup.supersample
    hit = np.isfinite(depth)
    points = (camera.position + rays[hit] * depth[hit][:, None]).astype(np.float32)
    towards = camera.position - points
    towards = (towards / np.linalg.norm(towards, axis=-1, keepdims=True)).astype(np.float32)
    seen = _Seen(points, normals(shape, points), towards, hit.reshape(fine, fine), camera, setup)
    seen_depth = _seen_means(seen, depth[hit][:, None].astype(np.float32))[..., 0]
    pictures = []
    for _ in range(config.materials):
        drawn = draw(rng, split, two=config.two_materials)
        image, shading, truth, flat = _one(rng, seen, drawn, config)
        text = caption(rng, drawn, shape.name, view, flat)
        pictures.append(ScenePicture(image, seen_depth, shading, truth, text, drawn, shape.name, view, flat))
    return pictures
