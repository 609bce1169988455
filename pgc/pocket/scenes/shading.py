# SPDX-License-Identifier: Apache-2.0
"""From material values at surface points to colours of a picture, by the shading that runs use."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pgc.color_space import linear_from_srgb
from pgc.pocket.swatches.recipe import Values
from pgc.rendering.brdf import MIN_COSINE
from pgc.rendering.light import Light
from pgc.rendering.pbr_shading import SurfaceSamples, split_sum
from pgc.rendering.tone_curve import picture_from_radiance

__all__ = ["lit_colors", "surface_samples_of"]

Floats = NDArray[np.floating[Any]]


def surface_samples_of(normal: Floats, view: Floats, values: Values) -> SurfaceSamples:
    """Makes the samples of one picture at N points with unit normals and unit directions towards the camera."""
    normals = F.normalize(torch.from_numpy(np.ascontiguousarray(normal, np.float32)), dim=-1)
    views = torch.from_numpy(np.ascontiguousarray(view, np.float32))
    return SurfaceSamples(
        view_index=torch.zeros(len(normals), dtype=torch.long),
        normal=normals,
        view=views,
        cosine=(normals * views).sum(-1, keepdim=True).clamp(MIN_COSINE, 1.0),
        base_color=linear_from_srgb(torch.from_numpy(np.ascontiguousarray(values.base_color))),
        occlusion=torch.ones(len(normals), 1),
        roughness=torch.from_numpy(np.ascontiguousarray(values.roughness))[:, None],
        metallic=torch.from_numpy(np.ascontiguousarray(values.metallic))[:, None],
    )


@torch.no_grad()
def lit_colors(normal: Floats, view: Floats, values: Values, light: Light) -> Floats:
    """Computes colours [N, 3] as a picture shows them, sRGB in [0, 1]."""
    colors: Floats = picture_from_radiance(split_sum(surface_samples_of(normal, view, values), light)).numpy()
    return colors
