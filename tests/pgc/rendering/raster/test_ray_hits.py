# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import trimesh

from pgc.errors import ConfigError
from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.ray_hits import HitCaster, nearest_along
from pgc.rendering.raster.reference_rasterizer import ReferenceRasterizer
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer

CASTERS = [ReferenceRasterizer, WarpRasterizer]


def triangles(positions, faces):
    count = len(faces)
    return TriangleMesh(
        positions=np.asarray(positions, np.float32),
        faces=np.asarray(faces, np.int32),
        corner_uvs=np.zeros((count, 3, 2), np.float32),
        corner_normals=np.tile(np.array([0, 0, 1], np.float32), (count, 3, 1)),
        polygon_index=np.arange(count, dtype=np.int32),
        corner_index=np.arange(3 * count, dtype=np.int32).reshape(count, 3),
        material_index=np.zeros(count, np.int32),
    )


def normals_of(mesh):
    corners = torch.from_numpy(mesh.positions[mesh.faces])
    return torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def layers(*heights):
    """Big triangles over each other, all with +Z up; a negative height stands for one at |height| that looks down."""
    faces = [
        [3 * at, 3 * at + 1, 3 * at + 2] if h > 0 else [3 * at, 3 * at + 2, 3 * at + 1] for at, h in enumerate(heights)
    ]
    return triangles([(x, y, abs(h)) for h in heights for x, y in ((-9, -9), (9, -9), (0, 9))], faces)


@pytest.mark.parametrize("make", CASTERS)
def test_a_ray_meets_what_is_first(make):
    caster = make(layers(0.2, 0.5), device="cpu")
    assert isinstance(caster, HitCaster)
    origins = torch.tensor([[0.0, 0.0, 0.4], [0.0, 0.0, 0.9], [0.0, 0.0, 0.9], [20.0, 0.0, 0.9]])
    directions = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -2.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    hits = caster.first_hits(origins, directions, 0.5)
    assert hits.face.tolist() == [1, 1, -1, -1]
    torch.testing.assert_close(hits.distance[:2], torch.tensor([0.1, 0.2]))
    assert torch.isinf(hits.distance[2:]).all()
    torch.testing.assert_close(hits.barycentrics[0], torch.tensor([0.25, 0.25, 0.5]))
    assert (hits.barycentrics[2:] == 0).all()
    assert (caster.first_hits(origins, directions, 0.05).face == -1).all()


@pytest.mark.parametrize("make", CASTERS)
@pytest.mark.parametrize(
    ("heights", "reach", "face", "distance"),
    [
        ((0.5, 0.75), 1.0, 0, -0.1),  # the nearer one lies behind
        ((0.3, 0.7), 1.0, 1, 0.1),  # ahead
        ((-0.61, 0.7, 0.2), 1.0, 1, 0.1),  # through one that looks the other way
        ((0.9,), 0.2, -1, torch.inf),  # out of reach
        ((-0.7,), 1.0, -1, torch.inf),  # nothing that looks this way
        ((0.6,), 1.0, 0, 0.0),  # on the surface itself
    ],
)
def test_the_nearest_that_looks_the_same_way(make, heights, reach, face, distance):
    mesh = layers(*heights)
    up = torch.tensor([[0.0, 0.0, 1.0]])
    found = nearest_along(make(mesh, device="cpu"), torch.tensor([[0.0, 0.0, 0.6]]), up, reach, normals_of(mesh))
    assert found.face.tolist() == [face]
    assert found.distance.item() == pytest.approx(distance, abs=1e-5)


@pytest.mark.slow
def test_both_casters_agree_on_a_knobbly_mesh():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    generator = torch.Generator().manual_seed(0)
    bumps = 1.0 + 0.2 * torch.rand(len(ball.vertices), 1, generator=generator).numpy()
    mesh = triangles(ball.vertices * bumps, ball.faces)
    directions = F.normalize(torch.randn(500, 3, generator=generator), dim=1)
    origins = 0.55 * directions + 0.02 * torch.randn(500, 3, generator=generator)
    slow, fast = (
        nearest_along(make(mesh, device="cpu"), origins, directions, 0.3, normals_of(mesh)) for make in CASTERS
    )
    assert (slow.face >= 0).float().mean() > 0.95
    same = slow.face == fast.face
    assert same.float().mean() > 0.99, "save where an edge is hit"
    torch.testing.assert_close(slow.distance[same], fast.distance[same], atol=1e-5, rtol=0)
    torch.testing.assert_close(slow.barycentrics[same], fast.barycentrics[same], atol=1e-3, rtol=0)


def test_a_reach_of_nothing_is_refused():
    mesh = layers(0.5)
    with pytest.raises(ConfigError, match="reach of 0"):
        nearest_along(WarpRasterizer(mesh, device="cpu"), torch.zeros(1, 3), torch.zeros(1, 3), 0.0, normals_of(mesh))
