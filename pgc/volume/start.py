# SPDX-License-Identifier: Apache-2.0
"""What a volume begins as: a ball, one of the shapes that the built-in model was trained on, or a mesh.

The built-in model paints what it is shown and draws no shape for a word: told nothing of the depth, it answers "a red
vase" and "a red cone" with the same red lump. Its shape words are therefore given their meaning here, by the family of
shapes that its training pictures showed under these words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pgc.errors import ConfigError, MeshError
from pgc.mesh import load_mesh, prepare_mesh
from pgc.pocket.data.captions import SHAPE_WORDS
from pgc.pocket.data.shapes import Primitive, Shape, ShapeName, distance, fitted
from pgc.rendering.raster.rasterizer import RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.shape.geometry.signed_distance import Progress, measuring, signed_distance
from pgc.volume.field import ball_distances, grid_places

__all__ = [
    "STARTS",
    "BallStart",
    "MeshStart",
    "NamedStart",
    "StartConfig",
    "named_in",
    "start_distances",
    "start_named",
]

_SIDE = 65
"""Places along each side at which distances are kept."""
_MESH_SIDE = 49
"""Of a mesh, whose distances take seconds."""
_EXTENT = 0.7
_SAMPLES_A_CELL = 4.0
_UPRIGHT_RING = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0)
_MADE = MappingProxyType(
    {
        "sphere": (Primitive("ellipsoid", (0.6, 0.6, 0.6)),),
        "cube": (Primitive("box", (0.6, 0.6, 0.6, 0.03)),),
        "box": (Primitive("box", (0.7, 0.5, 0.4, 0.03)),),
        "cylinder": (Primitive("cylinder", (0.38, 0.7, 0.04)),),
        "cone": (Primitive("cone", (0.55, 0.03, 0.7)),),
        "torus": (Primitive("torus", (0.6, 0.22)),),
        "capsule": (Primitive("capsule", (0.32, 0.45)),),
        "pyramid": (Primitive("pyramid", (0.65, 0.55)),),
        "vase": (Primitive("lathe", (0.7, 0.25, 0.45, 0.4, 0.18, 0.28)),),
        "bowl": (Primitive("shell", (0.65, 0.07)),),
        "egg": (Primitive("ellipsoid", (0.48, 0.48, 0.68)),),
        "mug": (
            Primitive("cylinder", (0.42, 0.52, 0.04)),
            Primitive("torus", (0.3, 0.09), (0.42, 0.0, 0.0), _UPRIGHT_RING),
        ),
    }
)
"""One of each kind, in the middle of the ranges that training drew from; object and figure are of no one shape."""
STARTS: tuple[str, ...] = ("ball", *_MADE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BallStart:
    """The papers' blob."""

    radius: float = 0.5

    def __post_init__(self) -> None:
        if not 0.05 <= self.radius <= 0.9:
            raise ConfigError(f"start.radius is {self.radius}; it must lie in [0.05, 0.9].")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStart:
    """A shape of the built-in model's training."""

    shape: ShapeName
    extent: float = _EXTENT
    """How far it reaches from the middle."""

    def __post_init__(self) -> None:
        if self.shape not in _MADE:
            raise ConfigError(f"start.shape is {self.shape!r}; expected one of {', '.join(_MADE)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshStart:
    """A closed mesh, made to fit."""

    path: Path


StartConfig = BallStart | NamedStart | MeshStart


def named_in(prompt: str) -> ShapeName | None:
    """Returns the last shape that a prompt names and that a volume can begin as: "a vase in ball stripes" aside, the
    noun comes behind what describes it. None where it names none."""
    found: ShapeName | None = None
    for word in re.findall(r"[a-z]+", prompt.lower()):
        for shape, words in SHAPE_WORDS.items():
            if shape in _MADE and word in words:
                found = shape
    return found


def start_named(name: str) -> StartConfig:
    """Returns the start of a name, or of a mesh's path.

    Raises:
        ConfigError: there is neither a start nor a file of this name.
    """
    if name == "ball":
        return BallStart()
    for shape in SHAPE_WORDS:
        if shape == name and shape in _MADE:
            return NamedStart(shape=shape)
    if Path(name).is_file():
        return MeshStart(path=Path(name))
    raise ConfigError(f"--start is {name!r}; expected {', '.join(STARTS)}, or the path of a mesh.")


def start_distances(config: StartConfig, progress: Progress | None = None) -> Float[Tensor, "s s s"]:
    """Returns signed distances at `grid_places`, about right near the surface.

    `progress` is told the name of a slow stage, and how much of it is done.

    Raises:
        MeshError: a mesh cannot be read, or has no inside.
    """
    match config:
        case BallStart(radius=radius):
            return ball_distances(_SIDE, radius)
        case NamedStart(shape=name, extent=extent):
            shape = fitted(Shape(name, _MADE[name], 0.05 if name == "mug" else 0.0), extent)
            # Beside its very middle, where an ellipsoid's formula is 0 by 0.
            found = distance(shape, grid_places(_SIDE).numpy() + np.float32(1e-4))
        case MeshStart(path=path):
            found = _mesh_distances(path, progress)
    side = round(len(found) ** (1 / 3))
    return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32)).reshape(side, side, side)


def _mesh_distances(path: Path, progress: Progress | None) -> Float[np.ndarray, " n"]:
    triangles = prepare_mesh(load_mesh(path)).triangles
    caster = WarpRasterizer(triangles, device="cpu", config=RasterizerConfig(cache_bytes=0))
    points = grid_places(_MESH_SIDE).double().numpy()
    found = signed_distance(triangles, caster, points, 2.0 / (_MESH_SIDE - 1) / _SAMPLES_A_CELL, measuring(progress))
    if not (found < 0.0).any():
        raise MeshError(
            f"No place lies inside {path}: it is open, inside out, or too thin. Close it and turn its faces outward, "
            "or leave --start out."
        )
    return found
