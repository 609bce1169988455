# SPDX-License-Identifier: Apache-2.0
"""The library's tangents are Blender's: MikkTSpace, as `mesh.calc_tangents` has it."""

import numpy as np
import pytest

from pgc.mesh.data import TriangleMesh
from pgc.mesh.tangents import corner_tangents

pytestmark = [pytest.mark.blender, pytest.mark.slow]


def test_tangents_are_those_of_blender(run_in_blender, tmp_path):
    for name in run_in_blender("write_tangents", script="probe_tangents.py", folder=str(tmp_path)):
        known = np.load(tmp_path / f"{name}.npz")
        count = len(known["faces"])
        mesh = TriangleMesh(
            positions=known["positions"],
            faces=known["faces"],
            corner_uvs=known["uvs"],
            corner_normals=known["normals"],
            polygon_index=np.arange(count, dtype=np.int32),
            corner_index=np.arange(3 * count, dtype=np.int32).reshape(count, 3),
            material_index=np.zeros(count, dtype=np.int32),
        )
        found = corner_tangents(mesh)
        usable = np.abs(found).sum(axis=2) > 0  # the monkey has two triangles without texture area
        assert usable.mean() > 0.99
        apart = np.linalg.norm(found[..., :3] - known["tangents"], axis=2)[usable]
        assert np.degrees(apart.max()) < 0.1, name
        assert (found[..., 3] == known["signs"])[usable].all(), name
