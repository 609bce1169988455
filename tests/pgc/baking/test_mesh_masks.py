# SPDX-License-Identifier: Apache-2.0
"""Masks that the mesh makes, held to shapes whose curvature, thickness and height are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from pgc.baking.curvature import RIGHT_ANGLE, _face_samples, bending
from pgc.baking.mesh_masks import MeshMask, mesh_masks, mesh_values, read_mesh_mask
from pgc.errors import ConfigError, TextureError
from pgc.mesh import load_mesh, prepare_mesh
from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.texel_surface import texel_surface

REACH = 0.1


def triangles_of(mesh: trimesh.Trimesh) -> TriangleMesh:
    count = len(mesh.faces)
    return TriangleMesh(
        positions=mesh.vertices.astype(np.float32),
        faces=mesh.faces.astype(np.int32),
        corner_uvs=np.zeros((count, 3, 2), np.float32),
        corner_normals=mesh.vertex_normals[mesh.faces].astype(np.float32),
        polygon_index=np.arange(count, dtype=np.int32),
        corner_index=np.arange(3 * count, dtype=np.int32).reshape(-1, 3),
        material_index=np.zeros(count, np.int32),
    )


def places(*points) -> np.ndarray:
    return np.array(points, np.float32)


@pytest.mark.parametrize("cut", [False, True], ids=["as it is", "in small triangles, each with its own vertices"])
def test_a_cube_bends_along_its_edges_by_the_formula(cut):
    box = trimesh.creation.box((2.0, 2.0, 2.0))
    if cut:
        box = box.subdivide().subdivide().subdivide()
        box.unmerge_vertices()
    away = np.array([0.0, 0.5, 1.0, 2.0])
    points = np.stack([1.0 - away * REACH, np.zeros(4), np.ones(4)], axis=1).astype(np.float32)
    gauss = np.exp(-0.5 * away**2)
    below = np.array([0.5 * (1.0 + math.erf(each / math.sqrt(2.0))) for each in away])
    # What lies on the grid's own planes is widened a little less: five hundredths.
    # The edge's line over the areas of both faces, each under the same Gaussian.
    expected = 2.0 * gauss / (2.0 * below + gauss)
    assert bending(triangles_of(box), points, REACH) == pytest.approx(expected, abs=0.06)
    assert bending(triangles_of(box), places([0.0, 0.0, 1.0]), REACH)[0] == 0.0
    box.invert()
    assert bending(triangles_of(box), points, REACH) == pytest.approx(-expected, abs=0.06)


@pytest.mark.parametrize("subdivisions", [2, 4])
def test_a_ball_bends_by_its_radius_however_fine_it_is(subdivisions):
    ball = trimesh.creation.icosphere(subdivisions, 0.5)
    found = bending(triangles_of(ball), ball.triangles_center.astype(np.float32), REACH)
    assert found.mean() == pytest.approx(REACH / 0.5 / RIGHT_ANGLE, rel=0.05)


def test_an_edge_of_three_faces_and_one_without_a_neighbour_bend_nowhere():
    fin = trimesh.Trimesh(
        [[0, 0, 0], [0, 0, 1], [1, 0, 0], [-1, 0.5, 0], [-1, -0.5, 0]], [[0, 1, 2], [1, 0, 3], [1, 0, 4]], process=False
    )
    assert not bending(triangles_of(fin), places([0, 0, 0.5]), REACH).any()


def test_what_lies_on_itself_bends_as_if_it_were_there_once():
    box = trimesh.creation.box((2.0, 2.0, 2.0))
    plain = triangles_of(box)
    points = places([1.0, 0.0, 1.0], [0.9, 0.1, 1.0], [0.0, 0.0, 1.0])
    expected = bending(plain, points, REACH)
    assert expected[0] > 0.5
    twice = trimesh.Trimesh(box.vertices, np.concatenate([box.faces, box.faces[:, ::-1]]), process=False)
    assert bending(triangles_of(twice), points, REACH) == pytest.approx(expected, abs=1e-5)
    box.unmerge_vertices()
    moved = box.vertices + np.random.default_rng(0).uniform(-5e-7, 5e-7, (36, 3))
    apart = trimesh.Trimesh(moved, box.faces, process=False)
    # The grid begins half a millionth elsewhere.
    assert bending(triangles_of(apart), points, REACH) == pytest.approx(expected, abs=0.02)


def test_layers_without_end_take_bounded_points(monkeypatch):
    corners = np.random.default_rng(0).random((50, 3, 3))
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    counts = []
    for most in (1e3, 1e9):
        monkeypatch.setattr("pgc.baking.curvature._MOST_SAMPLES", most)
        points, weights = _face_samples(corners, 0.01)
        assert weights.sum() == pytest.approx(area.sum())
        counts.append(len(points))
    assert counts[0] <= 1_050 < counts[1]


@pytest.fixture(scope="module")
def slab(tmp_path_factory):
    path = tmp_path_factory.mktemp("slab") / "slab.obj"
    trimesh.creation.box((2.0, 2.0, 0.1)).export(path)
    return prepare_mesh(load_mesh(path)).triangles


def values(kind, triangles):
    caster = WarpRasterizer(triangles, device=torch.device("cpu"))
    return mesh_values(kind, triangles, caster, size=64, tiles=(1001,))[0].numpy()


@pytest.mark.slow
def test_a_slab_is_as_thin_as_the_formula_says_and_as_high_as_it_is(slab):
    low, high = slab.positions.min(axis=0), slab.positions.max(axis=0)
    surface = texel_surface(slab, 64)
    axis = int((high - low).argmin())
    middle = surface.inside & (np.delete(np.abs(surface.position), axis, axis=-1).max(axis=-1) < 0.4)
    reach = 0.05 * float(np.linalg.norm(high - low))
    # Rays inwards, drawn by the cosine, meet the other side within their reach where cos > thickness / reach.
    expected = 1.0 - (float(high[axis] - low[axis]) / reach) ** 2
    assert values("thin", slab)[middle].mean() == pytest.approx(expected, abs=0.02)
    share = (surface.position[..., 2] - low[2]) / (high[2] - low[2])
    assert values("height", slab)[surface.inside] == pytest.approx(share[surface.inside], abs=1e-6)
    assert not values("occlusion", slab).any()
    assert not values("crevices", slab).any()
    caster = WarpRasterizer(slab, device=torch.device("cpu"))
    with pytest.raises(TextureError, match=r"has no crevices at all.*normals point outwards"):
        mesh_masks(read_mesh_mask("--change-by", "crevices"), slab, caster, size=16)
    with pytest.raises(TextureError, match=r"No texel has thin of 0\.99 to 1; give a wider range"):
        mesh_masks(read_mesh_mask("--change-by", "thin=0.99..1"), slab, caster, size=16)
    (chosen,) = mesh_masks(read_mesh_mask("--change-by", "height=0..0.25"), slab, caster, size=64)
    assert np.array_equal(chosen.numpy()[surface.inside], share[surface.inside] <= 0.25)
    # A vertex of no face is none of the surface.
    loose = replace(slab, positions=np.concatenate([slab.positions, places([0, 500, 0], [0, 0, 900])]))
    for kind in ("height", "edges", "thin"):
        assert np.array_equal(values(kind, loose), values(kind, slab))


def test_a_mask_is_read_and_what_is_none_is_refused():
    assert read_mesh_mask("--change-by", "edges") == MeshMask(kind="edges", low=0.3, high=1.0)
    assert read_mesh_mask("--keep-by", "height = 0..0.3").high == 0.3
    for text in ("rust", "edges=1", "edges=a..b", "edges=0.5..0.2", "up=-1..1"):
        with pytest.raises(ConfigError, match="expected"):
            read_mesh_mask("--change-by", text)
