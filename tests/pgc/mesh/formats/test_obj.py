# SPDX-License-Identifier: Apache-2.0
"""Our reader of OBJ against tinyobjloader, and what every reader of OBJ gets wrong at some time."""

from pathlib import Path

import numpy as np
import pytest

from pgc.errors import MeshError
from pgc.mesh.formats.obj import read_obj

SEEDS = range(12)


def corner(generator, form, counts):
    """A corner's text: v, v/vt, v//vn or v/vt/vn, some of them counted back from the last line of their kind."""
    v, vt, vn = (
        int(generator.integers(1, count + 1)) - (count + 1 if generator.random() < 0.3 else 0) for count in counts
    )
    return (f"{v}", f"{v}/{vt}", f"{v}//{vn}", f"{v}/{vt}/{vn}", f"{v}/", f"{v}/{vt}/")[form]


def random_obj(seed, *, forms=(0, 1, 2, 3)):
    """Lines of all kinds among each other, as exporters and people write them."""
    generator = np.random.default_rng(seed)
    lines, counts = [], [0, 0, 0]
    for _ in range(3):
        lines += ["  # a part", f"o part {len(lines)}", "s off"]
        for kind, name in enumerate(("v", "vt", "vn")):
            for _ in range(int(generator.integers(4, 9))):
                width = (int(generator.choice([3, 6])), int(generator.integers(2, 4)), 3)[kind]
                numbers = " ".join(f"{value:.7g}" for value in generator.normal(size=width))
                lines.append(f"{name}\t{numbers}" if generator.random() < 0.2 else f"{name} {numbers}  ")
                counts[kind] += 1
        for _ in range(int(generator.integers(3, 9))):
            if generator.random() < 0.3:
                lines.append(f"usemtl paint{int(generator.integers(3))}")
            form = forms[int(generator.integers(len(forms)))]
            corners = [corner(generator, form, counts) for _ in range(int(generator.integers(3, 7)))]
            lines.append("f " + " ".join(corners) + (" # a face" if generator.random() < 0.2 else ""))
    ending = "\r\n" if seed % 2 else "\n"
    return (ending.join(lines) + (ending if seed % 3 else "")).encode()


def rows(values, width):
    return np.asarray(values, np.float64).astype(np.float32).reshape(-1, width)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_mesh_as_tinyobjloaders(seed):
    tinyobjloader = pytest.importorskip("tinyobjloader", reason="it has no wheels from Python 3.13 on")
    data = random_obj(seed)
    mesh = read_obj(Path("m.obj"), data)
    reader, config = tinyobjloader.ObjReader(), tinyobjloader.ObjReaderConfig()
    config.triangulate = False
    # It knows neither comments behind numbers nor, without a library, materials; and it ends names at a blank.
    text = data.decode().replace("# a face", "")
    library = "".join(f"newmtl paint{number}\n" for number in range(3))
    assert reader.ParseFromString("mtllib known\n" + text, library, config), reader.Error()
    attributes, shapes = reader.GetAttrib(), [shape.mesh for shape in reader.GetShapes()]
    np.testing.assert_allclose(mesh.positions, rows(attributes.vertices, 3), rtol=1e-6)
    np.testing.assert_allclose(mesh.uvs, rows(attributes.texcoords, 2), rtol=1e-6)
    np.testing.assert_allclose(mesh.normals, rows(attributes.normals, 3), rtol=1e-6)
    assert mesh.polygon_sizes.tolist() == [int(size) for part in shapes for size in part.num_face_vertices]
    assert mesh.corner_positions.tolist() == [int(index) for part in shapes for index in part.vertex_indices()]
    assert mesh.corner_uvs.tolist() == [int(index) for part in shapes for index in part.texcoord_indices()]
    assert mesh.corner_normals.tolist() == [int(index) for part in shapes for index in part.normal_indices()]
    known = [material.name for material in reader.GetMaterials()]
    expected = ["" if index < 0 else known[index] for part in shapes for index in part.material_ids]
    assert [mesh.material_names[index] for index in mesh.material_index] == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_mesh_as_word_by_word(seed):
    data = random_obj(seed, forms=(0, 1, 2, 3, 4, 5))
    mesh = read_obj(Path("m.obj"), data)
    pools = {"v": [], "vt": [], "vn": []}
    sizes, corners = [], []
    for line in data.decode().splitlines():
        kind, *words = line.split("#")[0].split() or [""]
        if kind in pools:
            pools[kind].append([float(word) for word in words])
        if kind == "f":
            sizes.append(len(words))
            for word in words:
                parts = [*word.split("/"), "", ""][:3]
                numbers = [int(part) if part else 0 for part in parts]
                lengths = [len(pools[name]) for name in ("v", "vt", "vn")]
                pairs = zip(numbers, lengths, strict=True)
                corners.append([number - 1 if number >= 0 else number + length for number, length in pairs])
    assert mesh.polygon_sizes.tolist() == sizes
    found = np.stack([mesh.corner_positions, mesh.corner_uvs, mesh.corner_normals], axis=1)
    assert found.tolist() == corners
    assert mesh.positions.tobytes() == np.array([row[:3] for row in pools["v"]]).tobytes()
    assert mesh.uvs.tobytes() == np.array([row[:2] for row in pools["vt"]]).astype(np.float32).tobytes()
    assert mesh.normals.tobytes() == np.array(pools["vn"]).astype(np.float32).tobytes()


@pytest.mark.parametrize(
    ("face", "line"),
    [("f 1 2 0", 4), ("f 1 2 -4", 4), ("f -3 -2 -1\nf 1 2 4", 5), ("f 1 2 999999999", 4)],
)
def test_an_index_that_points_nowhere_names_its_line(face, line):
    data = b"v 0 0 0\nv 1 0 0\nv 0 1 0\n" + face.encode() + b"\n"
    with pytest.raises(MeshError, match=rf"m\.obj: a face in line {line} points to a vertex that is not there"):
        read_obj(Path("m.obj"), data)


@pytest.mark.parametrize("corner", ["1/-", "1/-/1", "1//-"])
def test_a_sign_alone_is_no_index(corner):
    with pytest.raises(MeshError, match=r"line 5 .* cannot be read, expected at least 3 corners"):
        read_obj(Path("m.obj"), b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\nf 2 3 " + corner.encode() + b"\n")


def test_an_index_counts_back_from_its_own_line():
    mesh = read_obj(Path("m.obj"), b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 5 0 0\nf -4 -3 -1\n")
    assert mesh.corner_positions.tolist() == [0, 1, 2, 0, 1, 3]


def test_a_texture_coordinate_of_one_number_has_no_height():
    mesh = read_obj(Path("m.obj"), b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0.25\nf 1/1 2/1 3/1\n")
    assert mesh.uvs.tolist() == [[0.25, 0.0]]


def test_a_file_of_vertices_alone_is_refused():
    with pytest.raises(MeshError, match="the mesh has no faces"):
        read_obj(Path("m.obj"), b"v 0 0 0\n")
