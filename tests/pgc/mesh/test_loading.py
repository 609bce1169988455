# SPDX-License-Identifier: Apache-2.0
import json
import struct

import numpy as np
import pytest
import trimesh

from pgc.errors import MeshError
from pgc.mesh import MAX_TRIANGLES, load_mesh
from pgc.mesh import loading as mesh_io
from pgc.mesh.checks import check_triangle_count

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


def load_text(tmp_path, text, name="mesh.obj"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_mesh(path)


def test_obj_keeps_everything_apart_and_in_order(tmp_path):
    text = (
        "mtllib not_there.mtl\no first\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0.5 1.5 0\n"
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvn 0 0 1\ng a\n"
        "f 1/1 2/2 3/3\nusemtl dark oak\nf 1/1/1 2/2/1 3/3/1 4/4/1\ng b\nusemtl brass\nf 4//1 3//1 5//1\n"
        "usemtl dark oak\nf -5 -4 -3 -1 -2 # five corners\ng a\nl 1 2\nf 1 2 \\\n 3\no second\nv 5 5 5\nf 6 1 1 2\n"
    )
    mesh = load_text(tmp_path, text)
    assert mesh.name == "mesh"
    assert mesh.polygon_sizes.tolist() == [3, 4, 3, 5, 3, 4]
    corners = [0, 1, 2, 0, 1, 2, 3, 3, 2, 4, 0, 1, 2, 4, 3, 0, 1, 2, 5, 0, 0, 1]
    assert mesh.corner_positions.tolist() == corners
    assert mesh.corner_uvs.tolist() == [0, 1, 2, 0, 1, 2, 3] + [-1] * 15
    assert mesh.corner_normals.tolist() == [-1] * 3 + [0] * 7 + [-1] * 12
    assert mesh.material_names == ("", "dark oak", "brass")
    assert mesh.material_index.tolist() == [0, 1, 2, 1, 1, 1]
    assert mesh.up_axis == "y"


def test_obj_positions_are_the_float64_nearest_to_the_text(tmp_path):
    rng = np.random.default_rng(0)
    numbers = [f"{v:.6f}" for v in rng.normal(size=300) * 30]
    numbers += [f"{v:.9g}" for v in rng.normal(size=300) * 10.0 ** rng.integers(-12, 12, 300)]
    numbers += [repr(float(np.float32(v))) for v in rng.normal(size=294)]
    numbers += ["1e-3", "+.5", "-7.", "16777217", "0.1", "1E+5"]
    rows = [numbers[i : i + 3] for i in range(0, 900, 3)]
    mesh = load_text(tmp_path, "".join(f"v {' '.join(row)}\n" for row in rows) + "f 1 2 3\n")
    expected = np.array([float(text) for text in numbers]).reshape(-1, 3)
    np.testing.assert_array_equal(mesh.positions.view(np.uint64), expected.view(np.uint64))


def test_obj_accepts_colours_and_windows_line_ends(tmp_path):
    text = (
        "# made by hand\r\nv 0 0 0 1 0 0\r\nv 1 0 0 1 0 0\r\nv 0 1 0 1 0 0 # red\r\nusemtl Material #12 \r\nf 1 2 3\r\n"
    )
    mesh = load_text(tmp_path, text)
    assert mesh.positions.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert mesh.material_names == ("Material #12",)


def test_a_polygon_of_many_corners_survives(tmp_path):
    ring = "".join(f"v {np.cos(i / 50)} {np.sin(i / 50)} 0\n" for i in range(300))
    mesh = load_text(tmp_path, ring + "f " + " ".join(str(i + 1) for i in range(300)) + "\n")
    assert mesh.polygon_sizes.tolist() == [300]
    assert mesh.corner_positions.tolist() == list(range(300))


BAD_OBJ = {
    "nan": (TRIANGLE.replace("1 0 0", "nan 0 0") + "f 1 2 3", "line 2.*NaN or infinity"),
    "infinite": (TRIANGLE.replace("1 0 0", "-inf 0 0") + "f 1 2 3", "line 2.*NaN or infinity"),
    "too big for float32": (TRIANGLE.replace("1 0 0", "1e60 0 0") + "f 1 2 3", "units away"),
    "two numbers": ("v 0 0\n" + TRIANGLE + "f 1 2 3", "line 1.*expected numbers"),
    "words": (TRIANGLE.replace("1 0 0", "one 0 0") + "f 1 2 3", "line 2.*expected numbers"),
    "two corners at a cut": (TRIANGLE + "f 1 2 3\nf 1 2", "line 5.*at least 3 corners"),
    "two corners alone": (TRIANGLE + "f 1 2\n", "no faces"),
    "cut off in a face": (TRIANGLE + "f 1 2 3\nf 1/", "line 5.*at least 3 corners"),
    "face of words": (TRIANGLE + "f 1 2 zz\n", "line 4.*at least 3 corners"),
    "index too big": (TRIANGLE + "f 1 2 7\n", "line 4 points to a vertex that is not there .7, of 3"),
    "index that wraps around": (TRIANGLE + "f 4294967297 2 3\n", "line 4.*corners"),
    "index zero": (TRIANGLE + "f 0 1 2\n", "line 4 points to a vertex that is not there .0, of 3"),
    "counted back too far": (TRIANGLE + "f -1 -2 -9\n", "points to"),
    "no faces": (TRIANGLE, "no faces"),
    "nothing": ("", "empty"),
    "only blanks": ("\n \n", "empty"),
    "a letter": ("Dear artist,\nhere is no mesh.\n", "not an OBJ"),
    "binary": (bytes(range(256)) * 20, "not an OBJ"),
}


@pytest.mark.parametrize(("text", "message"), BAD_OBJ.values(), ids=BAD_OBJ.keys())
def test_a_bad_obj_gives_one_sentence(tmp_path, text, message):
    with pytest.raises(MeshError, match=message) as caught:
        load_text(tmp_path, text)
    sentence = str(caught.value)
    assert sentence.startswith("mesh")
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("suffix", [".obj", ".glb", ".gltf", ".ply", ".stl"])
@pytest.mark.parametrize("content", [b"nonsense, not a mesh at all " * 20, b"\x00\xff\x17" * 200, b"{}", b"{"])
def test_what_is_no_mesh_gives_one_sentence(tmp_path, suffix, content):
    with pytest.raises(MeshError, match=r"^mesh") as caught:
        load_text(tmp_path, content, "mesh" + suffix)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["obj", "glb", "ply", "stl"])
