# SPDX-License-Identifier: Apache-2.0
"""Endlessly varied training shapes as signed distance functions, in NumPy. Z is up.

Every shape fits roughly into [-0.8, 0.8]^3. There is deliberately no teapot, monkey, bunny or
panda: the evaluation meshes must be unseen.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]  # float32 in effect; some steps pass through float64
ShapeName = Literal[
    "sphere", "cube", "box", "cylinder", "cone", "torus", "capsule", "pyramid", "vase", "bowl", "egg", "mug", "object",
    "figure",
]  # fmt: skip
SHAPES: tuple[ShapeName, ...] = get_args(ShapeName)
# Unions are closest to the meshes that people bring, so they get the largest share.
_FAVOURED: dict[ShapeName, float] = {"object": 6.0, "figure": 4.0, "vase": 1.5}
Kind = Literal["ellipsoid", "box", "cylinder", "cone", "torus", "capsule", "pyramid", "lathe", "shell"]


@dataclass(frozen=True)
class Primitive:
    """One SDF primitive: ``size`` means what its function says; ``rotation`` is 3x3, row-major."""

    kind: Kind
    size: tuple[float, ...]
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Shape:
    """A union of primitives, blended over ``blend`` units (0 is a hard union), then moved and scaled."""

    name: ShapeName
    primitives: tuple[Primitive, ...]
    blend: float = 0.0
    scale: float = 1.0
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)


def _ellipsoid(p: Floats, size: tuple[float, ...]) -> Floats:
    radii = np.asarray(size, np.float32)
    outer = np.linalg.norm(p / radii, axis=-1)
    inner = np.linalg.norm(p / (radii * radii), axis=-1)
    return outer * (outer - 1.0) / np.maximum(inner, 1e-6)


def _rounded(q: Floats) -> Floats:
    """Exact distance from per-axis signed excesses [N, D]."""
    return np.linalg.norm(np.maximum(q, 0.0), axis=-1) + np.minimum(q.max(axis=-1), 0.0)


def _box(p: Floats, size: tuple[float, ...]) -> Floats:
    rounding = size[3]
    return _rounded(np.abs(p) - (np.asarray(size[:3], np.float32) - rounding)) - rounding


def _cylinder(p: Floats, size: tuple[float, ...]) -> Floats:
    radius, half, rounding = size
    radial = np.hypot(p[:, 0], p[:, 1])
    return _rounded(np.stack([radial - radius + rounding, np.abs(p[:, 2]) - half + rounding], -1)) - rounding


def _cone(p: Floats, size: tuple[float, ...]) -> Floats:
    """Cone (or frustum) of bottom and top radius and half height; a bound, not exact."""
    bottom, top, half = size
    slope = (bottom - top) / (2.0 * half)
    radius = bottom - slope * (p[:, 2] + half)
    wall = (np.hypot(p[:, 0], p[:, 1]) - radius) / np.sqrt(1.0 + slope * slope)
    return np.maximum(wall, np.abs(p[:, 2]) - half)


def _torus(p: Floats, size: tuple[float, ...]) -> Floats:
    ring, tube = size
    return np.hypot(np.hypot(p[:, 0], p[:, 1]) - ring, p[:, 2]) - tube


def _capsule(p: Floats, size: tuple[float, ...]) -> Floats:
    radius, half = size
    clamped = p[:, 2] - np.clip(p[:, 2], -half, half)
    return np.sqrt(p[:, 0] ** 2 + p[:, 1] ** 2 + clamped**2) - radius


def _pyramid(p: Floats, size: tuple[float, ...]) -> Floats:
    base, half = size
    slope = base / (2.0 * half)
    wall = (np.maximum(np.abs(p[:, 0]), np.abs(p[:, 1])) - slope * (half - p[:, 2])) / np.sqrt(1.0 + slope * slope)
    return np.maximum(wall, np.abs(p[:, 2]) - half)


def _lathe(p: Floats, size: tuple[float, ...]) -> Floats:
    """Radius profile over height: half height, then the radii from bottom to top."""
    half, radii = size[0], np.asarray(size[1:], np.float32)
    at = np.clip((p[:, 2] + half) / (2.0 * half), 0.0, 1.0) * (len(radii) - 1)
    low = np.minimum(at.astype(np.int64), len(radii) - 2)
    t = at - low
    radius = radii[low] + (radii[low + 1] - radii[low]) * (t * t * (3.0 - 2.0 * t))
    # 0.6 keeps the bound safe for the steepest profile that is drawn.
    return np.maximum((np.hypot(p[:, 0], p[:, 1]) - radius) * 0.6, np.abs(p[:, 2]) - half)


def _shell(p: Floats, size: tuple[float, ...]) -> Floats:
    """Hollow half sphere, open at the top."""
    radius, wall = size
    return np.maximum(np.abs(np.linalg.norm(p, axis=-1) - radius) - wall, p[:, 2] - 0.1)


_DISTANCES: dict[Kind, Callable[[Floats, tuple[float, ...]], Floats]] = {
    "ellipsoid": _ellipsoid, "box": _box, "cylinder": _cylinder, "cone": _cone, "torus": _torus,
    "capsule": _capsule, "pyramid": _pyramid, "lathe": _lathe, "shell": _shell,
}  # fmt: skip


def distance(shape: Shape, points: Floats) -> Floats:
    """Computes the signed distance bound, float32 [N], of ``shape`` at points [N, 3]."""
    points = points / np.float32(shape.scale) + np.asarray(shape.center, np.float32)
    total: Floats | None = None
    for primitive in shape.primitives:
        local = points - np.asarray(primitive.center, np.float32)
        rotation = np.asarray(primitive.rotation, np.float32).reshape(3, 3)
        value = _DISTANCES[primitive.kind](local @ rotation, primitive.size).astype(np.float32)
        if total is None:
            total = value
        elif shape.blend > 0.0:
            overlap = np.maximum(shape.blend - np.abs(total - value), 0.0) / shape.blend
            total = np.minimum(total, value) - overlap * overlap * np.float32(shape.blend * 0.25)
        else:
            total = np.minimum(total, value)
    if total is None:
        raise ValueError("A shape needs at least one primitive; got none.")
    return total * np.float32(shape.scale)


def fitted(shape: Shape, extent: float) -> Shape:
    """Returns the same shape, centred and scaled so that its box reaches ``extent`` along its longest axis."""
    ticks = np.linspace(-1.1, 1.1, 23, dtype=np.float32)
    grid = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), -1).reshape(-1, 3)
    inside = grid[distance(shape, grid) < 0.05]
    if not len(inside):
        return shape
    low, high = inside.min(0), inside.max(0)
    middle = (low + high) / 2.0
    center = (float(middle[0]), float(middle[1]), float(middle[2]))
    return replace(shape, scale=extent / max(float((high - low).max()) / 2.0, 0.1), center=center)


def normals(shape: Shape, points: Floats) -> Floats:
    """Computes unit outward normals [N, 3] by tetrahedral differences."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
    gradient = np.zeros_like(points)
    for corner in corners:
        gradient += corner * distance(shape, points + np.float32(1.5e-3) * corner)[:, None]
    return gradient / np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-9)


