# SPDX-License-Identifier: Apache-2.0
"""Known materials on meshes of the suite: base colour, roughness, metallic and normal, texel by texel, from a seed.

A material is made of parts. Some parts follow the mesh's material slots, which an artist has drawn: those are what
material ids can help with. Others (rust, chipped paint) follow nothing but noise in space, and no mesh carries ids for
them: nobody makes a slot of every spot of rust. So a region may hold two substances, and a prior on regions must cope.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from pgc.evaluation.meshes import EVALUATION_MESHES, evaluation_mesh, judge_meshes
from pgc.mesh import TriangleMesh, prepare_mesh
from pgc.pocket.data.noise import cell_distances, fractal_noise, hash_lattice, value_noise
from pgc.texture.field import BakedTexture
from pgc.texture.texel_surface import TexelSurface, texel_surface

__all__ = [
    "SUITE_MATERIALS",
    "SUITE_MESHES",
    "SuiteMaterial",
    "bake_truth",
    "face_frames",
    "suite_mesh",
    "with_slots",
]

SuiteMaterial = Literal[
    "gilded_ceramic", "rusty_iron", "stone", "painted_steel",
    "copper_and_wood", "two_plastics", "brushed_aluminium", "mosaic",
]  # fmt: skip
SUITE_MATERIALS: tuple[SuiteMaterial, ...] = get_args(SuiteMaterial)
SUITE_MESHES = 24
"""Four meshes of `pgc eval prompts` and twenty drawn ones: lumps, lathes, tubes and prisms."""

_MESH_SEED = 905
_STEP = 0.01
"""Of the finite differences of a height, in units of the normalised mesh: below every feature, above rounding."""
_SLOT_WIDTH = 0.45
"""Size of the material slots' patches, in the same units."""


def suite_mesh(index: int) -> tuple[str, TriangleMesh]:
    """Returns name and triangles (normalised, two material slots) of mesh `index`, 0 to SUITE_MESHES - 1."""
    if index < len(EVALUATION_MESHES):
        mesh = evaluation_mesh(EVALUATION_MESHES[index])
    else:
        mesh = judge_meshes(SUITE_MESHES - len(EVALUATION_MESHES), _MESH_SEED)[index - len(EVALUATION_MESHES)]
    return mesh.name, with_slots(prepare_mesh(mesh).triangles, index)