def test_a_file_cut_off_anywhere_is_refused_or_whole(tmp_path, suffix):
    whole = trimesh.creation.box().export(file_type=suffix)
    whole = whole.encode() if isinstance(whole, str) else whole
    size = len(load_text(tmp_path, whole, f"whole.{suffix}").polygon_sizes)
    assert size == 12
    refused = 0
    for length in np.linspace(0, len(whole) - 8, 25).astype(int).tolist():
        try:
            load_text(tmp_path, whole[:length], f"cut.{suffix}")
        except MeshError:
            refused += 1
    # Text of an OBJ that ends with a whole line is a whole OBJ.
    assert refused >= (12 if suffix == "obj" else 25)


def test_missing_files_folders_and_other_formats(tmp_path):
    with pytest.raises(MeshError, match="no such file"):
        load_mesh(tmp_path / "nowhere.obj")
    (tmp_path / "folder.obj").mkdir()
    with pytest.raises(MeshError, match="cannot be opened"):
        load_mesh(tmp_path / "folder.obj")
    with pytest.raises(MeshError, match=r"cannot read \.fbx"):
        load_mesh(tmp_path / "mesh.fbx")
    with pytest.raises(MeshError, match="without extension"):
        load_mesh(tmp_path / "mesh")


def test_a_file_too_big_to_read_is_refused_by_its_size(tmp_path):
    with (tmp_path / "big.obj").open("wb") as file:
        file.truncate(3 * 1024**3)
    with pytest.raises(MeshError, match=r"3\.0 GiB, expected at most 2"):
        load_mesh(tmp_path / "big.obj")


def test_too_many_triangles_are_refused():
    sizes = np.full(MAX_TRIANGLES // 2, 4, dtype=np.int32)
    check_triangle_count("big", sizes)
    with pytest.raises(MeshError, match="2,000,001 triangles"):
        check_triangle_count("big", np.append(sizes, np.int32(3)))


def glb(document, binary):
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def small_glb(nodes, *, indices=(0, 1, 2), materials=()):
    """One triangle with UVs and normals, without material unless given."""
    positions = np.array([(0.1, 0.2, 0.3), (1.1, 0, 0), (0, 1.3, 0)], dtype=np.float32)
    uvs = np.array([(0.25, 0.75), (1, 0), (0.1, 1)], dtype=np.float32)
    normals = np.tile(np.float32([0, 0, 1]), (3, 1))
    parts = [positions.tobytes(), uvs.tobytes(), normals.tobytes(), np.array(indices, dtype="<u4").tobytes()]
    offsets = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    kinds = [("VEC3", 5126), ("VEC2", 5126), ("VEC3", 5126), ("SCALAR", 5125)]
    primitive = {"attributes": {"POSITION": 0, "TEXCOORD_0": 1, "NORMAL": 2}, "indices": 3}
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes)))}],
        "nodes": [{"mesh": 0, **node} for node in nodes],
        "meshes": [{"primitives": [{**primitive, **({"material": 0} if materials else {})}]}],
        "materials": [{"name": name} for name in materials],
        "accessors": [
            {"bufferView": i, "componentType": kind, "count": 3, "type": shape} for i, (shape, kind) in enumerate(kinds)
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": offsets[i], "byteLength": len(part)} for i, part in enumerate(parts)
        ],
        "buffers": [{"byteLength": offsets[-1]}],
    }
    if not materials:
        del document["materials"]
    document["accessors"][0] |= {"min": positions.min(0).tolist(), "max": positions.max(0).tolist()}
    return glb(document, b"".join(parts)), positions


