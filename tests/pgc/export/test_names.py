# SPDX-License-Identifier: Apache-2.0
"""Parts and materials of other people's files keep their names in what is written."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from pgc.export.glb import write_glb
from pgc.export.obj import write_obj
from pgc.mesh import load_mesh, prepare_mesh
from tests.pgc import needs
from tests.pgc.export.awkward import box
from tests.pgc.export.test_glb import png
from tests.pgc.mesh.formats.gltf.builder import Builder


def named(part_index, part_names, material_index=0, material_names=("",), **more):
    mesh = box(**more)
    count = len(mesh.polygon_sizes)
    return replace(
        mesh,
        part_index=np.resize(np.array(part_index, np.int32), count),
        part_names=part_names,
        material_index=np.resize(np.array(material_index, np.int32), count),
        material_names=material_names,
    )


def written(tmp_path, mesh):
    """The JSON, and the mesh as it is read again."""
    prepared = prepare_mesh(mesh, uvs="keep")
    path = tmp_path / "out.glb"
    write_glb(path, prepared, {f"base_color.{tile}": png() for tile in prepared.report.tiles})
    data = path.read_bytes()
    return json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]]), load_mesh(path)


CASES = {
    # parts and materials of the mesh; nodes, materials and primitives of the file
    "neither": (([0], ("",)), ([0], ("",)), ["box"], ["box"], 1),
    "one part with a name": (([0], ("Chair",)), ([0], ("Oak",)), ["Chair"], ["Oak"], 1),
    "two materials": (([0], ("",)), ([0, 1], ("Oak", "Brass")), ["box"], ["Oak", "Brass"], 2),
    "two parts": (([0, 1], ("Body", "Wheel")), ([0], ("Oak",)), ["box", "Body", "Wheel"], ["Oak"], 2),
    "two parts of three materials": (
        ([0, 1], ("Body", "Wheel")), ([0, 1, 2, 1], ("Oak", "Tyre", "Brass")),
        ["box", "Body", "Wheel"], ["Oak", "Brass", "Tyre"], 3,
    ),
    "a part and a material without faces": (
        ([0, 2], ("A", "B", "C")), ([1], ("Unused", "Oak")), ["box", "A", "C"], ["Oak"], 2,
    ),
    "a part without a name": (([0, 1], ("", "Wheel")), ([0], ("",)), ["box", "box", "Wheel"], ["box"], 2),
    "two materials of one name": (([0], ("",)), ([0, 1], ("Oak", "Oak")), ["box"], ["Oak", "Oak"], 2),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("parts", "materials", "nodes", "names", "primitives"), CASES.values(), ids=CASES.keys())
def test_nodes_and_materials_of_a_glb_have_the_names_of_the_file(tmp_path, parts, materials, nodes, names, primitives):
    mesh = named(*parts, *materials)
    document, again = written(tmp_path, replace(mesh, name="box"))
    assert [node["name"] for node in document["nodes"]] == nodes
    assert [material["name"] for material in document["materials"]] == names
    assert sum(len(content["primitives"]) for content in document["meshes"]) == primitives
    assert all(content["primitives"] for content in document["meshes"])
    assert len(document["images"]) == len(document["textures"]) == 1, "materials share the picture"
    assert len(again.polygon_sizes) == mesh.triangle_count
    drawn = {again.material_names[number] for number in again.material_index}
    assert drawn == set(names)
    assert set(again.part_names) == {node["name"] for node in document["nodes"] if "mesh" in node}


def test_materials_of_several_tiles_carry_the_tile(tmp_path):
    document, _ = written(tmp_path, named([0], ("A",), [0, 0, 1], ("Oak", "Brass"), tiles=2))
    names = [material["name"] for material in document["materials"]]
    assert names == ["Oak.1001", "Brass.1001", "Oak.1002", "Brass.1002"]
    pictures = [one["pbrMetallicRoughness"]["baseColorTexture"]["index"] for one in document["materials"]]
    assert pictures == [0, 0, 1, 1]


def test_a_far_scene_moves_all_its_parts(tmp_path):
    mesh = named([0, 1], ("A", "B"))
    far = replace(mesh, positions=mesh.positions + np.array((448262.0, 5411932.0, 300.0)))
    document, again = written(tmp_path, far)
    assert ["translation" in node for node in document["nodes"]] == [True, False, False]
    np.testing.assert_allclose(np.ptp(again.positions, axis=0), np.ptp(mesh.positions, axis=0), atol=1e-3)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([{"mesh": 0, "name": "Left"}, {"mesh": 0, "name": "Right"}], {"Left": 2, "Right": 2}),
        ([{"mesh": 0}, {"mesh": 0, "name": "Right"}], {"Wheel": 2, "Right": 2}),
        ([{"mesh": 0, "name": "Same"}, {"mesh": 0, "name": "Same"}], {"Same": 4}),
        ([{"mesh": 0, "name": "A", "scale": [-1, 1, 1]}], {"A": 2}),
        ([{"mesh": 0}], {"Wheel": 2}),
    ],
    ids=["two nodes of one mesh", "a node without a name", "nodes of one name", "mirrored", "the mesh's name"],
)
def test_parts_of_a_gltf_are_its_nodes(tmp_path, nodes, expected):
    builder = Builder()
    builder.mesh(builder.square(), name="Wheel")
    for node in nodes:
        builder.node(**node)
    path = tmp_path / "m.glb"
    path.write_bytes(builder.glb())
    mesh = load_mesh(path)
    count = np.bincount(mesh.part_index, minlength=len(mesh.part_names))
    assert dict(zip(mesh.part_names, count.tolist(), strict=True)) == expected


OBJ = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\n{}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("o A\nf 1/1 2/2 3/3\no B b\nf 1/1 3/3 4/2\n", {"A": 1, "B b": 1}),
        ("f 1/1 2/2 3/3\no B\nf 1/1 3/3 4/2\n", {"": 1, "B": 1}),
        ("o A\nf 1/1 2/2 3/3\no B\nf 1/1 3/3 4/2\no A\nf 2/1 3/3 4/2\n", {"A": 2, "B": 1}),
        ("o\nf 1/1 2/2 3/3\n", {"": 1}),
        ("  O A\n f 1/1 2/2 3/3\n", {"A": 1}),
        ("off 3\nf 1/1 2/2 3/3\n", {"": 1}),
    ],
    ids=["two", "the first without", "one of them twice", "no name", "indented, upper case", "another word"],
)
def test_parts_of_an_obj_are_its_objects(tmp_path, body, expected):
    path = tmp_path / "m.obj"
    path.write_text(OBJ.format(body))
    mesh = load_mesh(path)
    count = np.bincount(mesh.part_index, minlength=len(mesh.part_names))
    assert dict(zip(mesh.part_names, count.tolist(), strict=True)) == expected


def test_an_obj_is_written_with_its_objects(tmp_path):
    mesh = named([0, 1], ("Body x", "Wheel"), [0, 1], ("Oak", "Brass"))
    prepared = prepare_mesh(mesh, uvs="keep")
    write_obj(tmp_path / "o.obj", prepared, {"base_color": dict.fromkeys(prepared.report.tiles, "a.png")})
    again = load_mesh(tmp_path / "o.obj")
    assert again.part_names == ("Body_x", "Wheel")
    np.testing.assert_array_equal(again.part_index, mesh.part_index)
    plain = prepare_mesh(box(), uvs="keep")
    write_obj(tmp_path / "p.obj", plain, {"base_color": dict.fromkeys(plain.report.tiles, "a.png")})
    assert "\no " not in (tmp_path / "p.obj").read_text()


@pytest.mark.slow
@needs.XATLAS
@pytest.mark.parametrize("missing", [1, 3, 5])
def test_parts_stay_where_faces_get_uvs(missing):
    mesh = named([0, 1], ("Body", "Wheel"))
    corners = mesh.corner_uvs.copy()
    corners[: 4 * missing] = -1
    prepared = prepare_mesh(replace(mesh, corner_uvs=corners), uvs="keep")
    assert prepared.report.uvs.done in ("filled", "new")
    np.testing.assert_array_equal(prepared.mesh.part_index, mesh.part_index)
