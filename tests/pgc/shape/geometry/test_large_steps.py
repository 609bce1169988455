# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from pgc.errors import ConfigError
from pgc.shape.geometry.base import Geometry
from pgc.shape.geometry.large_steps import SmoothingSolve, laplacian
from pgc.shape.geometry.uniform_adam import UniformAdam
from pgc.shape.geometry.vertex_offsets import VertexOffsets, VertexOffsetsConfig
from tests.pgc.shape.meshes import ball, square


def dense_laplacian(faces: torch.Tensor, vertices: int) -> torch.Tensor:
    matrix = torch.zeros((vertices, vertices), dtype=torch.float64)
    for face in faces.tolist():
        for one, other in ((0, 1), (1, 2), (2, 0)):
            matrix[face[one], face[other]] = matrix[face[other], face[one]] = -1.0
    return matrix - torch.diag(matrix.sum(dim=1))


@pytest.mark.parametrize("made", [ball(1, dtype=torch.float64), square()], ids=["ball", "square"])
def test_the_solve_is_that_of_the_dense_matrix(made):
    positions, faces = made
    positions = torch.cat([positions, torch.ones((1, 3), dtype=torch.float64)])  # one that no face uses
    dense = dense_laplacian(faces, len(positions))
    assert torch.equal(torch.from_numpy(laplacian(faces, len(positions)).toarray()), dense)
    system = torch.eye(len(positions), dtype=torch.float64) + 7.0 * dense
    solve = SmoothingSolve(faces, len(positions), 7.0)
    torch.testing.assert_close(solve(positions), torch.linalg.solve(system, positions))
    torch.testing.assert_close(solve.inverse(positions), system @ positions)
    assert torch.autograd.gradcheck(solve, positions.clone().requires_grad_(True))


def test_offsets_begin_as_the_mesh_that_they_are_given():
    positions, faces = ball(2)
    geometry = VertexOffsets(positions, faces, VertexOffsetsConfig())
    assert isinstance(geometry, Geometry)
    mesh = geometry.mesh()
    torch.testing.assert_close(mesh.positions, positions, atol=1e-5, rtol=0)
    assert torch.equal(mesh.faces, faces)
    assert geometry.penalty(mesh).item() == 0.0


@pytest.mark.parametrize(("smoothness", "moved"), [(0.0, 1), (19.0, 42)])
def test_a_pull_on_one_vertex_moves_its_neighbourhood(smoothness, moved):
    positions, faces = ball(1)
    geometry = VertexOffsets(positions, faces, VertexOffsetsConfig(smoothness=smoothness))
    optimizer = UniformAdam(geometry.parameter_groups(0.01), betas=(0.9, 0.99), epsilon=1e-8)
    (-geometry.mesh().positions[3, 0]).backward()
    optimizer.step()
    away = (geometry.mesh().positions - positions).norm(dim=1)
    assert int((away > 1e-5).sum()) == moved
    assert away.argmax() == 3


def test_a_uniform_step_keeps_the_proportions_of_a_gradient_and_a_plain_one_does_not():
    for uniform, expected in ((True, [0.1, 0.001]), (False, [0.1, 0.1])):
        parameter = torch.nn.Parameter(torch.zeros(2))
        groups = [{"params": [parameter], "lr": 0.1, "uniform": uniform}]
        optimizer = UniformAdam(groups, betas=(0.9, 0.99), epsilon=1e-12)
        parameter.grad = torch.tensor([-1.0, -0.01])
        optimizer.step()
        assert parameter.tolist() == pytest.approx(expected, rel=1e-4)


def test_without_uniformity_it_is_adam():
    mine, theirs = (torch.nn.Parameter(torch.ones(5)) for _ in range(2))
    ours = UniformAdam([{"params": [mine], "lr": 0.05, "uniform": False}], betas=(0.9, 0.99), epsilon=1e-8)
    adam = torch.optim.Adam([theirs], lr=0.05, betas=(0.9, 0.99), eps=1e-8)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        mine.grad = torch.randn(5, generator=generator)
        theirs.grad = mine.grad.clone()
        ours.step()
        adam.step()
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("name", ["smoothness", "rate", "color_rate"])
def test_settings_out_of_range_are_refused(name):
    with pytest.raises(ConfigError, match=f"offsets.{name} is -1"):
        VertexOffsetsConfig(**{name: -1.0})


def test_colours_stay_colours():
    geometry = VertexOffsets(*ball(0), VertexOffsetsConfig())
    with torch.no_grad():
        geometry.colors[0], geometry.colors[1] = 3.0, -2.0
    geometry.after_step()
    assert geometry.colors[:2].tolist() == [[1.0] * 3, [0.0] * 3]