def with_slots(triangles: TriangleMesh, seed: int) -> TriangleMesh:
    """Returns the mesh with two material slots, patches of whole faces, about half of them each."""
    middle = triangles.positions[triangles.faces].mean(axis=1)
    value = value_noise(middle / np.float32(_SLOT_WIDTH), 7000 + seed)
    return replace(triangles, material_index=(value > np.median(value)).astype(np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """Surface points to be painted."""

    position: Float[np.ndarray, "p 3"]
    slot: Int[np.ndarray, " p"]
    seed: int

    def noise(self, width: float, salt: int, octaves: int = 1) -> Float[np.ndarray, " p"]:
        """Returns noise in [0, 1] with features of this width."""
        points = (self.position / np.float32(width)).astype(np.float32)
        seed = self.seed * 131 + salt
        return value_noise(points, seed) if octaves == 1 else fractal_noise(points, seed, octaves)


@dataclass(frozen=True, slots=True, eq=False)
class _Paint:
    """Values of painted points; arrays of [p] or [p, 3], linear but for the base colour (sRGB)."""

    base: Float[np.ndarray, "p 3"]
    roughness: Float[np.ndarray, " p"]
    metallic: Float[np.ndarray, " p"]

    def over(self, other: _Paint, share: Float[np.ndarray, " p"]) -> _Paint:
        """Returns this paint where `share` is 1, the other one where it is 0."""
        return _Paint(
            base=other.base + (self.base - other.base) * share[:, None],
            roughness=other.roughness + (self.roughness - other.roughness) * share,
            metallic=other.metallic + (self.metallic - other.metallic) * share,
        )


def _plain(
    points: _Points,
    color: Sequence[float] | np.ndarray,
    roughness: float,
    metallic: float,
    salt: int,
    spread: float = 0.12,
) -> _Paint:
    """One substance: its tone and roughness wander with noise, its metallic value does not."""
    tone = 1.0 + 2.0 * spread * (points.noise(0.35, salt, 3) - 0.5)
    base = (np.asarray(color, np.float32) * tone[:, None]).clip(0.03, 0.97)
    wander = roughness + 1.2 * spread * (points.noise(0.5, salt + 1) - 0.5)
    return _Paint(base=base, roughness=wander.clip(0.1, 1.0), metallic=np.full(len(tone), metallic, np.float32))


def _ramp(value: Float[np.ndarray, " p"], edge: float, width: float) -> Float[np.ndarray, " p"]:
    t = ((value - edge) / width + 0.5).clip(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _tint(points: _Points, salt: int, low: float = 0.2, high: float = 0.8) -> Float[np.ndarray, "3"]:
    """A colour drawn from the seed, neither grey nor extreme."""
    rng = np.random.default_rng([points.seed, salt])
    return rng.permutation([low, rng.uniform(low, high), high]).astype(np.float32)


def _paint(kind: SuiteMaterial, p: _Points) -> _Paint:
    second = p.slot.astype(np.float32)
    match kind:
        case "gilded_ceramic":
            glaze = _plain(p, (0.85, 0.82, 0.76), 0.3, 0.0, 1).over(
                _plain(p, _tint(p, 2), 0.35, 0.0, 3), _ramp(p.noise(0.3, 4), 0.5, 0.1)
            )
            return _plain(p, (0.93, 0.74, 0.38), 0.3, 1.0, 5, 0.08).over(glaze, second)
        case "rusty_iron":
            rust = _plain(p, (0.50, 0.28, 0.16), 0.85, 0.0, 1, 0.25)
            return rust.over(_plain(p, (0.66, 0.64, 0.62), 0.4, 1.0, 3), _ramp(p.noise(0.45, 5, 2), 0.52, 0.08))
        case "stone":
            dark, light = _plain(p, (0.38, 0.36, 0.34), 0.85, 0.0, 1, 0.3), _plain(p, (0.62, 0.6, 0.55), 0.65, 0.0, 3)
            return dark.over(light, _ramp(p.noise(0.25, 5, 2), 0.5, 0.2))
        case "painted_steel":
            paint = _plain(p, _tint(p, 1), 0.45, 0.0, 2, 0.06)
            return _plain(p, (0.7, 0.7, 0.72), 0.3, 1.0, 4).over(paint, _ramp(p.noise(0.32, 6, 2), 0.6, 0.08))
        case "copper_and_wood":
            rings = 0.5 + 0.5 * np.sin(18.0 * p.position[:, 0] + 9.0 * p.noise(0.4, 1))
            wood = _plain(p, (0.46, 0.29, 0.17), 0.7, 0.0, 2).over(_plain(p, (0.66, 0.46, 0.29), 0.55, 0.0, 4), rings)
            return _plain(p, (0.93, 0.62, 0.52), 0.28, 1.0, 6, 0.08).over(wood, second)
        case "two_plastics":
            first, other = _tint(p, 1), np.roll(_tint(p, 1), 1)
            return _plain(p, first, 0.25, 0.0, 2, 0.05).over(_plain(p, other, 0.65, 0.0, 5, 0.05), second)
        case "brushed_aluminium":
            bright, dull = _plain(p, (0.87, 0.87, 0.88), 0.3, 1.0, 1), _plain(p, (0.72, 0.72, 0.74), 0.6, 1.0, 3)
            return bright.over(dull, _ramp(p.noise(0.4, 5), 0.5, 0.4))
        case "mosaic":
            return _mosaic(p)


def _mosaic(p: _Points) -> _Paint:
    """Tiles of many colours and finishes in grout; every fifth one or so is metal."""
    first, gap, name = cell_distances((p.position / np.float32(0.3)).astype(np.float32), p.seed)
    cell = np.stack([(name * 1e6).astype(np.int64)] * 3, axis=-1)
    color = np.stack([0.15 + 0.75 * hash_lattice(cell, p.seed, channel) for channel in range(3)], axis=-1)
    tile = _Paint(
        base=color.astype(np.float32),
        roughness=0.2 + 0.4 * hash_lattice(cell, p.seed, 3),
        metallic=(hash_lattice(cell, p.seed, 4) > 0.8).astype(np.float32),
    )
    return tile.over(_plain(p, (0.5, 0.48, 0.45), 0.9, 0.0, 1), _ramp(gap - first, 0.12, 0.08))


_RELIEF: dict[SuiteMaterial, tuple[float, float]] = {
    "gilded_ceramic": (0.30, 0.032),
    "rusty_iron": (0.16, 0.024),
    "stone": (0.20, 0.048),
    "painted_steel": (0.40, 0.024),
    "copper_and_wood": (0.20, 0.019),
    "two_plastics": (0.25, 0.032),
    "brushed_aluminium": (0.30, 0.019),
    "mosaic": (0.30, 0.040),
}
"""Width and height of the bumps, in units of the normalised mesh."""


def _height(kind: SuiteMaterial, position: Float[np.ndarray, "p 3"], seed: int) -> Float[np.ndarray, " p"]:
    width, height = _RELIEF[kind]
    return height * value_noise((position / np.float32(width)).astype(np.float32), seed * 131 + 99)


def face_frames(triangles: TriangleMesh) -> Float[np.ndarray, "f 3 2"]:
    """Returns the columns dP/du and dP/dv of every face; zeros where its UVs have no area."""
    corners = triangles.positions[triangles.faces].astype(np.float64)
    uvs = triangles.corner_uvs.astype(np.float64)
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
    uv_edges = np.stack([uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]], axis=2)
    solid = np.abs(np.linalg.det(uv_edges)) > 1e-30
    inverse = np.zeros_like(uv_edges)
    inverse[solid] = np.linalg.inv(uv_edges[solid])
    return edges @ inverse


def _relief_normal(
    kind: SuiteMaterial, surface: TexelSurface, triangles: TriangleMesh, known: np.ndarray, seed: int
) -> Float[np.ndarray, "p 3"]:
    """Tangent-space normals as stored, in the frame that the G-buffer has: T along growing u, B = sign · (N x T)."""
    normal = surface.normal[known].astype(np.float64)
    slopes = face_frames(triangles)[surface.face_index[known]]
    tangent = slopes[:, :, 0] - normal * (slopes[:, :, 0] * normal).sum(1, keepdims=True)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
    bitangent = np.cross(normal, tangent)
    bitangent *= np.where((bitangent * slopes[:, :, 1]).sum(1, keepdims=True) < 0.0, -1.0, 1.0)
    position = surface.position[known]
    rises = [
        (_height(kind, position + _STEP * axis, seed) - _height(kind, position - _STEP * axis, seed)) / (2.0 * _STEP)
        for axis in (tangent.astype(np.float32), bitangent.astype(np.float32))
    ]
    direction = np.stack([-rises[0], -rises[1], np.ones(len(normal))], axis=-1)
    return 0.5 + 0.5 * direction / np.linalg.norm(direction, axis=1, keepdims=True)


def bake_truth(triangles: TriangleMesh, kind: SuiteMaterial, size: int, seed: int) -> BakedTexture:
    """Bakes all four maps of a material on every texel: exact on charts, the nearest chart's values beside them.

    Args:
        triangles: a mesh with material slots, in tile 1001.
        kind: which material.
        size: side of the texture in texels.
        seed: whichever draws colours and patterns; the same arguments give the same maps.
    """
    surface = texel_surface(triangles, size, reach=1.0)
    known = surface.face_index >= 0
    # By name and not by number, so that a longer list of materials leaves the others as they are.
    seed = (seed * 1009 + zlib.crc32(kind.encode())) % (1 << 20)
    slot = triangles.material_index[surface.face_index[known]]
    paint = _paint(kind, _Points(surface.position[known], slot, seed))
    values = {
        "base_color": paint.base,
        "roughness": paint.roughness[:, None],
        "metallic": paint.metallic[:, None],
        "normal": _relief_normal(kind, surface, triangles, known, seed),
    }
    rows, columns = np.asarray(distance_transform_edt(~known, return_distances=False, return_indices=True))
    maps: dict[str, list[Tensor]] = {}
    for name, value in values.items():
        image = np.zeros((size, size, value.shape[1]), np.float32)
        image[known] = value
        maps[name] = [torch.from_numpy(image[rows, columns].transpose(2, 0, 1).copy())]
    return BakedTexture(maps=maps)
