# SPDX-License-Identifier: Apache-2.0
"""From a picture of an object to a shape run: a view that is compared with it, and a teacher for all the others."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pgc.cameras import Camera
from pgc.cameras.matrices import direction_from_angles
from pgc.cameras.sampling import SphereSamplerConfig
from pgc.distillation.sds import SDSConfig
from pgc.distillation.timestep import AnnealedTimestepConfig
from pgc.errors import ConfigError
from pgc.guidance.diffusion.zero123.camera import UNIT
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import GuidanceSpec
from pgc.images.cutout import Cutout, framed, read_cutout
from pgc.mesh import Mesh
from pgc.optimization.config import BackgroundConfig, OptimizeConfig
from pgc.optimization.views.reference_view import ReferenceView
from pgc.shape.geometry.dmtet import DMTetConfig
from pgc.shape.geometry.regularizers import SurfacePenaltyConfig
from pgc.shape.geometry.subdivision import subdivided
from pgc.shape.run.pictures import PictureConfig
from pgc.shape.settings import GeometryConfig, ShapeSettings, shape_settings

__all__ = [
    "DEFAULT_GEOMETRY",
    "DISTANCE",
    "FOCAL",
    "SHARE",
    "GivenPicture",
    "PictureOfObject",
    "ball",
    "given_picture",
    "picture_settings",
    "reference_view",
    "turned",
]

FOCAL = 35.0 / 32.0
"""Of Zero123's training renders: Blender's 35 mm before a sensor of 32 mm; in picture heights."""
DISTANCE = 1.5 * UNIT
"""The nearest of those renders, in our units."""
SHARE = 0.75
"""Of the frame that an object of our normalised space takes from there, about."""
_HIGHEST = 80.0
_LEAST_SIDE = 256
"""Of what is compared, pixels; Zero123 was trained at that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOfObject:
    """What is known, or taken, of the picture.

    Raises:
        ConfigError: a value is out of range.
    """

    elevation_deg: float = 0.0
    """How high above the object the camera stood, degrees; 0: level with it."""
    color_weight: float = 0.1
    """Of the difference of colours in ∂L/∂x at the picture's view. At most as loud as what clipping leaves of a
    teacher's pixel: it speaks in every step, and louder it keeps the shape from hearing of its other sides."""
    mask_weight: float = 0.1
    """Of the difference of outlines."""

    def __post_init__(self) -> None:
        if not -_HIGHEST <= self.elevation_deg <= _HIGHEST:
            raise ConfigError(
                f"elevation is {self.elevation_deg}; it must lie in [-{_HIGHEST:.0f}, {_HIGHEST:.0f}] degrees."
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenPicture:
    """A picture of the object that is to be found."""

    path: Path
    config: PictureOfObject
    view: ReferenceView
    notes: tuple[str, ...] = ()
    """What is said of it."""

    def facts(self) -> dict[str, Any]:
        """Returns what reports say of it."""
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return {"file": self.path.name, "sha256": digest, "taken": self.config}


def given_picture(path: Path, config: PictureOfObject, side: int) -> GivenPicture:
    """Reads a picture of an object as runs take it.

    Args:
        path: of the file.
        config: what is taken of it.
        side: of the run's pictures, pixels.

    Raises:
        TextureError: the file is missing, damaged or too big, or no object can be told from its background.
    """
    cutout = read_cutout(path)
    notes = cutout.notes
    if cutout.is_cut:
        notes = (*notes, "The object reaches the border of the picture; what is beyond it is missing.")
    # What a teacher sees of it does not get coarser with the run's own pictures.
    return GivenPicture(
        path=path, config=config, view=reference_view(cutout, max(side, _LEAST_SIDE), config), notes=notes
    )


def reference_view(cutout: Cutout, side: int, config: PictureOfObject) -> ReferenceView:
    """Returns what a run compares with: the object in the middle of the frame, seen from its front (-Y).

    Args:
        cutout: the object.
        side: of the run's pictures, pixels.
        config: what is taken of the picture.
    """
    placed = framed(cutout, side, share=SHARE)
    direction = np.array(direction_from_angles(-math.pi / 2, math.radians(config.elevation_deg)))
    x, y, z = (DISTANCE * direction).tolist()
    return ReferenceView(
        color=placed.color,
        covered=placed.covered,
        camera=Camera.look_at((x, y, z), focal=FOCAL),
        color_weight=config.color_weight,
        mask_weight=config.mask_weight,
    )


def picture_settings(geometry: GeometryConfig, spec: GuidanceSpec | Zero123Spec) -> ShapeSettings:
    """Returns the settings of a run from a picture, whose own view is as Zero123 was trained; with another prior they
    are those of its shape runs.

    Raises:
        ConfigError: the prior cannot judge a shape.
    """
    cameras = SphereSamplerConfig(focal=(FOCAL, FOCAL), distance=(DISTANCE, DISTANCE))
    # Colours as they are: the picture's light is in them already.
    pictures = PictureConfig(ambient=1.0)
    if not isinstance(spec, Zero123Spec):
        return replace(shape_settings("rgb", geometry, spec), pictures=pictures)
    optimize = OptimizeConfig(
        steps=800,
        views=2,
        resolution=256,
        learning_rate=0.01,
        final_learning_rate=0.1,
        betas=(0.9, 0.99),
        epsilon=1e-8,
        # As in all its training pictures.
        background=BackgroundConfig(random=False, color=(1.0, 1.0, 1.0)),
        distillation=SDSConfig(guidance_scale=5.0, timestep=AnnealedTimestepConfig(start=0.6, end=0.3)),
    )
    return ShapeSettings(shown=("rgb",), geometry=geometry, cameras=cameras, pictures=pictures, optimize=optimize)


def ball(times: int = 4) -> Mesh:
    """Makes what a run begins from where no mesh is given: a ball that fills the normalised space.

    Args:
        times: how often each of an octahedron's triangles becomes four.
    """
    corners = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64)
    upper = [(i, (i + 1) % 4, 4) for i in range(4)]
    faces = np.array([*upper, *((b, a, 5) for a, b, _ in upper)], dtype=np.int32)
    # The square of an octahedral map: its middle is the top, its corners are the bottom.
    uvs = np.array([[2, 1], [1, 2], [0, 1], [1, 0], [1, 1], [2, 2], [0, 2], [0, 0], [2, 0]], dtype=np.float32)
    uv_faces = np.array([*upper, *((b, a, 5 + a) for a, b, _ in upper)], dtype=np.int32)
    octahedron = Mesh(
        name="ball",
        positions=corners,
        polygon_sizes=np.full(8, 3, dtype=np.int32),
        corner_positions=faces.reshape(-1),
        uvs=0.01 + 0.49 * uvs,
        corner_uvs=uv_faces.reshape(-1),
        normals=None,
        corner_normals=None,
        material_index=np.zeros(8, dtype=np.int32),
        material_names=("object",),
        up_axis="z",
    )
    fine = subdivided(octahedron, times)
    lengths = np.linalg.norm(fine.positions, axis=1, keepdims=True)
    return replace(fine, positions=0.5 * UNIT * fine.positions / lengths)


