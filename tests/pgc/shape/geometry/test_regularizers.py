# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from pgc.errors import ConfigError
from pgc.shape.geometry.regularizers import (
    SurfacePenaltyConfig,
    laplacian_penalty,
    normal_consistency,
    surface_penalty,
)
from tests.pgc.shape.meshes import ball, moving, square


def test_a_flat_square_is_consistent_and_a_folded_one_is_not():
    corners, faces = square()
    assert normal_consistency(corners, faces).item() == pytest.approx(0.0, abs=1e-12)
    # The second triangle is turned to a right angle with the first: 1 - cos 90° = 1.
    folded = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    assert normal_consistency(folded, torch.tensor([[0, 1, 2], [1, 0, 3]])).item() == pytest.approx(1.0)


def test_a_mesh_without_shared_edges_is_consistent():
    assert normal_consistency(torch.rand((3, 3)), torch.tensor([[0, 1, 2]])).item() == 0.0


@pytest.mark.parametrize("penalty", [laplacian_penalty, normal_consistency])
def test_noise_is_less_likely_than_a_ball_at_any_scale(penalty):
    positions, faces = ball(2)
    noisy = positions + 0.05 * torch.randn(positions.shape, generator=torch.Generator().manual_seed(0))
    assert penalty(noisy, faces) > 3.0 * penalty(positions, faces)
    torch.testing.assert_close(penalty(10.0 * noisy, faces), penalty(noisy, faces), rtol=1e-3, atol=0)


@pytest.mark.parametrize("penalty", [normal_consistency])
def test_penalties_have_the_gradient_of_their_values(penalty):
    positions, faces = ball(0, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda moved: penalty(moved, faces), positions.requires_grad_(True))


def test_the_mean_of_neighbours_is_that_of_a_loop():
    positions, faces = ball(0, dtype=torch.float64)
    positions = positions * torch.tensor([1.0, 0.5, 1.3])
    edges = {tuple(sorted((face[a], face[b]))) for face in faces.tolist() for a, b in ((0, 1), (1, 2), (2, 0))}
    near = {vertex: [sum(edge) - vertex for edge in edges if vertex in edge] for vertex in range(len(positions))}
    away = torch.stack([positions[others].mean(dim=0) - positions[vertex] for vertex, others in sorted(near.items())])
    length = torch.stack([(positions[a] - positions[b]).square().sum() for a, b in edges]).mean()
    slow = away.square().sum(dim=1).mean() / length
    assert laplacian_penalty(positions, faces).item() == pytest.approx(slow.item())


def test_weights_weigh():
    mesh = moving(*ball(1))
    both = surface_penalty(SurfacePenaltyConfig(laplacian=2.0, normal_consistency=3.0), mesh)
    slow = 2.0 * laplacian_penalty(mesh.positions, mesh.faces) + 3.0 * normal_consistency(mesh.positions, mesh.faces)
    torch.testing.assert_close(both, slow)
    with pytest.raises(ConfigError, match=r"surface.laplacian is -1"):
        SurfacePenaltyConfig(laplacian=-1.0)
