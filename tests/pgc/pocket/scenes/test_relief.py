# SPDX-License-Identifier: Apache-2.0
"""Normals from heights: a ramp tilts by its slope, steps are held, silhouettes do not bend."""

import numpy as np
import pytest

from pgc.pocket.scenes.relief import STEEPEST, relief_normals


def panel(size: int = 24) -> tuple[np.ndarray, np.ndarray]:
    ticks = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    x, z = np.meshgrid(ticks, -ticks)
    points = np.stack([x, np.zeros_like(x), z], -1)
    return points, np.broadcast_to(np.array([0.0, -1.0, 0.0], np.float32), points.shape).copy()


@pytest.mark.parametrize(("along_x", "along_z"), [(0.3, 0.0), (0.0, -0.4), (0.2, 0.5)])
def test_a_ramp_tilts_by_its_slope(along_x: float, along_z: float) -> None:
    points, normals = panel()
    heights = along_x * points[..., 0] + along_z * points[..., 2]
    bent = relief_normals(points, normals, heights, np.ones(heights.shape, bool))
    expected = np.array([-along_x, -1.0, -along_z]) / np.sqrt(1.0 + along_x**2 + along_z**2)
    assert bent == pytest.approx(np.broadcast_to(expected, bent.shape), abs=1e-4)


def test_a_small_thing_before_much_background_is_bent_too() -> None:
    points, normals = panel(40)
    hit = np.maximum(np.abs(points[..., 0]), np.abs(points[..., 2])) < 0.3
    heights = np.where(hit, 0.3 * points[..., 0], 0.0).astype(np.float32)
    points[~hit] = 0.0
    bent = relief_normals(points, normals, heights, hit)[hit]
    assert -bent[:, 0] / -bent[:, 1] == pytest.approx(0.3, abs=1e-3)


def test_a_step_is_held() -> None:
    points, normals = panel()
    bent = relief_normals(points, normals, 5.0 * (points[..., 0] > 0), np.ones(points.shape[:2], bool))
    tangent = np.sqrt(1.0 - bent[..., 1] ** 2) / -bent[..., 1]
    assert tangent.max() == pytest.approx(STEEPEST, abs=1e-3)


def test_the_background_has_no_height() -> None:
    """Beyond the silhouette heights are 0: a raised thing must not seem to fall off at its rim."""
    points, normals = panel()
    hit = points[..., 0] ** 2 + points[..., 2] ** 2 < 0.5
    points[~hit] = 0.0
    bent = relief_normals(points, normals, np.where(hit, 1.0, 0.0).astype(np.float32), hit)
    assert bent[hit] == pytest.approx(normals[hit], abs=1e-4)
    assert np.array_equal(bent[~hit], normals[~hit])


def test_nothing_to_see_is_nothing() -> None:
    points, normals = panel(4)
    bent = relief_normals(np.zeros_like(points), normals, np.zeros((4, 4), np.float32), np.zeros((4, 4), bool))
    assert np.array_equal(bent, normals)