def _random_rotation(rng: np.random.Generator) -> tuple[float, ...]:
    basis, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    basis = basis * np.sign(np.linalg.det(basis))
    return tuple(float(value) for value in basis.ravel())


# Ranges of each primitive's dimensions, as shares of its scale.
_SIZE_RANGES: dict[Kind, tuple[tuple[float, float], ...]] = {
    "ellipsoid": ((0.6, 1.0), (0.6, 1.0), (0.6, 1.0)),
    "box": ((0.45, 0.95), (0.45, 0.95), (0.45, 0.95), (0.02, 0.12)),
    "cylinder": ((0.4, 0.8), (0.5, 1.1), (0.02, 0.08)),
    "cone": ((0.6, 0.95), (0.0, 0.35), (0.6, 1.0)),
    "torus": ((0.65, 0.8), (0.22, 0.35)),
    "capsule": ((0.3, 0.5), (0.5, 0.8)),
    "pyramid": ((0.75, 1.0), (0.6, 0.9)),
    "shell": ((0.8, 1.0), (0.05, 0.09)),
}


def _random_size(rng: np.random.Generator, kind: Kind, scale: float) -> tuple[float, ...]:
    """Dimensions of one primitive, about ``scale`` in half extent."""

    def u(low: float, high: float) -> float:
        """Draws a length between `low` and `high`, times `scale`."""
        return float(rng.uniform(low, high)) * scale

    if kind == "lathe":
        radii = rng.uniform(0.25, 0.8, int(rng.integers(4, 7))) * scale
        return (u(0.8, 1.1), *(float(radius) for radius in radii))
    return tuple(u(*bounds) for bounds in _SIZE_RANGES[kind])


