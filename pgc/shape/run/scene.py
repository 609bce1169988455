# SPDX-License-Identifier: Apache-2.0
"""What a shape run learns, and from where it is looked at, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor

from pgc.cameras.sampling import CameraSampler
from pgc.distillation.build import DistillationConfig
from pgc.errors import ConfigError
from pgc.optimization.views.reference_view import ReferenceView
from pgc.shape.geometry.base import Geometry
from pgc.shape.rendering.moving_mesh import MovingMesh
from pgc.shape.rendering.renderer import ShapeRenderer
from pgc.shape.run.pictures import PICTURE_KINDS, PictureConfig, PictureKind

__all__ = ["ShapeScene"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapeScene:
    """What is learnt and from where it is seen.

    Raises:
        ConfigError: no picture is shown, or one that there is not.
    """

    geometry: Geometry
    renderer: ShapeRenderer
    cameras: CameraSampler
    shown: tuple[PictureKind, ...] = ("rgb",)
    """Pictures of each step."""
    losses: Mapping[PictureKind, DistillationConfig] = field(default_factory=dict)
    """Of single kinds of pictures; the run's own for all others."""
    pictures: PictureConfig = field(default_factory=PictureConfig)
    held: MovingMesh | None = None
    """The mesh whose depth and normals ControlNets are shown, so that the shape stays near it; None: the shape's own of
    the moment."""
    reference: MovingMesh | None = None
    """A known shape, rendered beside and handed to the oracle; None for every real prior."""
    reference_view: ReferenceView | None = None
    """A picture of the object that is to be found; it is compared with in each step. None: a prompt alone."""
    face_materials: Int[Tensor, " f"] | None = None
    likeness: Float[Tensor, "1 3 h w"] | None = None

    def __post_init__(self) -> None:
        if not self.shown or not set(self.shown) <= set(PICTURE_KINDS):
            raise ConfigError(f"shown is {self.shown}; expected one or both of {', '.join(PICTURE_KINDS)}.")
