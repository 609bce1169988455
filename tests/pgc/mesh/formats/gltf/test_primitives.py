# SPDX-License-Identifier: Apache-2.0
"""Faces of every mode, UV sets, colours and morph targets of a glTF's primitives."""

import numpy as np
import pytest

from pgc.errors import MeshError
from tests.pgc.mesh.formats.gltf.builder import (
    SQUARE,
    SQUARE_FACES,
    SQUARE_UVS,
    Builder,
    corners,
    flipped,
    uv_corners,
)

ROW = np.array([(x / 2, x % 2, 0) for x in range(6)], np.float32)
"""Six points in a zigzag, as a strip has them."""


def as_sets(faces):
    return {tuple(map(tuple, np.roll(face, -min(range(3), key=lambda i: tuple(face[i])), axis=0))) for face in faces}


@pytest.mark.parametrize("indexed", [False, True])
def test_strips_keep_every_second_triangle_from_turning(tmp_path, indexed):
    builder = Builder()
    primitive = {"attributes": {"POSITION": builder.accessor(ROW)}, "mode": 5}
    if indexed:
        primitive["indices"] = builder.accessor(np.arange(6, dtype=np.uint8))
    found = corners(builder.shown(primitive).load(tmp_path))
    expected = ROW[[(0, 1, 2), (1, 3, 2), (2, 3, 4), (3, 5, 4)]]
    assert as_sets(found) == as_sets(expected)
    area = np.cross(found[:, 1] - found[:, 0], found[:, 2] - found[:, 0])[:, 2]
    assert (area < 0).all()


def test_fans_go_round_their_first_corner(tmp_path):
    builder = Builder()
    builder.shown({"attributes": {"POSITION": builder.accessor(ROW)}, "mode": 6})
    assert as_sets(corners(builder.load(tmp_path))) == as_sets(ROW[[(0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 5)]])


def test_stitches_of_strips_are_left_out_and_keep_the_turn(tmp_path):
    """Two strips as one, joined by repeated corners; the second begins at an even place."""
    builder = Builder()
    indices = builder.accessor(np.array([0, 1, 2, 3, 3, 2, 2, 3, 4, 5], np.uint16))
    mesh = builder.shown({"attributes": {"POSITION": builder.accessor(ROW)}, "mode": 5, "indices": indices}).load(
        tmp_path
    )
    assert as_sets(corners(mesh)) == as_sets(ROW[[(0, 1, 2), (1, 3, 2), (2, 3, 4), (3, 5, 4)]])
    assert mesh.notes == ("4 triangle(s) without area that stitch strips together were left out.",)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_indices_of_every_size(tmp_path, dtype):
    builder = Builder()
    primitive = builder.square() | {"indices": builder.accessor(SQUARE_FACES.ravel().astype(dtype))}
    np.testing.assert_array_equal(corners(builder.shown(primitive).load(tmp_path)), SQUARE[SQUARE_FACES])


def test_points_and_lines_are_counted(tmp_path):
    builder = Builder()
    parts = [builder.square() | {"mode": mode} for mode in (0, 1, 2, 3, 4, 9)]
    mesh = builder.shown(*parts).load(tmp_path)
    assert len(mesh.polygon_sizes) == 2
    assert mesh.notes == (
        "4 part(s) of points or lines were left out.",
        "1 part(s) of an unknown kind were left out.",
    )


def test_a_file_of_points_alone_says_so(tmp_path):
    builder = Builder()
    with pytest.raises(MeshError, match=r"no triangles.*1 part\(s\) of points or lines"):
        builder.shown(builder.square() | {"mode": 0}).load(tmp_path)


def test_odd_corners_cost_themselves(tmp_path):
    builder = Builder()
    indices = builder.accessor(np.array([0, 1, 2, 0, 2, 9, 0, 2, 3, 1, 2], np.uint16))
    mesh = builder.shown(builder.square() | {"indices": indices}).load(tmp_path)
    np.testing.assert_array_equal(corners(mesh), SQUARE[SQUARE_FACES])
    assert mesh.notes == (
        "2 index(es) after the last whole triangle were left out.",
        "1 triangle(s) point to a vertex that does not exist and were left out.",
    )


