# SPDX-License-Identifier: Apache-2.0
"""What a shape run needs of a graphics card beside its prior."""

from __future__ import annotations

from pgc.distillation.build import has_image_target
from pgc.runs.memory.needs import SubjectNeeds
from pgc.shape.geometry.dmtet import DMTetConfig
from pgc.shape.settings import ShapeSettings

__all__ = ["shape_needs"]

_NORMAL, _RGB, _BOTH = 0.56, 0.64, 0.69
"""GB of a view of 1024 pixels, by what is shown: four times what was counted at 512 (tests/benchmarks, a step of a
shape). The pictures' common graph is there while the prior is asked."""
_MESH = 0.05
_CUBE = 500.0e-9
"""GB of a cube of a grid: its tetrahedra, their edges, and distances and offsets with gradients and moments."""


def shape_needs(settings: ShapeSettings) -> SubjectNeeds:
    """Returns what a shape run needs beside its prior."""
    geometry, losses = settings.geometry, (settings.optimize.distillation, settings.normal_loss)
    view = _NORMAL if settings.shown == ("normal",) else _RGB if settings.shown == ("rgb",) else _BOTH
    smaller = "ask for smaller pictures (--resolution)"
    if isinstance(geometry, DMTetConfig):
        smaller += " or fewer --cubes"
    return SubjectNeeds(
        optimize=settings.optimize,
        fixed=_MESH + (_CUBE * geometry.cubes**3 if isinstance(geometry, DMTetConfig) else 0.0),
        held=view,
        peak=view,
        decodes=any(loss is not None and has_image_target(loss) for loss in losses),
        pictures=len(settings.shown),
        smaller=smaller,
    )
