# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import trimesh

from pgc.mesh import load_mesh, prepare_mesh
from pgc.shape.geometry.subdivision import subdivided

QUADS = """o wall
v 0 0 0
v 2 0 0
v 2 1 0
v 0 1 0
v 3 0 1
v 3 1 1
vt 0 0
vt 0.6 0
vt 0.6 1
vt 0 1
vt 1 0
vt 1 1
o first
usemtl stone
f 1/1 2/2 3/3 4/4
o second
usemtl wood
f 2/2 5/5 6/6 3/3
"""


@pytest.fixture
def wall(tmp_path):
    (tmp_path / "wall.obj").write_text(QUADS)
    return load_mesh(tmp_path / "wall.obj")


def drawn(mesh):
    return trimesh.Trimesh(mesh.positions, mesh.corner_positions.reshape(-1, 3), process=False)


@pytest.mark.parametrize("times", [1, 2])
def test_a_subdivided_mesh_is_the_same_surface(wall, times):
    found = subdivided(wall, times)
    assert len(found.polygon_sizes) == 4 * 4**times
    assert drawn(found).area == pytest.approx(2.0 + np.sqrt(2.0))
    # Middles are shared: each lies once.
    assert len(np.unique(found.positions, axis=0)) == len(found.positions)
    assert np.array_equal(found.positions[: len(wall.positions)], wall.positions)


def test_uvs_materials_and_parts_go_along(wall):
    found = subdivided(wall, 2)
    corners = found.positions[found.corner_positions]
    uv = found.uvs[found.corner_uvs]
    flat = np.isclose(corners[:, 2], 0.0) & (corners[:, 0] <= 2.0)
    np.testing.assert_allclose(uv[flat, 0], corners[flat, 0] * 0.3, atol=1e-6)
    np.testing.assert_allclose(uv[flat, 1], corners[flat, 1], atol=1e-6)
    assert np.bincount(found.material_index).tolist() == [32, 32]
    assert np.bincount(found.part_index)[-2:].tolist() == [32, 32]
    assert prepare_mesh(found).report.uvs.done == "kept"


def test_a_mesh_without_uvs_stays_without(wall, tmp_path):
    plain = "\n".join(line.replace("/", " ") for line in QUADS.splitlines() if not line.startswith(("vt", "f")))
    (tmp_path / "plain.obj").write_text(plain + "\nf 1 2 3 4\n")
    assert subdivided(load_mesh(tmp_path / "plain.obj"), 1).uvs is None