def test_corners_that_are_not_finite_cost_their_triangles(tmp_path):
    builder = Builder()
    positions = np.array([*SQUARE, (np.nan, 0, 0), (np.inf, 0, 0)], np.float32)
    indices = builder.accessor(np.array([0, 1, 2, 0, 2, 4, 1, 2, 5], np.uint16))
    primitive = {"attributes": {"POSITION": builder.accessor(positions)}, "indices": indices}
    mesh = builder.shown(primitive, translation=[1, 0, 0]).load(tmp_path)
    np.testing.assert_array_equal(corners(mesh), SQUARE[[[0, 1, 2]]] + np.float32([1, 0, 0]))
    assert mesh.notes == ("2 triangle(s) with a corner that is NaN or infinite were left out.",)


def test_uvs_that_are_not_finite_are_none(tmp_path):
    builder = Builder()
    uvs = np.where(np.arange(4)[:, None] == 3, np.float32(np.nan), SQUARE_UVS)
    mesh = builder.shown(builder.square(TEXCOORD_0=builder.accessor(uvs))).load(tmp_path)
    assert (mesh.corner_uvs.reshape(2, 3) >= 0).tolist() == [[True] * 3, [True, True, False]]


def test_attributes_shorter_than_the_positions_are_left_out(tmp_path):
    builder = Builder()
    mesh = builder.shown(
        builder.square(TEXCOORD_0=builder.accessor(SQUARE_UVS[:2]), NORMAL=builder.accessor(SQUARE[:3]))
    ).load(tmp_path)
    assert mesh.uvs is None
    assert mesh.normals is None
    assert set(mesh.notes) == {
        "TEXCOORD_0 of 1 part(s) is shorter than the positions and was left out.",
        "NORMAL of 1 part(s) is shorter than the positions and was left out.",
    }


def test_parts_without_positions_and_without_faces_are_counted(tmp_path):
    builder = Builder()
    nothing = {"attributes": {"TEXCOORD_0": builder.accessor(SQUARE_UVS)}}
    empty = builder.square() | {"indices": builder.accessor(np.array([0, 1], np.uint16))}
    mesh = builder.shown(nothing, empty, builder.square()).load(tmp_path)
    assert mesh.notes == (
        "1 part(s) without positions were left out.",
        "2 index(es) after the last whole triangle were left out.",
        "1 part(s) without a triangle were left out.",
    )


@pytest.mark.slow
def test_vertices_shared_by_parts_are_not_repeated_for_nothing(tmp_path):
    """A hundred parts over one accessor, as engines export them."""
    builder = Builder()
    many = builder.accessor(np.random.default_rng(0).random((3000, 3)).astype(np.float32))
    parts = [
        {"attributes": {"POSITION": many}, "indices": builder.accessor(np.array([i, i + 1, i + 2], np.uint16))}
        for i in range(0, 300, 3)
    ]
    assert len(builder.shown(*parts).load(tmp_path).positions) == 300


def textured(uv_set, transform=None, kind="pbrMetallicRoughness", name="baseColorTexture"):
    texture = {"index": 0, "texCoord": uv_set}
    if transform is not None:
        texture["extensions"] = {"KHR_texture_transform": transform}
    return {kind: {name: texture}} if kind else {name: texture}


SECOND = SQUARE_UVS[:, ::-1].copy()


@pytest.mark.parametrize(
    ("material", "expected"),
    [
        (textured(1), 1),
        (textured(0), 0),
        (textured(0, {"texCoord": 1}), 1),
        (textured(1, {"texCoord": 0, "scale": [1, 1]}), 0),
        ({"extensions": textured(1, None, "KHR_materials_pbrSpecularGlossiness", "diffuseTexture")}, 1),
        (textured(1, None, "", "normalTexture"), 1),
        (textured(0) | textured(1, None, "", "occlusionTexture"), 0),
        ({}, 0),
    ],
)
def test_the_textured_set_is_the_one_that_the_material_reads(tmp_path, material, expected):
    builder = Builder()
    builder.json["materials"] = [material]
    primitive = builder.square(TEXCOORD_1=builder.accessor(SECOND)) | {"material": 0}
    mesh = builder.shown(primitive).load(tmp_path)
    sets = [SQUARE_UVS, SECOND]
    assert (mesh.uv_index, mesh.uv_name) == (expected, f"TEXCOORD_{expected}")
    np.testing.assert_array_equal(uv_corners(mesh), flipped(sets[expected])[SQUARE_FACES])
    (other,) = mesh.other_uv_sets
    assert (other.index, other.name) == (1 - expected, f"TEXCOORD_{1 - expected}")
    np.testing.assert_array_equal(
        other.uvs[other.corner_uvs].reshape(2, 3, 2), flipped(sets[other.index])[SQUARE_FACES]
    )
    assert mesh.notes == ()


