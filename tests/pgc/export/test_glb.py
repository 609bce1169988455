# SPDX-License-Identifier: Apache-2.0
import io
import json
import struct

import numpy as np
import pygltflib
import pytest
import trimesh
from PIL import Image

from pgc.errors import MeshError, OutputError
from pgc.export.glb import write_glb
from pgc.mesh import Mesh, load_mesh, prepare_mesh


def png(colour=(200, 30, 30)):
    data = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(data, "PNG")
    return data.getvalue()


def house(up_axis="y", *, shift=(0.0, 0.0), normals=False):
    """A quad with its own UV square and a pentagon with another: they share an edge, which is a seam."""
    positions = np.array(
        [(0, 0, 0), (1, 0, 0), (1, 1, 0.1), (0, 1, 0.1), (1.1, 2, 1), (0.5, 3, 1), (-0.1, 2, 1), (9, 9, 9)]
    )
    uvs = np.array([(0, 0), (0.4, 0), (0.4, 0.4), (0, 0.4), (0.6, 0.6), (1, 0.6), (1, 0.8), (0.8, 1), (0.6, 0.8)])
    uvs[4:] += shift
    count = 9
    return Mesh(
        name="house",
        positions=(positions.astype(np.float32) / np.float32(3)).astype(np.float64),
        polygon_sizes=np.array([4, 5], np.int32),
        corner_positions=np.array([0, 1, 2, 3, 3, 2, 4, 5, 6], np.int32),
        uvs=uvs.astype(np.float32),
        corner_uvs=np.arange(count, dtype=np.int32),
        normals=np.array([(0, 0, 1), (0, 1, 0)], np.float32) if normals else None,
        corner_normals=np.array([0] * 4 + [1] * 5, np.int32) if normals else None,
        material_index=np.zeros(2, np.int32),
        material_names=("",),
        up_axis=up_axis,
    )


def accessor_array(gltf, number):
    accessor = gltf.accessors[number]
    view = gltf.bufferViews[accessor.bufferView]
    kind = {5126: "<f4", 5123: "<u2", 5125: "<u4"}[accessor.componentType]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor.type]
    data = np.frombuffer(gltf.binary_blob(), kind, accessor.count * width, view.byteOffset)
    return data.reshape(-1, width)


def assert_follows_the_rules(path):
    """What glTF 2.0 asks of buffers and accessors."""
    data = path.read_bytes()
    magic, version, length, text_length, kind = struct.unpack("<4sIIII", data[:20])
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), 0x4E4F534A)
    assert text_length % 4 == 0
    assert data[20 + text_length + 4 : 28 + text_length] == b"BIN\0"
    json.loads(data[20 : 20 + text_length])
    gltf = pygltflib.GLTF2().load(str(path))
    assert gltf.buffers[0].byteLength == len(gltf.binary_blob())
    for view in gltf.bufferViews:
        assert view.byteOffset % 4 == 0
        assert view.byteOffset + view.byteLength <= gltf.buffers[0].byteLength
    for primitive in gltf.meshes[0].primitives:
        positions = accessor_array(gltf, primitive.attributes.POSITION)
        accessor = gltf.accessors[primitive.attributes.POSITION]
        assert accessor.min == positions.min(axis=0).tolist()
        assert accessor.max == positions.max(axis=0).tolist()
        normals = accessor_array(gltf, primitive.attributes.NORMAL)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)
        uvs = accessor_array(gltf, primitive.attributes.TEXCOORD_0)
        assert len(positions) == len(normals) == len(uvs)
        assert accessor_array(gltf, primitive.indices).max() == len(positions) - 1
    return gltf