_SINGLES: dict[ShapeName, Kind] = {
    "cylinder": "cylinder", "cone": "cone", "torus": "torus", "capsule": "capsule", "pyramid": "pyramid",
    "vase": "lathe", "bowl": "shell", "box": "box",
}  # fmt: skip


def _mug(rng: np.random.Generator) -> Shape:
    radius, half = float(rng.uniform(0.35, 0.5)), float(rng.uniform(0.4, 0.65))
    handle = Primitive("torus", (half * 0.6, 0.08), (radius, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0))
    return Shape("mug", (Primitive("cylinder", (radius, half, 0.04)), handle), 0.05)


def _pile(rng: np.random.Generator) -> Shape:
    """Two to five primitives of any kind around the middle."""
    kinds: list[Kind] = ["ellipsoid", "box", "cylinder", "cone", "torus", "capsule", "pyramid", "lathe"]
    parts = []
    for _ in range(int(rng.integers(2, 6))):
        kind = kinds[int(rng.integers(len(kinds)))]
        center = rng.uniform(-0.36, 0.36, 3)
        rotation = _random_rotation(rng) if rng.random() < 0.6 else Primitive("box", ()).rotation
        size = _random_size(rng, kind, float(rng.uniform(0.28, 0.52)))
        parts.append(Primitive(kind, size, (float(center[0]), float(center[1]), float(center[2])), rotation))
    return Shape("object", tuple(parts), float(rng.choice([0.0, 0.06, 0.15])))


def _figure(rng: np.random.Generator) -> Shape:
    """A body, a head and limbs, softly joined: no creature in particular."""
    lean = float(rng.uniform(-0.15, 0.15))
    body = Primitive("ellipsoid", _random_size(rng, "ellipsoid", float(rng.uniform(0.38, 0.5))), (0.0, 0.0, -0.12))
    head_size = _random_size(rng, "ellipsoid", float(rng.uniform(0.24, 0.36)))
    parts = [body, Primitive("ellipsoid", head_size, (lean, -0.1, float(rng.uniform(0.36, 0.5))))]
    for _ in range(int(rng.integers(2, 5))):
        center = rng.uniform([-0.5, -0.35, -0.6], [0.5, 0.35, 0.4])
        limb = (float(rng.uniform(0.08, 0.15)), float(rng.uniform(0.1, 0.26)))
        place = (float(center[0]), float(center[1]), float(center[2]))
        parts.append(Primitive("capsule", limb, place, _random_rotation(rng)))
    return Shape("figure", tuple(parts), float(rng.uniform(0.08, 0.2)))


def sample_shape(rng: np.random.Generator) -> Shape:
    """Draws a named shape that reaches between 0.6 and 0.8 from the middle."""
    return fitted(_draw_shape(rng), float(rng.uniform(0.6, 0.8)))


def _draw_shape(rng: np.random.Generator) -> Shape:
    """Draw a shape of any size; one in four single shapes is turned at random."""
    weights = np.array([_FAVOURED.get(name, 1.0) for name in SHAPES])
    name = SHAPES[int(rng.choice(len(SHAPES), p=weights / weights.sum()))]
    rotation = _random_rotation(rng) if rng.random() < 0.25 else Primitive("box", ()).rotation
    scale = float(rng.uniform(0.58, 0.78))
    match name:
        case "object":
            return _pile(rng)
        case "figure":
            return _figure(rng)
        case "mug":
            return _mug(rng)
        case "sphere":
            return Shape(name, (Primitive("ellipsoid", (scale * 0.95,) * 3),))
        case "egg":
            size = (scale * 0.7, scale * 0.7, scale)
            return Shape(name, (Primitive("ellipsoid", size, rotation=rotation),))
        case "cube":
            half = scale * 0.8
            return Shape(name, (Primitive("box", (half, half, half, 0.03), rotation=rotation),))
        case _:
            kind = _SINGLES[name]
            return Shape(name, (Primitive(kind, _random_size(rng, kind, scale), rotation=rotation),))
