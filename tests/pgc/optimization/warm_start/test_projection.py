# SPDX-License-Identifier: Apache-2.0
"""Pictures on texels: what a view sees is painted, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from pgc.cameras import Camera
from pgc.cameras.rigs import CameraRig
from pgc.mesh import TriangleMesh
from pgc.optimization.warm_start.projection import TexelPainter
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.texel_surface import texel_surface
from tests.pgc.optimization.warm_start.shapes import prepared

SIZE, PIXELS = 64, 96
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def knot() -> TriangleMesh:
    """A torus beside a ball: parts hide each other, and themselves."""
    ring = trimesh.creation.torus(0.6, 0.2, major_sections=16, minor_sections=8)
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.3)
    ball.apply_translation((0.6, 0.0, 0.55))
    return prepared(trimesh.util.concatenate([ring, ball])).triangles


def painter_of(
    triangles: TriangleMesh, cameras: list[Camera], colors: list[tuple[float, float, float]]
) -> TexelPainter:
    painter = TexelPainter(triangles, SIZE, (1001,), 4.0, CPU)
    rasterizer = WarpRasterizer(triangles, device=CPU)
    for camera, color in zip(cameras, colors, strict=True):
        picture = torch.tensor(color)[None, :, None, None].expand(1, 3, PIXELS, PIXELS)
        painter.add([camera], rasterizer.render([camera], (PIXELS, PIXELS)), picture)
    return painter


def cast(triangles: TriangleMesh, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """The slow reference: a ray from every texel towards the camera. Returns (seen, straightness)."""
    surface = texel_surface(triangles, SIZE, reach=1.0)
    covered = surface.face_index >= 0
    position = surface.position[covered].astype(np.float64)
    corners = triangles.positions[triangles.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normal = normals[surface.face_index[covered]]
    towards = camera.position - position
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    straight = (towards * normal).sum(axis=1)
    return (straight > 0) & ~blocked(position + 1e-3 * normal, towards, corners), straight


def blocked(origins: np.ndarray, directions: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Whether any triangle is hit, each ray against each (Moeller and Trumbore, 1997)."""
    hit = np.zeros(len(origins), dtype=bool)
    for a, b, c in corners:
        normal = np.cross(directions, c - a)
        determinant = normal @ (b - a)
        safe = np.where(np.abs(determinant) < 1e-12, np.inf, determinant)
        u = ((origins - a) * normal).sum(axis=1) / safe
        across = np.cross(origins - a, b - a)
        v = (across * directions).sum(axis=1) / safe
        distance = across @ (c - a) / safe
        hit |= (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0) & (np.abs(determinant) >= 1e-12)
    return hit


def test_a_texel_is_seen_where_a_ray_from_it_reaches_the_camera(knot: TriangleMesh) -> None:
    hidden: list[np.ndarray] = []
    shown: list[np.ndarray] = []
    for camera in CameraRig.staggered_ring(3, focal=1.0).cameras:
        painter = painter_of(knot, [camera], [(1.0, 1.0, 1.0)])
        gbuffer = WarpRasterizer(knot, device=CPU).render([camera], (PIXELS, PIXELS))
        painted = painter.look_up(camera, gbuffer, 0)[1].numpy() > 0
        seen, straight = cast(knot, camera)
        assert not painted[straight < -0.2].any()
        # Grazing views and pixels at a silhouette say nothing on purpose.
        hidden.append(painted[(straight > 0.4) & ~seen])
        shown.append(painted[(straight > 0.4) & seen])
    assert len(np.concatenate(hidden)) > 50
    # Those that are painted lie within a pixel of what hides them.
    assert np.concatenate(hidden).mean() < 0.05
    assert np.concatenate(shown).mean() > 0.85


