# SPDX-License-Identifier: Apache-2.0
from collections import defaultdict

import numpy as np
import pytest

from pgc.mesh import TriangleMesh, chart_ids, seam_edges


def triangle_mesh(faces, corner_uvs, vertex_count):
    faces = np.asarray(faces, dtype=np.int32)
    count = len(faces)
    return TriangleMesh(
        positions=np.zeros((vertex_count, 3), dtype=np.float32),
        faces=faces,
        corner_uvs=np.asarray(corner_uvs, dtype=np.float32),
        corner_normals=np.tile(np.float32([0, 0, 1]), (count, 3, 1)),
        polygon_index=np.arange(count, dtype=np.int32),
        corner_index=np.arange(3 * count, dtype=np.int32).reshape(-1, 3),
        material_index=np.zeros(count, dtype=np.int32),
    )


def edges_by_place(mesh):
    """Slow reference: half-edges (face, edge, UVs at the sorted ends) by undirected edge."""
    found = defaultdict(list)
    for face, corners in enumerate(mesh.faces.tolist()):
        for edge in range(3):
            a, b = corners[edge], corners[(edge + 1) % 3]
            uv_a, uv_b = (tuple(mesh.corner_uvs[face, (edge + i) % 3].tolist()) for i in range(2))
            if a != b:
                found[min(a, b), max(a, b)].append((face, edge, (uv_a, uv_b) if a < b else (uv_b, uv_a)))
    return found


def slow_charts(mesh):
    parent = list(range(len(mesh.faces)))

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i

    for sides in edges_by_place(mesh).values():
        for one in sides:
            for other in sides:
                if one[2] == other[2]:
                    low, high = sorted((root(one[0]), root(other[0])))
                    parent[high] = low
    numbers = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(len(mesh.faces))]


def slow_seams(mesh):
    pairs = [sides for sides in edges_by_place(mesh).values() if len(sides) == 2]
    return sorted((*a[:2], *b[:2]) for a, b in pairs if a[2] != b[2])


@pytest.mark.parametrize("seed", range(8))
def test_charts_and_seams_agree_with_the_slow_reference(seed):
    rng = np.random.default_rng(seed)
    faces = rng.integers(0, 14, (30, 3))  # also edges of three faces, and edges without length
    # UVs mostly by vertex, a few by corner: some edges join, some are seams.
    by_vertex = rng.integers(0, 4, (14, 2)) / 4.0
    uvs = by_vertex[faces]
    odd = rng.random((30, 3)) < 0.15
    uvs[odd] += 0.5
    mesh = triangle_mesh(faces, uvs, 14)
    seams = seam_edges(mesh)
    got = sorted(zip(*(getattr(seams, n).tolist() for n in ("face_a", "edge_a", "face_b", "edge_b")), strict=True))
    expected = slow_seams(mesh)
    assert chart_ids(mesh).tolist() == slow_charts(mesh)
    assert got == expected
    assert expected, "the case must have seams"


def test_two_triangles_join_by_equal_uvs_only():
    uvs = np.array([[(0, 0), (1, 0), (0, 1)], [(1, 0), (1, 1), (0, 1)]], dtype=np.float32)
    joined = triangle_mesh([(0, 1, 2), (1, 3, 2)], uvs, 4)
    assert chart_ids(joined).tolist() == [0, 0]
    assert len(seam_edges(joined).face_a) == 0
    uvs[1] += 2.0
    apart = triangle_mesh([(0, 1, 2), (1, 3, 2)], uvs, 4)
    seams = seam_edges(apart)
    assert chart_ids(apart).tolist() == [0, 1]
    assert (seams.face_a.tolist(), seams.edge_a.tolist()) == ([0], [1])
    assert (seams.face_b.tolist(), seams.edge_b.tolist()) == ([1], [2])
