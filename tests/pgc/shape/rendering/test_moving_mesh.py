# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
import trimesh

from pgc.shape.rendering.moving_mesh import edge_mates, still, vertex_normals
from tests.pgc.shape.meshes import ball, moving, square

FAN_OF_THREE = torch.tensor([[0, 1, 2], [1, 0, 3], [0, 1, 4]])
"""Three triangles at one edge."""


def slow_mates(faces: torch.Tensor) -> torch.Tensor:
    edges: dict[frozenset[int], list[int]] = {}
    for number, face in enumerate(faces.tolist()):
        for corner in range(3):
            edges.setdefault(frozenset(face) - {face[corner]}, []).append(3 * number + corner)
    mates = torch.full((faces.numel(),), -1)
    for own in edges.values():
        if len(own) == 2:
            mates[own[0]], mates[own[1]] = own[1], own[0]
    return mates.reshape(-1, 3)


@pytest.mark.parametrize("faces", [ball(1)[1], ball(1)[1][:40], square()[1], FAN_OF_THREE], ids=str)
def test_mates_are_those_that_a_search_finds(faces):
    assert torch.equal(edge_mates(faces), slow_mates(faces))


def test_normals_of_a_ball_point_away_from_its_middle():
    positions, faces = ball(3)
    away = positions / positions.norm(dim=1, keepdim=True)
    assert (vertex_normals(positions, faces) * away).sum(dim=1).min() > 0.999


def test_normals_have_the_gradient_of_their_values():
    positions, faces = ball(0, dtype=torch.float64)
    positions = (positions * torch.tensor([1.0, 0.7, 1.2])).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda moved: vertex_normals(moved, faces), positions)


def test_a_still_copy_has_the_positions_and_faces_of_the_moment():
    positions, faces = ball(1)
    copy = still(moving(positions.requires_grad_(True), faces))
    assert torch.equal(torch.from_numpy(copy.positions), positions.detach())
    assert torch.equal(torch.from_numpy(copy.faces).long(), faces)
    assert trimesh.Trimesh(copy.positions, copy.faces).is_watertight