def test_parts_whose_materials_read_other_sets_trade_them(tmp_path):
    builder = Builder()
    builder.json["materials"] = [textured(0), textured(1)]
    parts = [builder.square(TEXCOORD_1=builder.accessor(SECOND)) | {"material": number} for number in (0, 0, 1)]
    mesh = builder.shown(*parts).load(tmp_path)
    assert mesh.uv_index == 0
    np.testing.assert_array_equal(uv_corners(mesh)[4:], flipped(SECOND)[SQUARE_FACES])
    (other,) = mesh.other_uv_sets
    np.testing.assert_array_equal(other.uvs[other.corner_uvs[12:]].reshape(2, 3, 2), flipped(SQUARE_UVS)[SQUARE_FACES])
    assert mesh.notes == ("1 part(s) read another UV set than the rest: there the two sets trade places.",)


def test_a_set_that_is_not_there_is_the_first_and_is_said(tmp_path):
    builder = Builder()
    builder.json["materials"] = [textured(3)]
    mesh = builder.shown(builder.square() | {"material": 0}).load(tmp_path)
    assert mesh.has_uvs
    assert "do not have" in mesh.notes[0]


def test_a_part_without_uvs_among_others_has_none(tmp_path):
    builder = Builder()
    bare = builder.square()
    del bare["attributes"]["TEXCOORD_0"]
    mesh = builder.shown(builder.square(), bare).load(tmp_path)
    assert (mesh.corner_uvs >= 0).tolist() == [True] * 6 + [False] * 6


@pytest.mark.parametrize("quantized", [False, True])
def test_a_texture_transform_decodes_quantized_uvs_and_is_said_of_others(tmp_path, quantized):
    """As gltfpack writes UVs: twelve bits in sixteen, and the rest in the material."""
    least, extent = np.array([0.125, 0.25]), 0.625
    scale, offset = [65535 / 4095 * extent] * 2, least.tolist()
    builder = Builder()
    builder.json["materials"] = [textured(0, {"scale": scale, "offset": offset})]
    stored = np.round((SQUARE_UVS - least) / extent * 4095).astype(np.uint16)
    uvs = builder.accessor(stored if quantized else SQUARE_UVS, normalized=quantized)
    mesh = builder.shown(builder.square(TEXCOORD_0=uvs) | {"material": 0}).load(tmp_path)
    if quantized:
        np.testing.assert_allclose(uv_corners(mesh), flipped(SQUARE_UVS)[SQUARE_FACES], atol=extent / 4095)
        assert mesh.notes == ()
    else:
        np.testing.assert_array_equal(uv_corners(mesh), flipped(SQUARE_UVS)[SQUARE_FACES])
        assert "KHR_texture_transform" in mesh.notes[0]


def test_the_rotation_of_a_texture_transform(tmp_path):
    """The example of the extension's text: the lower left quadrant, turned."""
    builder = Builder()
    builder.json["materials"] = [textured(0, {"offset": [0, 1], "rotation": np.pi / 2, "scale": [0.5, 0.5]})]
    uvs = builder.accessor(np.array([(0, 0), (255, 0), (255, 255), (0, 255)], np.uint8), normalized=True)
    mesh = builder.shown(builder.square(TEXCOORD_0=uvs) | {"material": 0}).load(tmp_path)
    stored = flipped(uv_corners(mesh)[0])
    np.testing.assert_allclose(stored, [(0, 1), (0, 0.5), (0.5, 0.5)], atol=1e-7)


def test_more_sets_than_eight_are_counted(tmp_path):
    builder = Builder()
    uvs = builder.accessor(SQUARE_UVS)
    mesh = builder.shown(builder.square(**{f"TEXCOORD_{number}": uvs for number in range(1, 40)})).load(tmp_path)
    assert len(mesh.other_uv_sets) == 7
    assert mesh.notes == ("32 more set(s) of TEXCOORD were left out: 8 are read.",)


COLORS = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.2, 0.4, 0.6)])


