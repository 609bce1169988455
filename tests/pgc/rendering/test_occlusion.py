# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import trimesh

from pgc.errors import ConfigError
from pgc.mesh.data import TriangleMesh
from pgc.rendering.occlusion import RayCaster, ambient_occlusion
from pgc.rendering.raster.reference_rasterizer import ReferenceRasterizer
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer


def walls(*corners: list[list[float]]) -> TriangleMesh:
    """Rectangles, each by its four corners in turn."""
    positions = np.array(corners, dtype=np.float32).reshape(-1, 3)
    faces = np.array([[4 * at, 4 * at + 1, 4 * at + 2] for at in range(len(corners))], dtype=np.int32)
    faces = np.concatenate([faces, faces[:, [0, 2, 2]] + np.array([0, 0, 1], dtype=np.int32)])
    count = len(faces)
    return TriangleMesh(
        positions=positions,
        faces=faces,
        corner_uvs=np.zeros((count, 3, 2), np.float32),
        corner_normals=np.tile(np.array([0, 0, 1], np.float32), (count, 3, 1)),
        polygon_index=np.arange(count, dtype=np.int32),
        corner_index=np.arange(3 * count, dtype=np.int32).reshape(count, 3),
        material_index=np.zeros(count, np.int32),
    )


FAR = 400.0
FLOOR = [[-FAR, -FAR, 0], [FAR, -FAR, 0], [FAR, FAR, 0], [-FAR, FAR, 0]]
WALL = [[0, -FAR, 0], [0, FAR, 0], [0, FAR, FAR], [0, -FAR, FAR]]
UP = torch.tensor([[0.0, 0.0, 1.0]])


def at(mesh: TriangleMesh, point: list[float], normal: torch.Tensor = UP, **options) -> float:
    caster = WarpRasterizer(mesh, device="cpu")
    generator = torch.Generator().manual_seed(0)
    return float(ambient_occlusion(caster, torch.tensor([point]), normal, rays=4096, generator=generator, **options))


def test_open_floor_and_the_foot_of_a_wall():
    assert at(walls(FLOOR), [0.3, 0.2, 0.0]) == 1.0
    # A wall without end takes half the sky, by symmetry; and nothing where it is out of reach.
    assert at(walls(FLOOR, WALL), [0.01, 0.0, 0.0]) == pytest.approx(0.5, abs=0.02)
    assert at(walls(FLOOR, WALL), [2.0, 0.0, 0.0], reach=1.9) == 1.0


def test_a_lid_takes_what_its_form_factor_says():
    """A disc of radius r at height h takes r² / (r² + h²) of the cosine; here a disc of many sides."""
    disc = trimesh.creation.cylinder(radius=1.0, height=1e-3, sections=128)
    disc.apply_translation([0, 0, 1.5])
    mesh = TriangleMesh(
        positions=disc.vertices.astype(np.float32),
        faces=disc.faces.astype(np.int32),
        corner_uvs=np.zeros((len(disc.faces), 3, 2), np.float32),
        corner_normals=np.tile(np.array([0, 0, 1], np.float32), (len(disc.faces), 3, 1)),
        polygon_index=np.zeros(len(disc.faces), np.int32),
        corner_index=np.zeros((len(disc.faces), 3), np.int32),
        material_index=np.zeros(len(disc.faces), np.int32),
    )
    assert at(mesh, [0.0, 0.0, 0.0]) == pytest.approx(1 - 1 / (1 + 1.5**2), abs=0.01)


def test_inside_a_closed_mesh_there_is_no_sky(primitive):
    assert at(primitive("box"), [0.0, 0.0, 0.0]) == 0.0


@pytest.mark.slow
def test_fast_and_slow_rays_agree(primitive):
    mesh = primitive("torus")
    corners = torch.from_numpy(mesh.positions[mesh.faces])[::4]
    normals = F.normalize(torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), dim=1)
    found = [
        ambient_occlusion(caster, corners.mean(1), normals, rays=32, generator=torch.Generator().manual_seed(4))
        for caster in (WarpRasterizer(mesh, device="cpu"), ReferenceRasterizer(mesh))
    ]
    # A ray that grazes an edge may be decided either way by rounding.
    assert (found[0] - found[1]).abs().mean() < 0.002
    assert 0.2 < found[0].min() < 0.95


def test_both_rasterizers_are_ray_casters(primitive):
    for kind in (WarpRasterizer, ReferenceRasterizer):
        assert isinstance(kind(primitive("box"), device="cpu"), RayCaster)


def test_what_makes_no_sense_is_refused(primitive):
    for options in ({"rays": 0}, {"reach": 0.0}, {"reach": float("nan")}):
        with pytest.raises(ConfigError, match="expected at least one"):
            ambient_occlusion(ReferenceRasterizer(primitive("box")), UP, UP, generator=torch.Generator(), **options)
