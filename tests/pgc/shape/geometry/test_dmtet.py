# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest
import torch
import trimesh

from pgc.errors import ConfigError, MeshError
from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.rasterizer import RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.shape.geometry.base import Geometry
from pgc.shape.geometry.dmtet import DMTet, DMTetConfig, sign_change_penalty
from pgc.shape.geometry.signed_distance import _samples, signed_distance
from pgc.shape.geometry.tetrahedra import EDGES, case_triangles, kuhn_grid, marching_tetrahedra
from pgc.shape.rendering.moving_mesh import still
from tests.pgc.shape.meshes import ball, moving

GRID = kuhn_grid(12, 1.0)


def surface(values: torch.Tensor) -> trimesh.Trimesh:
    positions, faces, _ = marching_tetrahedra(GRID, GRID.positions, values, GRID.positions)
    return trimesh.Trimesh(positions.detach().numpy(), faces.numpy(), process=False)


def test_tetrahedra_fill_the_cube_and_none_is_mirrored():
    corners = GRID.positions[GRID.tetrahedra].double()
    edges = corners[:, 1:] - corners[:, :1]
    volumes = torch.linalg.det(edges) / 6.0
    assert (volumes > 0).all()
    assert volumes.sum().item() == pytest.approx(8.0, rel=1e-5)
    ends = GRID.tetrahedra[:, torch.tensor(EDGES)].sort(dim=2).values
    assert torch.equal(GRID.edges[GRID.own_edges], ends)
    assert int(GRID.at_border.sum()) == 13**3 - 11**3


@pytest.mark.parametrize("cubes", [1, 2, 5])
def test_edges_that_are_counted_are_those_that_are_looked_up(cubes):
    grid = kuhn_grid(cubes, 1.0)
    count = len(grid.positions)
    ends = grid.tetrahedra[:, torch.tensor(EDGES)].reshape(-1, 2).sort(dim=1).values
    keys, own = torch.unique(ends[:, 0] * count + ends[:, 1], return_inverse=True)
    assert torch.equal(grid.edges, torch.stack([keys // count, keys % count], dim=1))
    assert torch.equal(grid.own_edges, own.reshape(-1, 6))


@pytest.mark.parametrize("inside", list(itertools.product([False, True], repeat=4)))
def test_each_case_parts_the_corners_that_are_inside_from_the_others(inside):
    triangles = case_triangles(inside)
    used = {EDGES[number] for triangle in triangles for number in triangle}
    assert used == {(a, b) for a, b in EDGES if inside[a] != inside[b]}
    assert len(triangles) == {0: 0, 1: 1, 2: 2, 3: 1, 4: 0}[sum(inside)]


@pytest.mark.parametrize("seed", range(3))
def test_any_values_give_a_closed_surface_that_faces_outward(seed):
    values = torch.randn(len(GRID.positions), generator=torch.Generator().manual_seed(seed))
    values = torch.where(GRID.at_border, values.abs() + 0.01, values)
    mesh = surface(values)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0.0


def test_a_ball_is_a_ball():
    mesh = surface(GRID.positions.norm(dim=1) - 0.63)
    assert mesh.euler_number == 2
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.63**3, rel=0.05)
    away = mesh.triangles_center / np.linalg.norm(mesh.triangles_center, axis=1, keepdims=True)
    assert (away * mesh.face_normals).sum(axis=1).min() > 0.8


def test_vertices_and_colours_have_the_gradient_of_their_values():
    grid = kuhn_grid(2, 1.0)
    places, colors = grid.positions.double(), grid.positions.double() * 0.3 + 0.5
    values = grid.positions.double().norm(dim=1) - 0.7

    def found(places, values, colors):
        vertices, _, carried = marching_tetrahedra(grid, places, values, colors)
        return vertices, carried

    assert torch.autograd.gradcheck(found, [each.requires_grad_(True) for each in (places, values, colors)])


def test_a_shape_that_vanished_is_said_to_have():
    with pytest.raises(MeshError, match="vanished"):
        surface(torch.ones(len(GRID.positions)))


@pytest.mark.parametrize("hole", [False, True])
def test_distances_are_those_of_a_ball_also_of_one_with_a_hole(hole):
    positions, faces = ball(3, 0.6)
    triangles = still(moving(positions, faces[:-40] if hole else faces))
    caster = WarpRasterizer(triangles, device="cpu", config=RasterizerConfig(cache_bytes=0))
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (500, 3))
    found = signed_distance(triangles, caster, points, 0.02)
    wrong = np.abs(found - (np.linalg.norm(points, axis=1) - 0.6)) > 0.02
    assert wrong.mean() < (0.05 if hole else 0.005)


def test_the_border_stays_outside_and_colours_stay_colours():
    config = DMTetConfig(cubes=6)
    grid = DMTet.grid_of(config)
    shape = DMTet(grid, torch.full((len(grid.positions),), -1.0), config)
    assert isinstance(shape, Geometry)
    mesh = shape.mesh()
    assert trimesh.Trimesh(mesh.positions.detach().numpy(), mesh.faces.numpy(), process=False).is_watertight
    with torch.no_grad():
        shape.colors.fill_(2.0)
    shape.after_step()
    assert shape.colors.max() == 1.0


def test_offsets_turn_no_tetrahedron_round():
    """Not for all at once at their worst, but for what a run would have to learn on purpose."""
    config = DMTetConfig(cubes=6)
    grid = DMTet.grid_of(config)
    shape = DMTet(grid, grid.positions.norm(dim=1) - 0.5, config)
    with torch.no_grad():
        shape.offsets.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(0))
    mesh = shape.mesh()
    drawn = trimesh.Trimesh(mesh.positions.detach().numpy(), mesh.faces.numpy(), process=False)
    assert drawn.is_watertight
    assert drawn.volume > 0.0


