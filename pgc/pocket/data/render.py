# SPDX-License-Identifier: Apache-2.0
"""Training renders: sphere-traced shapes with procedural materials, in NumPy alone.

``render_sample(index, seed, config)`` depends on nothing but its arguments, so that data can be
made in any order, by any number of processes, and be stopped and resumed.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pgc.pocket.data.captions import Lighting, View, write_caption
from pgc.pocket.data.materials import MATERIALS, MaterialName, sample_material, shade_points
from pgc.pocket.data.palette import COLORS, ColorName, Rgb
from pgc.pocket.data.shapes import Shape, ShapeName, distance, normals, sample_shape

Floats = NDArray[np.floating[Any]]  # float32 in effect; some steps pass through float64
Background = Literal["white", "gray", "black", "color"]


@dataclass(frozen=True)
class RenderConfig:
    """What the training renders look like; the camera ranges are those of the PGC paper."""

    size: int = 128
    supersample: int = 2
    focal: tuple[float, float] = (0.7, 1.35)
    distance: tuple[float, float] = (2.0, 2.5)
    flat_share: float = 0.5
    low_elevation_share: float = 0.65
    coarse_block: int = 8


@dataclass(frozen=True)
class Sample:
    """One render. ``depth`` is camera-space distance along the view axis, 0 off the object."""

    image: NDArray[np.uint8]  # [size, size, 3], sRGB
    depth: Floats  # [size, size]
    mask: NDArray[np.bool_]  # [size, size]
    caption: str
    color: ColorName
    material: MaterialName
    shape: ShapeName
    view: View
    lighting: Lighting


@dataclass(frozen=True)
class TrainingCamera:
    """A camera of the training set: where it is, how it is turned, its focal length."""

    position: Floats  # [3]
    axes: Floats  # [3, 3]: rows right, up, forward
    focal: float


def view_name(elevation: float, azimuth: float) -> View:
    """Returns the view word of a camera (radians). The front looks along +Y from -Y, as in Blender."""
    if elevation > np.radians(60.0):
        return "overhead"
    if elevation < np.radians(-45.0):
        return "underside"
    turned = np.degrees(azimuth) % 360.0
    if turned < 45.0 or turned >= 315.0:
        return "front"
    return "back" if 135.0 <= turned < 225.0 else "side"


def _sample_camera(rng: np.random.Generator, config: RenderConfig) -> tuple[TrainingCamera, View]:
    azimuth = float(rng.uniform(0.0, 2.0 * np.pi))
    if rng.random() < config.low_elevation_share:
        elevation = float(np.radians(rng.uniform(-10.0, 45.0)))
    else:
        elevation = float(np.arcsin(rng.uniform(-0.998, 0.998)))
    cos = np.cos(elevation)
    outward = np.array([cos * np.sin(azimuth), -cos * np.cos(azimuth), np.sin(elevation)])
    right = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    axes = np.stack([right, np.cross(outward, right), -outward]).astype(np.float32)
    position = (outward * rng.uniform(*config.distance)).astype(np.float32)
    return TrainingCamera(position, axes, float(rng.uniform(*config.focal))), view_name(elevation, azimuth)


def _rays(camera: TrainingCamera, size: int) -> Floats:
    """Directions [size * size, 3] with unit length along the view axis, so that t is depth."""
    ticks = (np.arange(size, dtype=np.float32) + 0.5) / size * 2.0 - 1.0
    x, y = np.meshgrid(ticks, -ticks)
    ndc = np.stack([x, y], -1).reshape(-1, 2) / (2.0 * camera.focal)
    local = np.concatenate([ndc, np.ones((size * size, 1))], -1).astype(np.float32)
    return local @ camera.axes


def _march(shape: Shape, origin: Floats, rays: Floats, start: Floats, cone: float) -> Floats:
    """Depth where each ray comes within ``cone * t`` of the surface; infinity where it misses.

    With a wide cone this gives a safe start for all the rays inside it.
    """
    depth = start.copy()
    lengths = np.linalg.norm(rays, axis=-1).astype(np.float32)
    active = np.flatnonzero(np.isfinite(start))
    for _ in range(48):
        t = depth[active]
        gap = distance(shape, origin + rays[active] * t[:, None])
        near = np.maximum(np.float32(cone) * t, 1.2e-3)
        t = np.where(gap > near, t + 0.95 * (gap - 0.5 * near) / lengths[active], t)
        lost = t > 4.2
        depth[active] = np.where(lost, np.inf, t)
        active = active[(gap > near) & ~lost]
        if not len(active):
            return depth
    if cone == 0.0:
        depth[active] = np.inf  # grazing rays that never settled
    return depth


def _trace(shape: Shape, camera: TrainingCamera, size: int, block: int) -> tuple[Floats, Floats]:
    """Depth [size * size] (infinity for a miss) and rays, by a coarse pass over blocks of pixels."""
    coarse = size // block
    pixel = 1.0 / (camera.focal * size)
    first = np.full(coarse * coarse, 1.0, np.float32)
    reached = _march(shape, camera.position, _rays(camera, coarse), first, pixel * block * 0.75)
    start = np.repeat(np.repeat(reached.reshape(coarse, coarse), block, 0), block, 1).reshape(-1)
    rays = _rays(camera, size)
    return _march(shape, camera.position, rays, start.astype(np.float32), 0.0), rays


def light_factors(rng: np.random.Generator, camera: TrainingCamera, normal: Floats, lighting: Lighting) -> Floats:
    """Computes light factors [N]: nearly constant when flat, else soft Lambert from a random side."""
    light = rng.normal(size=3) * 0.7 - camera.axes[2] + np.array([0.0, 0.0, 0.6])
    facing = normal @ (light / np.linalg.norm(light)).astype(np.float32)
    if lighting == "flat":
        return 1.0 - np.float32(rng.uniform(0.0, 0.12)) * (0.5 - 0.5 * facing)
    ambient = np.float32(rng.uniform(0.4, 0.7))
    return ambient + (1.08 - ambient) * np.maximum(facing, 0.0)


def plain_background(rng: np.random.Generator, main: Rgb) -> Floats:
    """Draws a uniform background that the main colour stands out from."""
    while True:
        drawn = _draw_background(rng)
        if np.abs(drawn - np.asarray(main)).max() > 0.25:
            return drawn


def _draw_background(rng: np.random.Generator) -> Floats:
    kind: Background = ("white", "gray", "black", "color")[int(rng.choice(4, p=[0.3, 0.2, 0.1, 0.4]))]
    match kind:
        case "white":
            return np.ones(3, np.float32)
        case "gray":
            return np.full(3, rng.uniform(0.3, 0.7), np.float32)
        case "black":
            return np.zeros(3, np.float32)
        case "color":
            return rng.uniform(0.05, 0.95, 3).astype(np.float32)


def visible_shape(
    rng: np.random.Generator, config: RenderConfig
) -> tuple[Shape, TrainingCamera, View, tuple[Floats, Floats]]:
    """Draws shapes and cameras until at least 6 % of the picture is covered."""
    while True:
        shape = sample_shape(rng)
        camera, view = _sample_camera(rng, config)
        fine = config.size * config.supersample
        traced = _trace(shape, camera, fine, config.coarse_block * config.supersample)
        if np.isfinite(traced[0]).mean() > 0.06:
            return shape, camera, view, traced


def render_sample(index: int, seed: int, config: RenderConfig) -> Sample:
    """Renders image ``index`` of the data set ``seed``. Colour and material run through their product."""
    rng = np.random.default_rng([seed, index])
    color = COLORS[index % len(COLORS)]
    material = MATERIALS[(index // len(COLORS)) % len(MATERIALS)]
    lighting: Lighting = "flat" if rng.random() < config.flat_share else "soft"
    params = sample_material(rng, color, material)
    shape, camera, view, (depth, rays) = visible_shape(rng, config)
    hit = np.isfinite(depth)
    points = (camera.position + rays[hit] * depth[hit][:, None]).astype(np.float32)
    normal = normals(shape, points)
    base = shade_points(params, points, normal)
    lit = np.clip(base * light_factors(rng, camera, normal, lighting)[:, None], 0.0, 1.0)
    fine = config.size * config.supersample
    image = np.broadcast_to(plain_background(rng, params.main), (fine * fine, 3)).copy()
    image[hit] = lit
    blocks = (config.size, config.supersample, config.size, config.supersample)
    pixels = image.reshape(*blocks, 3).mean((1, 3))
    covered = hit.reshape(blocks).sum((1, 3))
    depth_sum = np.where(hit, depth, 0.0).reshape(blocks).sum((1, 3))
    mask = covered * 2 >= config.supersample**2
    return Sample(
        image=np.round(pixels * 255.0).astype(np.uint8),
        depth=np.where(mask, depth_sum / np.maximum(covered, 1), 0.0).astype(np.float32),
        mask=mask,
        caption=write_caption(rng, color, material, shape.name, view, lighting),
        color=color,
        material=material,
        shape=shape.name,
        view=view,
        lighting=lighting,
    )