@pytest.mark.slow
def test_the_straighter_view_counts_more() -> None:
    board = prepared(trimesh.creation.box((1.0, 1.0, 0.02))).triangles
    straight = Camera.look_at((0.0, 0.0, 2.25), focal=1.0)
    slanted = Camera.look_at((1.8, 0.0, 1.35), focal=1.0)
    painted = painter_of(board, [straight, slanted], [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)]).painted()
    surface = texel_surface(board, SIZE)
    top = torch.from_numpy((surface.normal[..., 2] > 0.9) & surface.inside)
    red, blue = painted.image[0, 0][top], painted.image[0, 2][top]
    assert painted.seen[0][top].float().mean() > 0.9
    assert float(red.median()) > 0.8
    # Seen by the slanted view too: its share is the fourth power of its cosine.
    cosine = 1.35 / math.hypot(1.8, 1.35)
    assert float(blue.median()) == pytest.approx(cosine**4 / (1 + cosine**4), abs=0.02)


@pytest.mark.slow
def test_nothing_comes_through_a_thin_wall() -> None:
    board = prepared(trimesh.creation.box((1.0, 1.0, 0.001))).triangles
    above = Camera.look_at((0.0, 0.0, 2.25), focal=1.0)
    seen = painter_of(board, [above], [(1.0, 0.0, 0.0)]).painted().seen[0]
    surface = texel_surface(board, SIZE)
    assert not seen[torch.from_numpy((surface.normal[..., 2] < -0.9) & surface.inside)].any()
    assert seen[torch.from_numpy((surface.normal[..., 2] > 0.9) & surface.inside)].float().mean() > 0.9


@pytest.mark.slow
def test_a_mesh_whose_faces_point_inwards_is_painted_too(knot: TriangleMesh) -> None:
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.6)
    ball.invert()
    camera = Camera.look_at((0.0, -2.25, 0.0), focal=1.0)
    triangles = prepared(ball).triangles
    seen = painter_of(triangles, [camera], [(1.0, 0.0, 0.0)]).painted().seen[0].numpy()
    surface = texel_surface(triangles, SIZE)
    towards = surface.position[..., 1] < -0.4
    assert seen[towards & surface.inside].mean() > 0.9
    assert not seen[(surface.position[..., 1] > 0.2) & surface.inside].any()


def test_an_orthographic_view_paints_as_well(knot: TriangleMesh) -> None:
    camera = Camera.orthographic((0.0, -3.0, 0.0), height=2.0)
    painted = painter_of(knot, [camera], [(0.2, 0.4, 0.6)]).painted()
    colors = painted.image.permute(0, 2, 3, 1)[painted.seen]
    assert painted.seen.any()
    assert torch.allclose(colors, torch.tensor((0.2, 0.4, 0.6)).expand_as(colors), atol=1e-6)


def test_what_no_view_saw_is_filled_from_its_neighbours_on_the_surface(knot: TriangleMesh) -> None:
    painter = painter_of(knot, [Camera.look_at((0.0, -2.25, 0.0), focal=1.0)], [(0.2, 0.4, 0.6)])
    filled = painter.filled()
    covered = torch.from_numpy(texel_surface(knot, SIZE).inside)
    assert not filled.seen[0][covered].all()
    colors = filled.image[0].permute(1, 2, 0)[covered]
    assert torch.allclose(colors, torch.tensor((0.2, 0.4, 0.6)).expand_as(colors), atol=1e-5)
    painter.clear()
    assert not painter.filled().seen.any()


def test_big_textures_are_filled_at_a_smaller_size(knot: TriangleMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    painter = painter_of(knot, [Camera.look_at((0.0, -2.25, 0.0), focal=1.0)], [(0.2, 0.4, 0.6)])
    whole: Tensor = painter.filled().image
    monkeypatch.setattr("pgc.optimization.warm_start.projection._FILL_SIZE", SIZE // 4)
    small = painter.filled()
    covered = torch.from_numpy(texel_surface(knot, SIZE).inside)[None, None].expand_as(whole)
    assert torch.equal(small.image[small.seen[:, None].expand_as(whole)], whole[small.seen[:, None].expand_as(whole)])
    assert torch.allclose(small.image[covered], whole[covered], atol=0.02)
