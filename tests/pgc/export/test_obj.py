# SPDX-License-Identifier: Apache-2.0
"""OBJ files, read back with our own reader and with tinyobjloader's reader of MTL."""

from dataclasses import replace

import numpy as np
import pytest

from pgc.errors import MeshError
from pgc.export.obj import write_obj
from pgc.mesh import UvSet, load_mesh, prepare_mesh
from tests.pgc import needs
from tests.pgc.export.awkward import AWKWARD, mesh_of

MAPS = ("base_color", "roughness", "metallic", "normal")


def file_names(tiles, maps=MAPS):
    return {name: {tile: f"{name}.{tile}.png" for tile in tiles} for name in maps}


def same_bits(first, second):
    return first.dtype == second.dtype and first.tobytes() == second.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", AWKWARD)
def test_polygons_uvs_and_normals_come_back_bit_by_bit(tmp_path, name):
    mesh = AWKWARD[name]
    prepared = prepare_mesh(mesh)
    write_obj(tmp_path / "out.obj", prepared, file_names(prepared.report.tiles))
    back = load_mesh(tmp_path / "out.obj")
    positions = mesh.positions
    if mesh.up_axis == "z":
        positions = np.stack([positions[:, 0], positions[:, 2], -positions[:, 1]], axis=1)
    assert same_bits(back.positions, positions)
    assert same_bits(back.uvs, mesh.uvs)
    for field in ("polygon_sizes", "corner_positions", "corner_uvs"):
        assert same_bits(getattr(back, field), getattr(mesh, field)), field
    if mesh.normals is None:
        assert back.normals is None
    else:
        assert same_bits(back.normals, mesh.normals)
        assert same_bits(back.corner_normals, mesh.corner_normals)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mtl", "out.obj"]


def test_numbers_that_need_all_their_digits(tmp_path):
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2**32, 3000, dtype=np.uint32).view(np.float32)
    values = bits[np.isfinite(bits) & (np.abs(bits) < 1e30) & (np.abs(bits) > 1e-30)][:1500].reshape(-1, 3)
    plain = AWKWARD["n-gons"]
    used = np.concatenate([plain.positions, values])
    mesh = replace(plain, positions=used)
    write_obj(tmp_path / "out.obj", prepare_mesh(mesh), {})
    # Read by Python too.
    lines = [line.split()[1:] for line in (tmp_path / "out.obj").read_text().splitlines() if line.startswith("v ")]
    assert same_bits(np.array([[float(number) for number in line] for line in lines]), used)
    assert same_bits(load_mesh(tmp_path / "out.obj").positions, used)


def parsed_materials(path):
    tinyobjloader = pytest.importorskip("tinyobjloader", reason="it has no wheels from Python 3.13 on")
    reader = tinyobjloader.ObjReader()
    assert reader.ParseFromFile(str(path))
    return reader.GetMaterials()


def test_a_reader_of_mtl_finds_every_map(tmp_path):
    prepared = prepare_mesh(AWKWARD["plain"])
    write_obj(tmp_path / "out.obj", prepared, {**file_names((1001,)), "occlusion": {1001: "occlusion.png"}})
    (material,) = parsed_materials(tmp_path / "out.obj")
    assert material.diffuse_texname == "base_color.1001.png"
    assert material.roughness_texname == "roughness.1001.png"
    assert material.metallic_texname == "metallic.1001.png"
    assert material.normal_texname == material.bump_texname == "normal.1001.png"
    assert (material.roughness, material.metallic) == (1.0, 1.0), "factors of the maps"
    assert list(material.diffuse) == [1.0, 1.0, 1.0]
    assert "occlusion" not in (tmp_path / "out.mtl").read_text()
    write_obj(tmp_path / "out.obj", prepared, file_names((1001,), ("base_color",)))
    (material,) = parsed_materials(tmp_path / "out.obj")
    assert (material.roughness, material.metallic) == (1.0, 0.0), "matte and no metal without maps"


def test_materials_keep_names_and_tiles_get_their_own(tmp_path):
    write_obj(tmp_path / "out.obj", prepare_mesh(AWKWARD["materials"]), file_names((1001,)))
    back = load_mesh(tmp_path / "out.obj")
    assert back.material_names == ("part_0", "part_1", "part_2")
    assert back.material_index.tolist() == [0, 1, 2, 0, 1, 2]
    write_obj(tmp_path / "out.obj", prepare_mesh(AWKWARD["udim"]), file_names((1001, 1002)))
    assert load_mesh(tmp_path / "out.obj").material_names == ("part_0.1001", "part_0.1002")
    found = {material.name: material.diffuse_texname for material in parsed_materials(tmp_path / "out.obj")}
    assert found == {"part_0.1001": "base_color.1001.png", "part_0.1002": "base_color.1002.png"}


def test_names_that_would_break_the_file_or_meet(tmp_path):
    mesh = AWKWARD["materials"]
    mesh = replace(mesh, material_names=("a\nf 1 2 3", "", "a_f_1_2_3"))
    write_obj(tmp_path / "out.obj", prepare_mesh(mesh), {})
    assert load_mesh(tmp_path / "out.obj").material_names == ("a_f_1_2_3", "box", "a_f_1_2_3_2")