def test_structure_material_and_sampler(tmp_path):
    path = tmp_path / "out.glb"
    picture = png()
    write_glb(path, prepare_mesh(house()), {"base_color": picture})
    gltf = assert_follows_the_rules(path)
    assert [node.name for node in gltf.nodes] == ["house"]
    material = gltf.materials[0]
    assert material.doubleSided is True
    assert material.pbrMetallicRoughness.metallicFactor == 0.0
    texture = gltf.textures[material.pbrMetallicRoughness.baseColorTexture.index]
    sampler = gltf.samplers[texture.sampler]
    assert (sampler.wrapS, sampler.wrapT, sampler.minFilter, sampler.magFilter) == (10497, 10497, 9987, 9729)
    image = gltf.images[texture.source]
    view = gltf.bufferViews[image.bufferView]
    assert image.mimeType == "image/png"
    assert bytes(gltf.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]) == picture
    assert list(tmp_path.iterdir()) == [path], "nothing else is left behind"


@pytest.mark.parametrize("up_axis", ["y", "z"])
def test_positions_and_triangles_survive_bit_by_bit(tmp_path, up_axis):
    mesh = house(up_axis)
    prepared = prepare_mesh(mesh)
    write_glb(tmp_path / "out.glb", prepared, {"base_color": png()})
    scene = trimesh.load(tmp_path / "out.glb", process=False, force="scene")
    (back,) = scene.geometry.values()
    corners = mesh.corner_positions[prepared.triangles.corner_index]
    expected = mesh.positions[corners]
    if up_axis == "z":
        expected = np.stack([expected[..., 0], expected[..., 2], -expected[..., 1]], axis=-1)
    got = np.asarray(back.vertices)[back.faces].astype(np.float32)
    assert len(back.faces) == 5
    np.testing.assert_array_equal(got, expected)
    uv = np.asarray(back.visual.uv)[back.faces]
    np.testing.assert_allclose(uv, mesh.uvs[mesh.corner_uvs[prepared.triangles.corner_index]], atol=2**-24)


@pytest.mark.slow
def test_vertices_are_repeated_only_at_seams(tmp_path):
    path = tmp_path / "out.glb"
    write_glb(path, prepare_mesh(house()), {})
    gltf = assert_follows_the_rules(path)
    # 7 used vertices, of which the 2 on the seam have two UVs.
    assert gltf.accessors[gltf.meshes[0].primitives[0].attributes.POSITION].count == 9
    joined = house()
    same = np.array([0, 1, 2, 3, 3, 2, 6, 7, 8], np.int32)
    joined = Mesh(**{name: getattr(joined, name) for name in Mesh.__slots__} | {"corner_uvs": same})
    write_glb(path, prepare_mesh(joined), {})
    gltf = pygltflib.GLTF2().load(str(path))
    assert gltf.accessors[gltf.meshes[0].primitives[0].attributes.POSITION].count == 7


def test_v_runs_down_and_normals_turn_with_the_axes(tmp_path):
    path = tmp_path / "out.glb"
    write_glb(path, prepare_mesh(house("z", normals=True)), {})
    gltf = assert_follows_the_rules(path)
    attributes = gltf.meshes[0].primitives[0].attributes
    uvs = accessor_array(gltf, attributes.TEXCOORD_0)
    points = accessor_array(gltf, attributes.POSITION)
    assert uvs[(points == 0).all(axis=1)].tolist() == [[0.0, 1.0]]
    normals = {tuple(row) for row in accessor_array(gltf, attributes.NORMAL).tolist()}
    assert normals == {(0.0, 1.0, 0.0), (0.0, 0.0, -1.0)}


