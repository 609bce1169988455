# SPDX-License-Identifier: Apache-2.0
"""The surface of a volume: a ball's radius, closed and outward, without crumbs and hollows; and what it begins as."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from pgc.errors import ConfigError, MeshError
from pgc.guidance.specs import PocketSpec, StableDiffusionSpec
from pgc.mesh import load_mesh, prepare_mesh
from pgc.volume.field import VolumeFieldConfig, ball_distances, grid_places
from pgc.volume.prepared import begun_distances
from pgc.volume.settings import as_soft, volume_settings, with_start
from pgc.volume.start import (
    STARTS,
    BallStart,
    MeshStart,
    NamedStart,
    named_in,
    start_distances,
    start_named,
)
from pgc.volume.surface import SurfaceConfig, largest_part, smoothed, surface_mesh, volume_surface
from pgc.volume.volume import Volume, VolumeConfig

SIZES = VolumeFieldConfig(grid_levels=2, coarsest_cells=4, finest_cells=8, rows=512, hidden=4, start_density=100.0)


def volume(distances: torch.Tensor) -> Volume:
    return Volume(VolumeConfig(field=SIZES), distances)


def drawn(positions, faces) -> trimesh.Trimesh:
    return trimesh.Trimesh(positions.numpy().astype(np.float64), faces.numpy(), process=False)


@pytest.mark.slow
def test_a_ball_comes_back_as_a_closed_ball():
    surface = volume_surface(volume(ball_distances(65, 0.6)), SurfaceConfig(triangles=6000))
    mesh = drawn(surface.positions, surface.faces)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0.0
    # The density of 8 lies at a depth of 8/200 below the distance's zero.
    radius = np.linalg.norm(mesh.vertices, axis=1)
    assert radius.mean() == pytest.approx(0.56, abs=0.01)
    assert radius.std() < 0.01
    outward = (mesh.face_normals * mesh.triangles_center).sum(axis=1)
    assert (outward > 0.0).all()
    assert len(mesh.faces) == pytest.approx(6000, rel=0.2)
    assert surface.colors.shape == surface.positions.shape
    assert 0.0 <= float(surface.colors.min()) <= float(surface.colors.max()) <= 1.0
    assert surface.notes == ()


def test_a_number_of_triangles_that_no_grid_gives_is_said():
    """100 became 1,100 without a word."""
    surface = volume_surface(volume(ball_distances(33, 0.6)), SurfaceConfig(triangles=100))
    (note,) = surface.notes
    assert f"has {len(surface.faces):,} triangles and not about 100: that is what the coarsest grid (16" in note


@pytest.mark.slow
def test_what_floats_and_what_is_hollow_goes():
    places = grid_places(65)
    shell = torch.maximum(places.norm(dim=1) - 0.6, 0.25 - places.norm(dim=1))
    crumb = (places - torch.tensor([0.85, 0.85, 0.85])).norm(dim=1) - 0.1
    surface = volume_surface(
        volume(torch.minimum(shell, crumb).reshape(65, 65, 65)), SurfaceConfig(triangles=4000, smoothing=2)
    )
    mesh = drawn(surface.positions, surface.faces)
    assert mesh.body_count == 1
    assert mesh.is_watertight
    assert np.linalg.norm(mesh.vertices, axis=1).min() > 0.5
    assert np.abs(mesh.vertices).max() < 0.65


@pytest.mark.slow
def test_a_volume_that_touches_its_box_is_closed_there():
    surface = volume_surface(volume(torch.full((9, 9, 9), -1.0)), SurfaceConfig(triangles=2000, smoothing=0))
    mesh = drawn(surface.positions, surface.faces)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(8.0, rel=0.2)


def test_an_empty_volume_is_told_in_a_sentence():
    with pytest.raises(MeshError, match="The volume is empty"):
        volume_surface(volume(torch.full((9, 9, 9), 1.0)), SurfaceConfig())


def test_the_largest_part_counts_by_volume_and_not_by_triangles():
    small = trimesh.creation.icosphere(subdivisions=3, radius=0.1)
    large = trimesh.creation.box((1.0, 1.0, 1.0))
    both = trimesh.util.concatenate([small, large])
    positions, faces = largest_part(torch.tensor(both.vertices).float(), torch.tensor(both.faces).long())
    assert (len(positions), len(faces)) == (8, 12)
    assert drawn(positions, faces).volume == pytest.approx(1.0)


def test_smoothing_takes_noise_and_keeps_size():
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.6)
    noise = 0.01 * np.random.default_rng(0).normal(size=(len(ball.vertices), 1))
    rough = torch.tensor(ball.vertices * (1.0 + noise)).float()
    found = smoothed(rough, torch.tensor(ball.faces).long(), 8).norm(dim=1)
    assert float(found.std()) < 0.5 * float(rough.norm(dim=1).std())
    assert float(found.mean()) == pytest.approx(0.6, abs=0.003)


@pytest.mark.slow
def test_the_mesh_gets_uvs_of_the_projects_own():
    surface = volume_surface(volume(ball_distances(33, 0.5)), SurfaceConfig(triangles=800))
    prepared = prepare_mesh(surface_mesh(surface, "ball"))
    assert prepared.mesh.has_uvs
    assert prepared.mesh.colors is not None
    assert prepared.report.unwrapped


@pytest.mark.parametrize("name", [name for name in STARTS if name != "ball"])
def test_every_named_start_is_a_closed_shape_of_its_own_within_the_box(name):
    start = start_named(name)
    assert isinstance(start, NamedStart)
    distances = start_distances(start)
    inside = grid_places(65)[distances.reshape(-1) < 0.0]
    assert 200 < len(inside) < 65**3 // 3
    assert 0.6 < float(inside.abs().max()) < 0.75
    edge = distances.clone()
    edge[1:-1, 1:-1, 1:-1] = 1.0
    assert float(edge.min()) > 0.0


def test_starts_differ_by_their_shapes():
    def filled(name: str, place: tuple[float, float, float]) -> bool:
        distances = start_distances(start_named(name))
        nearest = int((grid_places(65) - torch.tensor(place)).norm(dim=1).argmin())
        return bool(distances.reshape(-1)[nearest] < 0.0)

    assert filled("sphere", (0.0, 0.0, 0.0))
    assert not filled("torus", (0.0, 0.0, 0.0))
    assert filled("cube", (0.5, 0.5, 0.5))
    assert not filled("sphere", (0.5, 0.5, 0.5))
    assert filled("cone", (0.3, 0.0, -0.6))
    assert not filled("cone", (0.3, 0.0, 0.6))
    assert not filled("bowl", (0.0, 0.0, 0.2))


@pytest.mark.parametrize(
    ("prompt", "shape"),
    [
        ("a red vase", "vase"),
        ("A shiny DONUT, front view", "torus"),
        ("a cup made of blue bricks", "mug"),
        ("a cobbled pot", "vase"),
        ("a ball of red wood", "sphere"),
        ("a lion", None),
        ("a wooden statue", None),
        ("", None),
    ],
)
def test_shapes_are_read_from_prompts(prompt, shape):
    assert named_in(prompt) == shape


@pytest.mark.slow
def test_thin_legs_are_still_there_when_the_volume_begins(tmp_path: Path):
    """Legs were gone: the surface began 0.07 inside the mesh, and they are 0.06 thick."""
    path = tmp_path / "table.ply"
    legs = [trimesh.creation.box((0.06, 0.06, 0.9)) for _ in range(4)]
    for leg, (x, y) in zip(legs, ((-0.7, -0.5), (0.7, -0.5), (-0.7, 0.5), (0.7, 0.5)), strict=True):
        leg.apply_translation((x, y, -0.46))
    table = trimesh.util.concatenate([trimesh.creation.box((1.6, 1.2, 0.1)), *legs])
    table.export(path)
    triangles = prepare_mesh(load_mesh(path)).triangles.positions
    start = start_named(str(path))
    assert start == MeshStart(path=path)
    settings = with_start(volume_settings(PocketSpec(), ""), start)
    sizes = VolumeConfig(field=replace(SIZES, start_density=settings.volume.field.start_density))
    distances = begun_distances(settings)
    found = volume_surface(Volume(sizes, distances), settings.surface).positions
    voxel = 2.0 / (len(distances) - 1)
    np.testing.assert_allclose(found.amin(dim=0), triangles.min(axis=0), atol=voxel)
    np.testing.assert_allclose(found.amax(dim=0), triangles.max(axis=0), atol=voxel)
    for x in (-0.7, 0.7):
        foot = found[(found - torch.tensor([x, 0.5, 0.0]))[:, :2].abs().amax(dim=1) < 0.08]
        assert float(foot[:, 2].min()) == pytest.approx(triangles[:, 2].min(), abs=voxel)
    inside = distances + settings.volume.field.depth_of(settings.surface.density)
    before = volume_surface(Volume(sizes, inside), settings.surface).positions
    assert float(before[:, 2].min()) > 0.3, "the top alone was left"


def test_only_what_is_to_stay_begins_firm_and_moved():
    sd = volume_settings(StableDiffusionSpec(), "")
    assert torch.equal(begun_distances(sd), start_distances(sd.start))
    assert with_start(sd, BallStart(radius=0.3)).volume == sd.volume
    firm = with_start(sd, NamedStart(shape="cube"))
    assert firm.volume.field.start_density == 60.0
    assert as_soft(firm, StableDiffusionSpec()).volume == sd.volume
    moved = start_distances(firm.start) - begun_distances(firm)
    # Softplus of 8 is 8 and a bit, of a field that has 60 at a depth of 0.5.
    torch.testing.assert_close(moved, torch.full_like(moved, 8.0 * 0.5 / 60.0), atol=1e-4, rtol=0.0)
    pocket = volume_settings(PocketSpec(), "a vase")
    assert as_soft(pocket, PocketSpec()) == pocket


def test_what_is_no_start_is_refused():
    assert start_named("ball") == BallStart()
    with pytest.raises(ConfigError, match="--start is 'lion'; expected ball, sphere"):
        start_named("lion")
    with pytest.raises(ConfigError, match=r"start\.radius is 2"):
        BallStart(radius=2.0)
    with pytest.raises(ConfigError, match="100 or more"):
        SurfaceConfig(triangles=3)
    with pytest.raises(ConfigError, match=r"surface\.density is 0"):
        SurfaceConfig(density=0.0)


@pytest.mark.slow
def test_a_mesh_without_an_inside_is_no_start(tmp_path: Path):
    flat = tmp_path / "flat.obj"
    trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]).export(flat)
    with pytest.raises(MeshError, match="No place lies inside"):
        start_distances(MeshStart(path=flat))
