# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server would refuse of a mesh, said to the artist before anything is sent. Plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...protocol.specs.mesh_checks import LARGEST
from ..errors import SceneError

__all__ = ["check_surface", "check_uvs", "far_origin", "used_vertices"]

_FAR = 32.0
"""From how many times its own half size a mesh counts as far away: float32 keeps 2e-6 of the size up to there."""
_AREA_TOLERANCE = 1e-12
"""A triangle has an area where twice it is more than this share of its longest side squared, as for the server."""
_PIECE = 1 << 16
"""Triangles that are looked at together."""


def used_vertices(
    positions: npt.NDArray[Any], faces: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """Returns the vertices that faces have, and the faces with indices into them: loose ones say nothing of the
    surface.

    Args:
        positions: [V, 3]; faces: int32 [F, 3].
    """
    used = np.zeros(len(positions), np.bool_)
    used[faces] = True
    if used.all():
        return positions, faces
    return positions[used], (np.cumsum(used, dtype=np.int32) - 1)[faces]


def far_origin(positions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Says from where positions are counted, float64 [3]: the world's origin, or the middle of a mesh that is far from
    it.

    Args:
        positions: [V, 3], finite.
    """
    low, high = positions.min(axis=0), positions.max(axis=0)
    middle = (low + high) / 2.0
    return middle if np.abs(middle).max() > _FAR * (high - low).max() / 2.0 else np.zeros(3)


def check_surface(name: str, positions: npt.NDArray[np.float64], faces: npt.NDArray[np.int32]) -> None:
    """Checks that there is a surface.

    Args:
        positions: [V, 3] in world space; faces: int32 [F, 3].

    Raises:
        SceneError: a vertex is at no finite place, the whole is larger than a server takes, or no face has an area.
    """
    lost = int((~np.isfinite(positions)).any(axis=1).sum())
    if lost:
        raise SceneError(f"{lost} of {len(positions)} vertices of {name} have no finite place; move or delete them.")
    size = float(np.ptp(positions, axis=0).max())
    if size > LARGEST["positions"]:
        raise SceneError(f"{name} is {size:.3g} m long, and a server takes at most {LARGEST['positions']:.0e} m.")
    if not _has_area(positions, faces):
        raise SceneError(
            f"No face of {name} has an area: each is a line or a point. Look at its scale and its modifiers."
        )


def _has_area(positions: npt.NDArray[np.float64], faces: npt.NDArray[np.int32]) -> bool:
    """Whether one triangle has: the first that has ends the search, which is among the first of nearly every mesh."""
    for start in range(0, len(faces), _PIECE):
        a, b, c = (positions[faces[start : start + _PIECE, corner]] for corner in range(3))
        longest = np.maximum.reduce([(side**2).sum(axis=1) for side in (b - a, c - b, a - c)])
        if (np.linalg.norm(np.cross(b - a, c - a), axis=1) > _AREA_TOLERANCE * longest).any():
            return True
    return False


def check_uvs(name: str, uv_map: str, corner_uvs: npt.NDArray[np.float32]) -> None:
    """Checks that all UVs are numbers that a texture can be found by.

    Args:
        corner_uvs: [F, 3, 2].

    Raises:
        SceneError: some are not finite, or absurdly large.
    """
    lost = int((~(np.abs(corner_uvs) <= LARGEST["corner_uvs"])).any(axis=(1, 2)).sum())
    if lost:
        raise SceneError(
            f"{lost} of {len(corner_uvs)} triangles of {name} have no finite UVs in {uv_map}; unwrap it anew.",
            "pgc.unwrap",
        )
