# SPDX-License-Identifier: Apache-2.0
"""A recovered material against the known one: maps texel by texel, and pictures under light that no run has seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.cameras.rigs import fibonacci_directions
from pgc.evaluation.ground_truth import chart_mask
from pgc.evaluation.materials.scores import (
    baked_light,
    color_difference,
    normal_angle,
    relit_scores,
    root_mean_square,
    sharpness,
    structural_similarity,
)
from pgc.evaluation.materials.suite import MaterialWorld, held_out_environments
from pgc.evaluation.measures.scores import psnr
from pgc.evaluation.measures.seams import seam_ratios
from pgc.lighting.environments import eyes_of
from pgc.mesh import TriangleMesh
from pgc.rendering.light import Light
from pgc.rendering.pbr_shading import pbr
from pgc.rendering.raster.gbuffer import GBuffer, surface_points
from pgc.texture.field import BakedTexture
from pgc.texture.finished_texture import FinishedTexture
from pgc.texture.texel_surface import texel_surface

__all__ = ["judge", "map_scores", "relight_pairs", "texel_area"]

_DISTANCE, _FOCAL = 2.25, 1.3
_BATCH = 8


def texel_area(triangles: TriangleMesh, size: int) -> Float[Tensor, "s s"]:
    """Measures the surface under each texel whose centre lies on a chart, in the mesh's units squared; 0 elsewhere."""
    surface = texel_surface(triangles, size)
    corners = triangles.positions[triangles.faces].astype(np.float64)
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    uvs = triangles.corner_uvs.astype(np.float64) * size
    a, b = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    texels = 0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    each = np.divide(area, texels, out=np.zeros_like(area), where=texels > 1e-12)
    return torch.from_numpy(np.where(surface.inside, each[surface.face_index.clip(0)], 0.0))


def map_scores(triangles: TriangleMesh, texture: BakedTexture, truth: BakedTexture) -> dict[str, Any]:
    """Returns all scores that need no picture; the keys are those of the report."""
    size = truth.size
    mask, surface = chart_mask(triangles, size), texel_surface(triangles, size)
    found = {name: images[0] for name, images in texture.maps.items()}
    known = {name: images[0] for name, images in truth.maps.items()}
    base = found["base_color"], known["base_color"]
    light = baked_light(*base, torch.from_numpy(surface.normal), texel_area(triangles, size))
    return {
        "base_color_psnr": psnr(*base, mask),
        "base_color_ssim": structural_similarity(*base, mask),
        "base_color_delta_e_2000": color_difference(*base, mask),
        "roughness_rmse": root_mean_square(found["roughness"], known["roughness"], mask),
        "metallic_rmse": root_mean_square(found["metallic"], known["metallic"], mask),
        "normal_angle": normal_angle(found["normal"], known["normal"], mask),
        "baked_light_std": light["std"],
        "baked_light_r2": light["r2"],
        "seam_ratio": [seams.ratio for seams in seam_ratios(triangles, texture)],
        "seam_ratio_truth": [seams.ratio for seams in seam_ratios(triangles, truth)],
        "coverage": 1.0 - texture.uncovered_fraction,
        "sharpness": sharpness(*base, mask),
    }


def _cameras(count: int, turn: float) -> list[Camera]:
    """Evenly spread over the sphere, turned about the vertical."""
    cosine, sine = math.cos(turn), math.sin(turn)
    cameras = []
    for x, y, z in fibonacci_directions(count).tolist():
        eye = (_DISTANCE * (cosine * x - sine * y), _DISTANCE * (sine * x + cosine * y), _DISTANCE * z)
        cameras.append(Camera.look_at(eye, focal=_FOCAL))
    return cameras


@torch.no_grad()
def relight_pairs(world: MaterialWorld, texture: BakedTexture) -> Iterator[tuple[Tensor, Tensor, GBuffer]]:
    """Draws pictures of the texture and of the truth under each held-out environment, with what they show.

    Views are spread over the sphere; each environment is turned by an angle of its own.
    """
    config = world.config
    fields = [FinishedTexture(each) for each in (texture, world.truth)]
    cameras = _cameras(config.relight_views, 0.3)
    size = (config.relight_resolution, config.relight_resolution)
    batches = [cameras[at : at + _BATCH] for at in range(0, len(cameras), _BATCH)]
    for views in batches:
        gbuffer, eyes = world.rasterizer.render(views, size), eyes_of(views)
        points = surface_points(gbuffer)
        materials = [field.sample(points) for field in fields]
        for index, environment in enumerate(held_out_environments(config.environments, config.seed)):
            turn = torch.full((len(views),), 2.0 * math.pi * index / config.environments)
            light = Light(environment=environment, rotation=turn, exposure=torch.zeros(len(views)))
            found, known = (pbr(gbuffer, material, light, eye=eyes) for material in materials)
            yield found, known, gbuffer


def judge(world: MaterialWorld, texture: BakedTexture) -> dict[str, Any]:
    """Returns every score of a finished texture; relit scores are means over all pictures, each over the object's
    pixels."""
    rows = [
        row
        for found, known, gbuffer in relight_pairs(world, texture)
        for row in relit_scores(found, known, gbuffer.coverage == 1.0)
    ]
    return {
        **map_scores(world.triangles, texture, world.truth),
        "relit_psnr": sum(row["psnr"] for row in rows) / len(rows),
        "relit_flip": sum(row["flip"] for row in rows) / len(rows),
        "relit_pictures": len(rows),
    }
