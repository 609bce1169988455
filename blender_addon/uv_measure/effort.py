# SPDX-License-Identifier: Apache-2.0
"""How long new UVs take, said before they are made: on the command line, and in Blender's panel."""

__all__ = ["WORTH_SAYING", "expected_seconds"]

_SECONDS_PER_TRIANGLE = 4.0e-4
"""By xatlas on one core: a torus of 49,284 triangles takes 20 s, models of 40,000 to 63,000 take 7 to 34 s."""

WORTH_SAYING = 5.0
"""Seconds. Shorter waits need no announcement."""


def expected_seconds(triangle_count: int) -> float:
    """Estimates how long an unwrap typically takes on one core, in seconds; meshes of many small parts take longer."""
    return 1.0 + _SECONDS_PER_TRIANGLE * triangle_count
