# SPDX-License-Identifier: Apache-2.0
"""Ground-truth pictures for the judge: procedural materials on meshes through the real rasteriser, and on the
sphere-traced shapes of the pocket prior's data set.

G-buffers of the judge's own meshes are traced once; each picture is then a fresh material at their surface points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from pgc.cameras import Camera, direction_from_angles
from pgc.errors import ConfigError
from pgc.evaluation.judge.judge import INPUT_SIZE, judge_input
from pgc.mesh import TriangleMesh
from pgc.pocket.data.materials import COLORS, MATERIALS, sample_material, shade_points
from pgc.pocket.data.render import RenderConfig, render_sample

__all__ = ["ExampleSet", "ViewBank", "material_examples", "random_cameras", "render_examples", "trace_views"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ExampleSet:
    """Pictures as the judge sees them, with their true labels."""

    inputs: UInt8[Tensor, "n 4 s s"]
    """`judge_input`, times 255."""
    colors: Int64[Tensor, " n"]
    materials: Int64[Tensor, " n"]

    @staticmethod
    def cat(sets: Sequence[ExampleSet]) -> ExampleSet:
        """Returns all examples of `sets`, one set after another."""
        return ExampleSet(
            inputs=torch.cat([s.inputs for s in sets]),
            colors=torch.cat([s.colors for s in sets]),
            materials=torch.cat([s.materials for s in sets]),
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ViewBank:
    """Visible surfaces without any material."""

    position: Float[Tensor, "n 3 h w"]
    normal: Float[Tensor, "n 3 h w"]
    mask: Bool[Tensor, "n 1 h w"]


def random_cameras(count: int, rng: np.random.Generator) -> list[Camera]:
    """Draws cameras all around (stratified in azimuth), with focal lengths and distances like those of the PGC
    paper."""
    cameras = []
    for index in range(count):
        azimuth = 2.0 * np.pi * (index + rng.uniform()) / count
        direction = direction_from_angles(float(azimuth), float(np.arcsin(rng.uniform(-0.75, 0.9))))
        distance = float(rng.uniform(2.0, 2.5))
        eye = (distance * direction[0], distance * direction[1], distance * direction[2])
        cameras.append(Camera.look_at(eye, focal=float(rng.uniform(0.8, 1.2))))
    return cameras


def trace_views(
    meshes: Sequence[TriangleMesh], views: int, size: int, seed: int, report: Callable[[str], None]
) -> ViewBank:
    """Traces the G-buffers of every mesh from `views` random cameras, at `size` x `size` pixels."""
    from pgc.rendering.raster.rasterizer import RasterizerConfig
    from pgc.rendering.raster.warp_rasterizer import WarpRasterizer

    position, normal, mask = [], [], []
    for index, mesh in enumerate(meshes):
        report(f"views of mesh {index + 1} of {len(meshes)}")
        config = RasterizerConfig(supersampling=1, cache_bytes=0)
        rasterizer = WarpRasterizer(mesh, device=torch.device("cpu"), config=config)
        cameras = random_cameras(views, np.random.default_rng([seed, index]))
        gbuffer = rasterizer.render(cameras, (size, size))
        position.append(gbuffer.position)
        normal.append(gbuffer.normal)
        mask.append(gbuffer.mask)
    return ViewBank(position=torch.cat(position), normal=torch.cat(normal), mask=torch.cat(mask))


def _lit(base: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, "n 3"], rng: np.random.Generator) -> np.ndarray:
    """Half of the pictures as stored, half under one soft light."""
    if rng.random() < 0.5:
        return base
    light = rng.normal(size=3) + np.array([0.0, 0.0, 0.8])
    ambient = rng.uniform(0.55, 0.9)
    facing = np.maximum(normal @ (light / np.linalg.norm(light)), 0.0)
    return np.clip(base * (ambient + (1.05 - ambient) * facing)[:, None], 0.0, 1.0)


def material_examples(bank: ViewBank, count: int, seed: int, report: Callable[[str], None]) -> ExampleSet:
    """Renders `count` pictures: colours and materials run through their product, views are drawn at random.

    Raises:
        ConfigError: the bank is empty.
    """
    if not len(bank.mask):
        raise ConfigError("The judge's bank of views is empty; trace at least one mesh.")
    inputs = torch.empty(count, 4, INPUT_SIZE, INPUT_SIZE, dtype=torch.uint8)
    labels = np.array([(i % len(COLORS), (i // len(COLORS)) % len(MATERIALS)) for i in range(count)], np.int64)
    for index, (color, material) in enumerate(labels):
        if index % 500 == 0:
            report(f"picture {index} of {count}")
        rng = np.random.default_rng([seed, index])
        view = int(rng.integers(len(bank.mask)))
        mask = bank.mask[view]
        position = bank.position[view][:, mask[0]].T.numpy()
        normal = bank.normal[view][:, mask[0]].T.numpy()
        params = sample_material(rng, COLORS[color], MATERIALS[material])
        base = _lit(shade_points(params, position, normal), normal, rng)
        image = torch.zeros(1, 3, *mask.shape[-2:])
        image[0, :, mask[0]] = torch.from_numpy(base.astype(np.float32)).T
        inputs[index] = (judge_input(image, mask[None])[0] * 255.0).round().to(torch.uint8)
    return ExampleSet(
        inputs=inputs, colors=torch.from_numpy(labels[:, 0].copy()), materials=torch.from_numpy(labels[:, 1].copy())
    )


def render_examples(first: int, count: int, seed: int, report: Callable[[str], None]) -> ExampleSet:
    """Renders `count` pictures of the pocket prior's own data set, from number `first` on."""
    inputs = torch.empty(count, 4, INPUT_SIZE, INPUT_SIZE, dtype=torch.uint8)
    colors, materials = [], []
    for index in range(count):
        if index % 250 == 0:
            report(f"render {index} of {count}")
        sample = render_sample(first + index, seed, RenderConfig())
        image = torch.from_numpy(sample.image).permute(2, 0, 1)[None].float() / 255.0
        mask = torch.from_numpy(sample.mask)[None, None]
        inputs[index] = (judge_input(image, mask)[0] * 255.0).round().to(torch.uint8)
        colors.append(COLORS.index(sample.color))
        materials.append(MATERIALS.index(sample.material))
    return ExampleSet(inputs=inputs, colors=torch.tensor(colors), materials=torch.tensor(materials))