def test_signs_that_disagree_more_are_less_likely():
    edges = torch.tensor([[0, 1], [1, 2]])
    mild, strong = (sign_change_penalty(torch.tensor([-size, size, size]), edges) for size in (0.1, 2.0))
    assert strong > mild > 0.0
    assert sign_change_penalty(torch.ones(3), edges).item() == 0.0


@pytest.mark.parametrize(
    ("name", "value"), [("cubes", 3), ("cubes", 500), ("half_extent", 0.0), ("sign_changes", -1.0)]
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"dmtet.{name} is {value}"):
        DMTetConfig(**{name: value})


@pytest.mark.parametrize("last", [1.0, float("nan")])
def test_a_step_that_leaves_nothing_is_taken_back_and_told(last):
    config = DMTetConfig(cubes=6)
    grid = DMTet.grid_of(config)
    shape = DMTet(grid, grid.positions.norm(dim=1) - 0.6, config)
    assert not shape.vanished
    with torch.no_grad():
        shape.distances -= 0.05
    shape.after_step()
    before = shape.mesh()
    with torch.no_grad():
        shape.distances.fill_(last)
        shape.offsets += 1.0
    shape.after_step()
    assert shape.vanished
    assert torch.equal(shape.mesh().positions, before.positions)
    assert torch.equal(shape.mesh().faces, before.faces)


def test_samples_of_a_surface_are_near_one_another_and_no_more_than_its_area_needs():
    sliver = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.001, 0]], np.float32)
    square = np.array([[0, 0, 2], [1, 0, 2], [1, 1, 2], [0, 1, 2]], np.float32)
    positions = np.concatenate([sliver, square])
    faces = np.array([[1, 2, 0], [3, 4, 5], [3, 5, 6]], np.int32)
    zeros = np.zeros((3, 3, 3), np.float32)
    triangles = TriangleMesh(
        positions=positions, faces=faces, corner_uvs=zeros[..., :2].copy(), corner_normals=zeros + 1.0,
        polygon_index=np.arange(3, dtype=np.int32), corner_index=faces, material_index=np.zeros(3, np.int32),
    )  # fmt: skip
    points = _samples(triangles, 0.05)
    assert len(points) < 40 + 2 * 30 * 16
    generator = np.random.default_rng(0)
    weights = generator.dirichlet((1.0, 1.0, 1.0), size=(3, 500))
    surface = np.einsum("fnc,fcx->fnx", weights, positions[faces].astype(np.float64)).reshape(-1, 3)
    distance = np.linalg.norm(surface[:, None] - points[None], axis=2).min(axis=1)
    assert distance.max() <= 0.05


def test_a_shape_that_was_loaded_is_what_a_lost_step_goes_back_to():
    config = DMTetConfig(cubes=6)
    grid = DMTet.grid_of(config)
    start = grid.positions.norm(dim=1) - 0.8
    learnt, resumed = DMTet(grid, start + 0.4, config), DMTet(grid, start, config)
    resumed.load_state_dict(learnt.state_dict())
    assert not resumed.vanished
    with torch.no_grad():
        resumed.distances.fill_(1.0)
    resumed.after_step()
    assert resumed.vanished
    assert torch.equal(resumed.mesh().positions, learnt.mesh().positions)
