# SPDX-License-Identifier: Apache-2.0
"""What a GLB keeps beside the texture: other UV sets, vertex colours, places far away."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from pgc.export.glb import write_glb
from pgc.mesh import UvSet, load_mesh, prepare_mesh
from tests.pgc.export.awkward import box
from tests.pgc.export.test_glb import png


def uv_set(mesh, index, seed):
    rng = np.random.default_rng(seed)
    return UvSet(
        name=f"TEXCOORD_{index}",
        uvs=rng.random((11, 2)).astype(np.float32),
        corner_uvs=rng.integers(-1, 11, len(mesh.corner_positions)).astype(np.int32),
        index=index,
    )


def with_sets(uv_index, others, **more):
    mesh = box(**more)
    return replace(mesh, uv_index=uv_index, other_uv_sets=tuple(uv_set(mesh, index, index + 1) for index in others))


def colored(mesh, value=None):
    colors = np.random.default_rng(9).random((5, 4)).astype(np.float32)
    corners = np.random.default_rng(8).integers(-1, 5, len(mesh.corner_positions)).astype(np.int32)
    return replace(mesh, colors=colors if value is None else np.full((5, 4), value, np.float32), corner_colors=corners)


def written(tmp_path, mesh, *, plain=False, **pictures):
    """Path, JSON and the mesh as it is read again; with polygons cut into triangles."""
    path = tmp_path / "out.glb"
    prepared = prepare_mesh(mesh, uvs="keep")
    textured = pictures or {f"base_color.{tile}": png() for tile in prepared.report.tiles}
    write_glb(path, prepared, {} if plain else textured)
    data = path.read_bytes()
    text = data[20 : 20 + struct.unpack_from("<I", data, 12)[0]]
    return prepared, json.loads(text), load_mesh(path)


def corner_rows(pool, corners, none):
    return np.where(corners[:, None] >= 0, pool[np.maximum(corners, 0)], np.float32(none))


def triangle_corners(prepared):
    """Corners of the file's triangles in the mesh's corner arrays, in the order that tiles give."""
    order = np.argsort(prepared.face_tiles, kind="stable")
    return prepared.triangles.corner_index[order].reshape(-1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uv_index", "others", "expected"),
    [(0, (), 0), (1, (0,), 1), (0, (1,), 0), (1, (0, 2), 1), (5, (0, 3), 2), (0, (4, 7), 0)],
)
def test_every_uv_set_is_written_in_its_order(tmp_path, uv_index, others, expected):
    mesh = with_sets(uv_index, others)
    prepared, document, again = written(tmp_path, mesh)
    (material,) = document["materials"]
    assert material["pbrMetallicRoughness"]["baseColorTexture"]["texCoord"] == expected
    names = [name for name in document["meshes"][0]["primitives"][0]["attributes"] if name.startswith("TEXCOORD")]
    assert sorted(names) == [f"TEXCOORD_{number}" for number in range(1 + len(others))]
    assert again.uv_index == expected
    corners = triangle_corners(prepared)
    np.testing.assert_allclose(again.uvs[again.corner_uvs], mesh.uvs[mesh.corner_uvs[corners]], atol=1e-6)
    assert [found.index for found in again.other_uv_sets] == sorted(set(range(1 + len(others))) - {expected})
    for found, given in zip(again.other_uv_sets, mesh.other_uv_sets, strict=True):
        rows = corner_rows(given.uvs, given.corner_uvs[corners], 0.0)
        rows[given.corner_uvs[corners] < 0] = (0.0, 1.0)
        np.testing.assert_allclose(found.uvs[found.corner_uvs], rows, atol=1e-6)


@pytest.mark.slow
def test_sets_stay_with_their_tiles(tmp_path):
    mesh = with_sets(1, (0,), tiles=2)
    prepared, document, again = written(tmp_path, mesh)
    assert len(document["materials"]) == 2
    corners = triangle_corners(prepared)
    (other,) = again.other_uv_sets
    given = corner_rows(mesh.other_uv_sets[0].uvs, mesh.other_uv_sets[0].corner_uvs[corners], 0.0)
    given[mesh.other_uv_sets[0].corner_uvs[corners] < 0] = (0.0, 1.0)
    np.testing.assert_allclose(other.uvs[other.corner_uvs], given, atol=1e-6)


def test_vertex_colours_are_kept_where_viewers_do_not_multiply_by_them(tmp_path):
    mesh = colored(box())
    prepared, document, again = written(tmp_path, mesh)
    accessors = document["accessors"]
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    assert accessors[attributes["COLOR_0"]]["normalized"]
    corners = triangle_corners(prepared)
    rows = corner_rows(mesh.colors, mesh.corner_colors[corners], 1.0)
    np.testing.assert_array_equal(again.colors[again.corner_colors], rows)


def test_vertex_colours_are_seen_where_there_is_no_map(tmp_path):
    prepared, document, again = written(tmp_path, colored(box()), plain=True)
    rows = corner_rows(prepared.mesh.colors, prepared.mesh.corner_colors[triangle_corners(prepared)], 1.0)
    np.testing.assert_array_equal(again.colors[again.corner_colors], rows)
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    assert [name for name in attributes if name.startswith("COLOR")] == ["COLOR_0"]
    assert not document["accessors"][attributes["COLOR_0"]].get("normalized")


def test_white_colours_are_not_written(tmp_path):
    _, document, _ = written(tmp_path, colored(box(), 1.0))
    assert not any(name.startswith("COLOR") for name in document["meshes"][0]["primitives"][0]["attributes"])


@pytest.mark.slow
def test_a_vertex_is_repeated_only_where_something_differs(tmp_path):
    plain = len(written(tmp_path, box())[2].positions)
    mesh = box()
    same = UvSet(name="b", uvs=mesh.uvs, corner_uvs=mesh.corner_uvs, index=1)
    assert len(written(tmp_path, replace(mesh, other_uv_sets=(same,)))[2].positions) == plain


@pytest.mark.parametrize("up_axis", ["y", "z"])
def test_far_away_meshes_come_back_where_they_were(tmp_path, up_axis):
    mesh = box(up_axis=up_axis)
    place = np.array([448262.125, 5411932.25, 120.0625])
    far = replace(mesh, positions=mesh.positions + place)
    prepared, document, again = written(tmp_path, far)
    assert "translation" in document["nodes"][0]
    corners = triangle_corners(prepared)
    expected = far.positions[far.corner_positions[corners]]
    if up_axis == "z":
        expected = np.stack([expected[:, 0], expected[:, 2], -expected[:, 1]], axis=1)
    np.testing.assert_array_equal(again.positions[again.corner_positions], expected)
