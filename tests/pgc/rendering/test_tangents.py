# SPDX-License-Identifier: Apache-2.0
import dataclasses
import math

import numpy as np
import pytest

from pgc.cameras import Camera
from pgc.mesh.data import TriangleMesh
from pgc.mesh.tangents import _dot, corner_tangents, tangents_of
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer


def slowly(mesh: TriangleMesh) -> np.ndarray:
    """MikkTSpace's definition, corner by corner, in plain loops."""
    found = np.zeros((len(mesh.faces), 3, 4))
    corners = [(face, corner) for face in range(len(mesh.faces)) for corner in range(3)]

    def facts(face: int, corner: int) -> tuple:
        order = [(corner + step) % 3 for step in range(3)]
        p = mesh.positions[mesh.faces[face][order]].astype(np.float64)
        uv = mesh.corner_uvs[face][order].astype(np.float64)
        (a, b), (c, d) = uv[1] - uv[0], uv[2] - uv[0]
        area = a * d - b * c
        along = np.linalg.solve([[a, b], [c, d]], [p[1] - p[0], p[2] - p[0]])[0]
        normal = mesh.corner_normals[face, corner].astype(np.float64)
        edges = [edge - normal * (edge @ normal) for edge in (p[1] - p[0], p[2] - p[0])]
        angle = math.acos(np.clip(edges[0] @ edges[1] / np.linalg.norm(edges[0]) / np.linalg.norm(edges[1]), -1, 1))
        along = along - normal * (along @ normal)
        key = (*mesh.positions[mesh.faces[face, corner]], *normal, *uv[0], area > 0)
        return key, angle * along / np.linalg.norm(along), normal, area

    known = {where: facts(*where) for where in corners}
    for face, corner in corners:
        key, _, normal, area = known[face, corner]
        total = sum(vector for other, vector, _, _ in known.values() if other == key)
        total = total - normal * (total @ normal)
        found[face, corner] = [*(total / np.linalg.norm(total)), 1 if area > 0 else -1]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torus", "bumpy"])
def test_it_is_the_definition(primitive, name):
    mesh = primitive(name)
    assert np.abs(corner_tangents(mesh) - slowly(mesh)).max() < 1e-5


def test_u_along_x_and_a_mirrored_copy(quad):
    assert corner_tangents(quad()).reshape(-1, 4) == pytest.approx(np.tile([1.0, 0, 0, 1], (6, 1)))
    assert corner_tangents(quad(mirrored=True)).reshape(-1, 4) == pytest.approx(np.tile([-1.0, 0, 0, -1], (6, 1)))


def test_triangles_without_texture_area_take_no_part(quad):
    mesh = quad()
    uvs = mesh.corner_uvs.copy()
    uvs[1] = uvs[1, :1]  # the second triangle is a point in the texture
    tangents = corner_tangents(dataclasses.replace(mesh, corner_uvs=uvs))
    assert tangents[0] == pytest.approx(np.tile([1.0, 0, 0, 1], (3, 1)))
    assert np.isfinite(tangents).all()
    assert (tangents[1] == 0).any()


def test_tangents_that_the_mesh_brings_are_rendered(quad):
    mesh = quad()
    brought = np.tile(np.array([0, 0, 1, -1], dtype=np.float32), (2, 3, 1))
    given = dataclasses.replace(mesh, corner_tangents=brought)
    assert tangents_of(given) is brought
    camera = Camera.orthographic((0.0, -2.0, 0.0), height=1.0)
    seen = WarpRasterizer(given, device="cpu").render([camera], (4, 4))
    assert seen.tangent[0, :, 2, 2].tolist() == pytest.approx([0, 0, 1, -1], abs=1e-5)
    usual = WarpRasterizer(mesh, device="cpu").render([camera], (4, 4))
    assert usual.tangent[0, :, 2, 2].tolist() == pytest.approx([1, 0, 0, 1], abs=1e-5)


def test_sums_of_three_are_numpys_own() -> None:
    draw = np.random.default_rng(2)
    a, b = draw.normal(size=(2, 50_000, 3)) * 10.0 ** draw.uniform(-8, 8, (2, 50_000, 1))
    assert np.array_equal(_dot(a, b), (a * b).sum(axis=-1))
