# SPDX-License-Identifier: Apache-2.0
"""What the UVs of a mesh can carry: measured once here, for the library and for the add-on.

numpy only: no bpy, no torch, no scipy, so that both sides can import it and say the same of the same mesh.
"""

from .effort import WORTH_SAYING, expected_seconds
from .measure import UvFaces, UvMeasure, measure_uvs
from .picture import density_picture
from .raster import affordable_grid, covered_cells
from .verdict import UvJudgement, UvRemedy, UvVerdict, judge_uvs

__all__ = [
    "WORTH_SAYING",
    "UvFaces",
    "UvJudgement",
    "UvMeasure",
    "UvRemedy",
    "UvVerdict",
    "affordable_grid",
    "covered_cells",
    "density_picture",
    "expected_seconds",
    "judge_uvs",
    "measure_uvs",
]