def test_corners_without_normals(tmp_path):
    mesh = AWKWARD["degenerate"]
    index = mesh.corner_normals.copy()
    index[:4] = -1
    write_obj(tmp_path / "out.obj", prepare_mesh(replace(mesh, corner_normals=index)), {})
    faces = [line for line in (tmp_path / "out.obj").read_text().splitlines() if line.startswith("f ")]
    assert faces[0] == "f 1/1 2/2 3/3 4/4"
    assert faces[1] == "f 5/5/2 6/6/2 7/7/2"


def test_a_tile_without_image_is_refused(tmp_path):
    with pytest.raises(MeshError, match="base_color has no image for UDIM tile 1002"):
        write_obj(tmp_path / "out.obj", prepare_mesh(AWKWARD["udim"]), file_names((1001,)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@needs.XATLAS
def test_an_unwrapped_mesh_carries_its_new_uvs(tmp_path):
    quad = mesh_of("quad", [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [(0, 1, 2, 3)], [(0, 0)] * 4)
    prepared = prepare_mesh(replace(quad, uvs=None, corner_uvs=None))
    write_obj(tmp_path / "out.obj", prepared, {})
    assert same_bits(load_mesh(tmp_path / "out.obj").uvs, prepared.mesh.uvs)


def test_a_comment_says_which_uv_set_it_is_where_there_are_others(tmp_path):
    plain = AWKWARD["plain"]
    other = UvSet(name="Artist's own", uvs=plain.uvs, corner_uvs=plain.corner_uvs, index=0)
    mesh = replace(plain, uv_name="PGC", uv_index=1, other_uv_sets=(other,))
    write_obj(tmp_path / "out.obj", prepare_mesh(mesh), {})
    first = (tmp_path / "out.obj").read_text().splitlines()[0]
    assert first == "# vt is the textured UV set, PGC; OBJ holds no more than one, so this file lacks: Artist's_own"
    assert load_mesh(tmp_path / "out.obj").triangle_count == mesh.triangle_count


PLY = """ply
format ascii 1.0
element vertex 4
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
element face 2
property list uchar int vertex_indices
end_header
0 0 0 255 0 0
1 0 0 0 128 0
1 1 0.5 3 4 5
0 1 0 250 251 252
3 0 1 2
3 0 2 3
"""


def test_vertex_colours_stand_behind_the_positions(tmp_path):
    (tmp_path / "given.ply").write_text(PLY)
    mesh = load_mesh(tmp_path / "given.ply")
    write_obj(tmp_path / "out.obj", prepare_mesh(mesh), {})
    lines = [line.split() for line in (tmp_path / "out.obj").read_text().splitlines() if line.startswith("v ")]
    given = [[float(word) / 255.0 for word in line.split()[3:]] for line in PLY.splitlines() if line.count(" ") == 5]
    np.testing.assert_allclose([[float(word) for word in line[4:]] for line in lines], given, atol=2e-6)
    back = load_mesh(tmp_path / "out.obj")
    assert back.colors is not None
    assert mesh.colors is not None
    np.testing.assert_allclose(back.colors[back.corner_colors], mesh.colors[mesh.corner_colors], atol=1e-5)


def test_of_colours_by_corner_the_mean_stands_and_white_where_there_is_none(tmp_path):
    mesh = AWKWARD["plain"]
    corners = np.full(len(mesh.corner_positions), -1, np.int32)
    first, second = np.flatnonzero(mesh.corner_positions == mesh.corner_positions[0])[:2]
    corners[first], corners[second] = 0, 1
    colors = np.array([[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.5]], np.float32)
    write_obj(tmp_path / "out.obj", prepare_mesh(replace(mesh, colors=colors, corner_colors=corners)), {})
    rows = [line.split()[4:] for line in (tmp_path / "out.obj").read_text().splitlines() if line.startswith("v ")]
    encoded = 1.055 * 0.5 ** (1 / 2.4) - 0.055
    vertex = int(mesh.corner_positions[0])
    np.testing.assert_allclose([float(word) for word in rows[vertex]], [encoded, 0.0, encoded], atol=1e-6)
    assert all(row == ["1.0", "1.0", "1.0"] for number, row in enumerate(rows) if number != vertex)


def test_a_mesh_without_colours_has_none_in_its_file(tmp_path):
    write_obj(tmp_path / "out.obj", prepare_mesh(AWKWARD["plain"]), {})
    assert all(len(line.split()) == 4 for line in (tmp_path / "out.obj").read_text().splitlines() if line[:2] == "v ")


def test_colours_beyond_a_pictures_range_stop_at_its_ends(tmp_path):
    mesh = AWKWARD["plain"]
    colors = np.array([[-0.5, 3.0, 0.0, 1.0]], np.float32)
    corners = np.zeros(len(mesh.corner_positions), np.int32)
    write_obj(tmp_path / "out.obj", prepare_mesh(replace(mesh, colors=colors, corner_colors=corners)), {})
    rows = [line.split()[4:] for line in (tmp_path / "out.obj").read_text().splitlines() if line.startswith("v ")]
    assert {tuple(float(word) for word in row) for row in rows} == {(0.0, 1.0, 0.0)}