def test_udim_tiles_become_materials(tmp_path):
    path = tmp_path / "out.glb"
    prepared = prepare_mesh(house(shift=(2.0, 1.0)))
    assert prepared.report.tiles == (1001, 1013)
    write_glb(path, prepared, {"base_color.1001": png(), "base_color.1013": png((0, 90, 0))})
    gltf = assert_follows_the_rules(path)
    assert [material.name for material in gltf.materials] == ["house.1001", "house.1013"]
    counts = []
    for number, primitive in enumerate(gltf.meshes[0].primitives):
        assert primitive.material == number
        uvs = accessor_array(gltf, primitive.attributes.TEXCOORD_0)
        assert uvs.min() >= 0.0
        assert uvs.max() <= 1.0
        counts.append(gltf.accessors[primitive.indices].count // 3)
    assert counts == [2, 3]
    with pytest.raises(MeshError, match="UDIM tile 1013"):
        write_glb(path, prepared, {"base_color.1001": png()})


def test_uvs_out_of_range_stay_the_callers(tmp_path):
    mesh = house(shift=(-3.0, 0.0))
    prepared = prepare_mesh(mesh)
    assert prepared.report.out_of_range_fraction == pytest.approx(0.6)
    assert prepared.triangles.corner_uvs.min() >= -1e-6
    write_glb(tmp_path / "out.glb", prepared, {"base_color": png()})
    back = load_mesh(tmp_path / "out.glb")
    assert back.uvs[:, 0].min() == pytest.approx(-2.4)


def test_all_maps_of_a_material(tmp_path):
    path = tmp_path / "out.glb"
    write_glb(path, prepare_mesh(house()), {"base_color": png(), "orm": png(), "normal": png()})
    material = assert_follows_the_rules(path).materials[0]
    indices = {
        material.pbrMetallicRoughness.baseColorTexture.index,
        material.pbrMetallicRoughness.metallicRoughnessTexture.index,
        material.normalTexture.index,
    }
    assert len(indices) == 3
    assert material.occlusionTexture.index == material.pbrMetallicRoughness.metallicRoughnessTexture.index
    assert material.pbrMetallicRoughness.metallicFactor == 1.0


def test_tangents_come_with_a_normal_map(tmp_path):
    prepared = prepare_mesh(house("z"))
    write_glb(tmp_path / "plain.glb", prepared, {"base_color": png()})
    assert assert_follows_the_rules(tmp_path / "plain.glb").meshes[0].primitives[0].attributes.TANGENT is None
    write_glb(tmp_path / "relief.glb", prepared, {"normal": png()})
    gltf = assert_follows_the_rules(tmp_path / "relief.glb")
    attributes = gltf.meshes[0].primitives[0].attributes
    tangents = accessor_array(gltf, attributes.TANGENT)
    normals, points = accessor_array(gltf, attributes.NORMAL), accessor_array(gltf, attributes.POSITION)
    assert set(tangents[:, 3]) == {1.0}
    np.testing.assert_allclose((tangents[:, :3] * normals).sum(axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(tangents[:, :3], axis=1), 1.0, atol=1e-6)
    # The quad's u grows along x, and its picture's up is the bitangent: that way v grows, here along y (glTF's -z).
    low = np.flatnonzero((points == 0).all(axis=1))[0]
    assert tangents[low, 0] > 0.95
    assert np.cross(normals[low], tangents[low, :3])[2] < -0.95


@pytest.mark.slow
def test_more_than_65535_vertices_take_wide_indices(tmp_path):
    n = 260
    y, x = (np.mgrid[0 : n + 1, 0 : n + 1] / n).astype(np.float32)
    start = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).reshape(-1)
    quads = np.stack([start, start + 1, start + n + 2, start + n + 1], axis=1).astype(np.int32)
    fields = {name: getattr(house(), name) for name in Mesh.__slots__}
    fields |= {
        "positions": np.stack([x, y, x * y], axis=-1).reshape(-1, 3).astype(np.float64),
        "polygon_sizes": np.full(len(quads), 4, np.int32),
        "corner_positions": quads.reshape(-1),
        "uvs": np.stack([x, y], axis=-1).reshape(-1, 2),
        "corner_uvs": quads.reshape(-1).copy(),
        "material_index": np.zeros(len(quads), np.int32),
    }
    write_glb(tmp_path / "out.glb", prepare_mesh(Mesh(**fields)), {})
    gltf = assert_follows_the_rules(tmp_path / "out.glb")
    primitive = gltf.meshes[0].primitives[0]
    assert gltf.accessors[primitive.indices].componentType == 5125
    assert gltf.accessors[primitive.attributes.POSITION].count == (n + 1) ** 2


def test_bad_images_and_folders_are_refused(tmp_path):
    prepared = prepare_mesh(house())
    with pytest.raises(MeshError, match="not a PNG"):
        write_glb(tmp_path / "out.glb", prepared, {"base_color": b"JFIF"})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_glb(tmp_path / "file" / "out.glb", prepared, {"base_color": png()})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