@pytest.mark.parametrize(("dtype", "scale"), [("f4", 1), ("u1", 255), ("u2", 65535)])
@pytest.mark.parametrize("alpha", [False, True])
def test_vertex_colours_of_every_type(tmp_path, dtype, scale, alpha):
    builder = Builder()
    values = np.concatenate([COLORS, np.full((4, 1), 0.5)], axis=1) if alpha else COLORS
    stored = (values * scale).astype(dtype)
    mesh = builder.shown(builder.square(COLOR_0=builder.accessor(stored, normalized=scale > 1))).load(tmp_path)
    np.testing.assert_allclose(mesh.colors[:, :3], COLORS, atol=1.01 / scale if scale > 1 else 1e-7)
    np.testing.assert_allclose(mesh.colors[:, 3], 0.5 if alpha else 1.0, atol=1 / 255)
    assert mesh.corner_colors.tolist() == SQUARE_FACES.ravel().tolist()


def test_colours_beyond_the_first_are_counted(tmp_path):
    builder = Builder()
    colors = builder.accessor(COLORS.astype(np.float32))
    mesh = builder.shown(builder.square(COLOR_0=colors, COLOR_1=colors)).load(tmp_path)
    assert mesh.notes[0] == "1 more set(s) of vertex colours were left out: one is read."
    assert "COLOR_1" in mesh.notes[1]


def test_a_white_first_set_of_colours_says_nothing(tmp_path):
    builder = Builder()
    white, colors = (
        builder.accessor(np.full((4, 4), 255, np.uint8), normalized=True),
        builder.accessor(COLORS.astype("f4")),
    )
    mesh = builder.shown(builder.square(COLOR_0=white, COLOR_1=colors)).load(tmp_path)
    np.testing.assert_allclose(mesh.colors[:, :3], COLORS, atol=1e-7)
    builder = Builder()
    white = builder.accessor(np.full((4, 4), 255, np.uint8), normalized=True)
    mesh = builder.shown(builder.square(COLOR_0=white)).load(tmp_path)
    assert (mesh.colors == 1).all()
    assert mesh.notes == ()


def morphing(builder, **mesh):
    move = builder.accessor(np.tile(np.float32([0, 0, 1]), (4, 1)))
    rows = {"bufferView": builder.view(np.array([2], np.uint16).tobytes()), "componentType": 5123}
    values = {"bufferView": builder.view(np.float32([[8, 0, 0]]).tobytes())}
    corner = builder.raw_accessor(
        componentType=5126, count=4, type="VEC3", sparse={"count": 1, "indices": rows, "values": values}
    )
    slide = builder.accessor(np.tile(np.float32([0.5, 0]), (4, 1)))
    targets = [{"POSITION": move, "TEXCOORD_0": slide}, {"POSITION": corner}]
    return builder.mesh(builder.square() | {"targets": targets}, **mesh)


@pytest.mark.parametrize(
    ("mesh_weights", "node_weights", "expected"),
    [
        (None, None, (0, 0)),
        ([1, 0], None, (1, 0)),
        ([1, 0], [0.5, 0.25], (0.5, 0.25)),
        (None, [-1], (-1, 0)),
        ([0, 0, 1, 1], None, (0, 0)),
    ],
)
def test_morph_targets_at_their_default_weights(tmp_path, mesh_weights, node_weights, expected):
    builder = Builder()
    number = morphing(builder, **({} if mesh_weights is None else {"weights": mesh_weights}))
    builder.node(mesh=number, **({} if node_weights is None else {"weights": node_weights}))
    mesh = builder.load(tmp_path)
    moved = SQUARE + np.float32([0, 0, expected[0]])
    moved[2, 0] += 8 * expected[1]
    np.testing.assert_allclose(corners(mesh), moved[SQUARE_FACES])
    np.testing.assert_allclose(uv_corners(mesh)[0, 0, 0], SQUARE_UVS[0, 0] + 0.5 * expected[0])


def test_two_nodes_with_other_weights_show_two_shapes(tmp_path):
    builder = Builder()
    number = morphing(builder)
    builder.node(mesh=number, weights=[1, 0])
    builder.node(mesh=number, weights=[2, 0])
    assert sorted(set(builder.load(tmp_path).positions[:, 2].tolist())) == [1, 2]


def test_a_material_that_does_not_exist_or_is_damaged_costs_itself(tmp_path):
    builder = Builder()
    builder.json["materials"] = [{"name": "oak", "pbrMetallicRoughness": "shiny"}]
    mesh = builder.shown(builder.square() | {"material": 0}, builder.square() | {"material": 5}).load(tmp_path)
    assert [mesh.material_names[index] for index in mesh.material_index] == ["oak", "oak", "", ""]
    assert mesh.notes == (
        "1 time(s) a material is damaged: it was read as one without textures.",
        "1 part(s) name a material that does not exist: they have none here.",
    )