def turned(view: ReferenceView, sections: int = 48, rows: int = 40) -> Mesh:
    """Makes what a run from a picture begins with: the object's outline, turned round the vertical through its middle.

    A pot is nearly found by that, and of other things the outline. How high the camera stood is left out.

    Args:
        view: the picture, whose object is in the middle.
        sections: quads around.
        rows: of quads from top to bottom, without those that close it.
    """
    covered = view.covered[0, 0].cpu().numpy()
    # Of thin bars no pixel may be half covered.
    seen = covered > min(0.5, 0.5 * float(covered.max()))
    lines, pixel = np.flatnonzero(seen.any(axis=1)), DISTANCE / FOCAL / len(seen)
    widths = np.array([np.ptp(np.flatnonzero(seen[line])) + 1.0 for line in lines])
    # Between two parts, one above the other, there are lines without a width.
    at = np.linspace(lines[0], lines[-1], rows + 1)
    radii = np.pad(np.interp(at, lines, widths) * pixel / 2, 1)
    top, bottom = (len(seen) / 2 - lines[0]) * pixel, (len(seen) / 2 - lines[-1] - 1) * pixel
    heights = np.pad(np.linspace(top, bottom, rows + 1), 1, mode="edge")
    angles = np.linspace(0.0, 2.0 * math.pi, sections + 1)
    height, angle = np.meshgrid(heights, angles, indexing="ij")
    places = np.stack([radii[:, None] * np.cos(angle), radii[:, None] * np.sin(angle), height], axis=2)
    across, down = np.meshgrid(np.linspace(0.01, 0.99, sections + 1), np.linspace(0.99, 0.01, rows + 3))
    row, column = (one.reshape(-1) for one in np.meshgrid(np.arange(rows + 2), np.arange(sections), indexing="ij"))
    wide = sections + 1
    corner = row * wide + column
    quads = np.stack([corner, corner + wide, corner + wide + 1, corner + 1], axis=1).astype(np.int32)
    # The first and the last row are one place each, so that their quads are triangles.
    upper, lower = quads[:sections, [0, 1, 2]], quads[-sections:, [0, 1, 3]]
    corners = np.concatenate([upper.reshape(-1), quads[sections:-sections].reshape(-1), lower.reshape(-1)])
    sizes = np.repeat([3, 4, 3], [sections, len(quads) - 2 * sections, sections]).astype(np.int32)
    # One place has several UVs there, and where the last column meets the first.
    line, place = np.divmod(corners, wide)
    place = np.where((line == 0) | (line == rows + 2) | (place == sections), 0, place)
    return replace(
        ball(0),
        name="turned outline",
        positions=places.reshape(-1, 3),
        polygon_sizes=sizes,
        corner_positions=(line * wide + place).astype(np.int32),
        uvs=np.stack([across, down], axis=2).reshape(-1, 2).astype(np.float32),
        corner_uvs=corners.astype(np.int32),
        material_index=np.zeros(len(sizes), dtype=np.int32),
    )


DEFAULT_GEOMETRY = DMTetConfig(cubes=48, surface=SurfacePenaltyConfig(laplacian=0.02, normal_consistency=0.05))
"""Where no mesh is given: the object's topology is not known. Colours say little of normals, so that more than
elsewhere is asked of the surface."""
