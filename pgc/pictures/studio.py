# SPDX-License-Identifier: Apache-2.0
"""Pictures of a textured mesh: lit, antialiased, on a neutral background."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from pgc.cameras import Camera, direction_from_angles
from pgc.cameras.view_names import FrontAxis
from pgc.lighting.environments import eyes_of
from pgc.mesh import TriangleMesh
from pgc.pictures.lighting import soft_light
from pgc.rendering.compositing import composite
from pgc.rendering.environment import studio
from pgc.rendering.light import Light
from pgc.rendering.pbr_shading import pbr
from pgc.rendering.prefilter import prefilter
from pgc.rendering.raster.gbuffer import GBuffer, surface_points
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.surface import SurfacePoints
from pgc.texture.field import BakedTexture
from pgc.texture.finished_texture import FinishedTexture
from pgc.texture.mip_fetch import sample_mipmapped

__all__ = ["Colors", "Framing", "LitMaterial", "Look", "baked_colors", "baked_look", "studio_light", "take_pictures"]

Colors = Callable[[SurfacePoints], Tensor]
"""The base colour at surface points: [B, 3, H, W], sRGB in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LitMaterial:
    """A material with more than base colour, under light of its own."""

    fetch: Callable[[SurfacePoints], Mapping[str, Tensor]]
    """All maps at surface points, as a `TextureField` samples them."""
    light: Light


Look = Colors | LitMaterial
"""How the mesh looks in a picture: base colour under a soft headlight, or a whole material in a studio."""

BACKGROUND = 0.86
"""sRGB gray."""
_SUPERSAMPLING = 2
_FOCAL = 1.25
_AIR = 1.04
"""Room between the mesh and the picture's edge."""
_FRONT_AZIMUTH: dict[FrontAxis, float] = {"-y": -0.5 * math.pi, "+y": 0.5 * math.pi, "+x": 0.0, "-x": math.pi}


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How a mesh stands before the camera."""

    radius: float = 0.8
    """Of a sphere about the origin that holds the mesh; all of it is in the picture."""
    front_axis: FrontAxis = "-y"

    @staticmethod
    def of(triangles: TriangleMesh, front_axis: FrontAxis = "-y") -> Framing:
        """Returns the framing of a normalised mesh."""
        used = triangles.positions[np.unique(triangles.faces)]
        return Framing(radius=float(np.linalg.norm(used, axis=1).max()), front_axis=front_axis)

    def camera(self, azimuth: float, elevation: float) -> Camera:
        """Makes a camera around the mesh; azimuth counts from the front to the viewer's right, both in radians."""
        direction = direction_from_angles(_FRONT_AZIMUTH[self.front_axis] + azimuth, elevation)
        # The sphere touches the cone of view where sin(half angle) = radius / distance.
        distance = _AIR * self.radius / math.sin(math.atan(0.5 / _FOCAL))
        eye = (distance * direction[0], distance * direction[1], distance * direction[2])
        return Camera.look_at(eye, focal=_FOCAL)


def baked_colors(texture: BakedTexture, *, repeat: bool = False) -> Colors:
    """Makes a trilinear fetch from a finished texture, with box-filtered mips as any viewer makes them."""
    mips = [torch.stack(texture.maps["base_color"])]
    while mips[-1].shape[-1] > 1:
        mips.append(F.avg_pool2d(mips[-1], 2))

    def fetch(points: SurfacePoints) -> Tensor:
        """Returns the base colour at these points."""
        return sample_mipmapped(
            [mip.to(points.uv.device) for mip in mips],
            points.uv,
            points.uv_footprint,
            mask=points.mask,
            tiles=texture.tiles,
            repeat=repeat,
        )

    return fetch


def studio_light() -> Light:
    """Makes the studio in which whole materials are shown."""
    return Light(environment=prefilter(studio()))


def baked_look(texture: BakedTexture, *, repeat: bool = False, light: Light | None = None) -> Look:
    """Says how a finished texture looks; `light`: of a whole material, by default the studio's."""
    if "roughness" not in texture.maps:
        return baked_colors(texture, repeat=repeat)
    kept: dict[torch.device, FinishedTexture] = {}

    def fetch(points: SurfacePoints) -> Mapping[str, Tensor]:
        """Returns all maps at these points."""
        device = points.uv.device
        if device not in kept:
            kept[device] = FinishedTexture(texture, repeat=repeat, device=device)
        return kept[device].sample(points)

    return LitMaterial(fetch=fetch, light=light or studio_light())


@torch.no_grad()
def take_pictures(
    rasterizer: Rasterizer, cameras: Sequence[Camera], look: Look, size: int
) -> list[UInt8[np.ndarray, "size size 3"]]:
    """Takes one picture a camera, `size` pixels square, rendered at twice the size and averaged."""
    pictures = []
    for camera in cameras:
        side = size * _SUPERSAMPLING
        gbuffer = rasterizer.render([camera], (side, side))
        image = composite(_lit(gbuffer, look, camera), gbuffer.coverage, _background(gbuffer))
        image = F.avg_pool2d(image, _SUPERSAMPLING)[0].clamp(0.0, 1.0)
        pictures.append((image * 255.0 + 0.5).floor().to(torch.uint8).permute(1, 2, 0).cpu().numpy())
    return pictures


def _lit(gbuffer: GBuffer, look: Look, camera: Camera) -> Float[Tensor, "b 3 h w"]:
    points = surface_points(gbuffer)
    if isinstance(look, LitMaterial):
        light = replace(look.light, environment=look.light.environment.to(points.uv.device))
        return pbr(gbuffer, look.fetch(points), light, eye=eyes_of([camera]))
    base_color = look(points)
    eye = torch.tensor(camera.position, dtype=gbuffer.position.dtype, device=gbuffer.position.device)
    to_viewer = F.normalize(eye.reshape(1, 3, 1, 1) - gbuffer.position, dim=1)
    return soft_light(base_color, gbuffer.normal, to_viewer)


def _background(gbuffer: GBuffer) -> Float[Tensor, "b 3 1 1"]:
    return gbuffer.uv.new_full((len(gbuffer), 3, 1, 1), BACKGROUND)