@pytest.mark.parametrize("materials", [(), ("oak",)])
def test_glb_keeps_bits_and_uvs_with_or_without_material(tmp_path, materials):
    data, positions = small_glb([{}], materials=materials)
    mesh = load_text(tmp_path, data, "m.glb")
    np.testing.assert_array_equal(mesh.positions, positions)
    np.testing.assert_array_equal(mesh.uvs, np.float32([(0.25, 0.25), (1, 1), (0.1, 0)]))
    np.testing.assert_array_equal(mesh.normals, np.tile(np.float32([0, 0, 1]), (3, 1)))
    assert mesh.material_names[mesh.material_index[0]] == (materials[0] if materials else "")
    assert mesh.up_axis == "y"


def test_glb_nodes_put_their_mesh_in_place(tmp_path):
    turned = {"rotation": [0, 0, 2**-0.5, 2**-0.5], "translation": [0, 0, 5]}
    data, positions = small_glb([{}, turned, {"scale": [-1, 1, 1]}])
    mesh = load_text(tmp_path, data, "m.glb")
    assert len(mesh.polygon_sizes) == 3
    np.testing.assert_array_equal(mesh.positions[:3], positions)
    rotated = np.stack([-positions[:, 1], positions[:, 0], positions[:, 2] + 5], axis=1)
    np.testing.assert_allclose(mesh.positions[3:6], rotated, atol=1e-6)
    assert mesh.corner_positions.tolist() == [0, 1, 2, 3, 4, 5, 8, 7, 6], "a mirrored part turns its faces"


def test_glb_with_an_index_out_of_range(tmp_path):
    data, _ = small_glb([{}], indices=(0, 1, 9))
    with pytest.raises(MeshError, match=r"bad.*vertex"):
        load_text(tmp_path, data, "bad.glb")


PLY_HEAD = (
    "ply\nformat {}\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\n"
    "property float s\nproperty float t\nelement face 2\nproperty list uchar int vertex_indices\nend_header\n"
)
PLY_VERTICES = np.random.default_rng(3).random((5, 5)).astype(np.float32)


def test_ply_text_and_binary_keep_polygons(tmp_path):
    lines = [" ".join(repr(float(v)) for v in row) for row in PLY_VERTICES]
    text = PLY_HEAD.format("ascii 1.0") + "\n".join([*lines, "4 0 1 2 3", "3 2 3 4"]) + "\n"
    meshes = [load_text(tmp_path, text, "m.ply")]
    for encoding, order in (("binary_little_endian", "<"), ("binary_big_endian", ">")):
        faces = struct.pack(f"{order}B4iB3i", 4, 0, 1, 2, 3, 3, 2, 3, 4)
        body = PLY_VERTICES.astype(order + "f4").tobytes() + faces
        meshes.append(load_text(tmp_path, PLY_HEAD.format(encoding + " 1.0").encode() + body, "m.ply"))
    for mesh in meshes:
        np.testing.assert_array_equal(mesh.positions, PLY_VERTICES[:, :3])
        np.testing.assert_array_equal(mesh.uvs, PLY_VERTICES[:, 3:])
        assert mesh.polygon_sizes.tolist() == [4, 3]
        assert mesh.corner_positions.tolist() == [0, 1, 2, 3, 2, 3, 4]
        assert mesh.up_axis == "z"


def test_stl_positions_are_joined_and_keep_their_bits(tmp_path):
    box = trimesh.creation.box((0.3, 0.7, 1.1))
    for data in (box.export(file_type="stl"), box.export(file_type="stl_ascii").encode()):
        mesh = load_text(tmp_path, data, "m.stl")
        assert mesh.positions.shape == (8, 3)
        got = mesh.positions[mesh.corner_positions].reshape(-1, 3, 3)
        np.testing.assert_allclose(got, box.triangles, atol=1e-6)
    binary = load_text(tmp_path, box.export(file_type="stl"), "m.stl")
    np.testing.assert_array_equal(np.unique(binary.positions), np.unique(box.vertices.astype(np.float32)))


@pytest.mark.parametrize("fault", [KeyError("x"), ValueError("x"), IndexError("x"), TypeError("x"), AssertionError()])
@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".glb"])
def test_a_fault_of_a_reader_is_not_told_as_a_bad_file(tmp_path, monkeypatch, suffix, fault):
    def faulty(path, data):
        raise fault

    for name in ("read_obj", "read_ply", "read_stl", "read_gltf"):
        monkeypatch.setattr(mesh_io, name, faulty)
    (tmp_path / f"mesh{suffix}").write_bytes(b"anything")
    with pytest.raises(type(fault)):
        load_mesh(tmp_path / f"mesh{suffix}")


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".glb", ".gltf"])
def test_what_is_no_mesh_is_refused_by_its_reader(tmp_path, suffix):
    generator = np.random.default_rng(1)
    for data in (
        b"\x00" * 200,
        generator.bytes(500),
        b"{}",
        b"ply\n",
        b"solid",
        b"v 1\nf 1 2 3\n",
        b"glTF" + b"\xff" * 40,
    ):
        (tmp_path / f"mesh{suffix}").write_bytes(data)
        with pytest.raises(MeshError) as raised:
            load_mesh(tmp_path / f"mesh{suffix}")
        assert len(str(raised.value).splitlines()) == 1
