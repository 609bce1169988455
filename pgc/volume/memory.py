# SPDX-License-Identifier: Apache-2.0
"""What a volume run needs of a graphics card beside its prior."""

from __future__ import annotations

from pgc.distillation.build import has_image_target
from pgc.runs.memory.needs import SubjectNeeds
from pgc.texture.hash_field import grid_resolutions
from pgc.volume.settings import VolumeSettings

__all__ = ["volume_needs"]

_COPIES = 4
"""Of parameters: themselves, their gradient and Adam's two moments."""
_LOOK = 150.0e-9
"""GB of a look at the field, for each level of its grid. Counted: 1.7 KB at 16 levels, 1.2 KB at 8."""
_INSIDE = 0.35
"""Length of a pixel's ray where the field is asked for, the mean over pixels. Counted: 0.21 of the papers' ball, 0.35
of a vase; a volume grows."""


def volume_needs(settings: VolumeSettings) -> SubjectNeeds:
    """Returns what a volume run needs beside its prior."""
    field = settings.volume.field
    rows = sum(min(field.rows, side**3) for side in grid_resolutions(field))
    parameters = rows * field.features * 4 / 1e9
    pixels = 1024**2
    # The graph of all looks is there while the prior is asked.
    view = pixels * _INSIDE / settings.volume.march.step * _LOOK * field.grid_levels
    return SubjectNeeds(
        optimize=settings.optimize,
        fixed=_COPIES * parameters,
        held=view,
        peak=view,
        decodes=has_image_target(settings.optimize.distillation),
        smaller="ask for smaller pictures (--resolution)",
    )
